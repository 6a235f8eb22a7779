"""Subscriptions: refused at the door, matched, signed, retried (SUBC-01 to SUBC-04, SUBT)."""

import hashlib
import hmac
from dataclasses import replace
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from fhir_profiles import codec, systems
from server import fhirpath
from server.errors import Unprocessable
from server.search.values import micros
from server.store.deliveries import Due, Kept
from server.subscriptions import criteria, delivery, notification
from server.subscriptions import hook as hooks
from server.subscriptions.criteria import Door
from server.subscriptions.delivery import Answer
from server.subscriptions.endpoints import Policy
from server.subscriptions.hook import Hook
from tests import samples
from tests.engines import BUILT_IN
from tests.fakes import NOW

BASE = "http://me/fhir"


def accept(**more: Any) -> tuple[dict[str, Any], str]:
    body = {**samples.subscription("https://hooks.example/x"), **more}
    return criteria.accept(body, Door(BASE, BUILT_IN, Policy()))


def hook(stored: dict[str, Any], secret: str = "") -> Hook:
    body = {**stored, "id": "sub", "meta": {"versionId": "1"}}
    return hooks.hook(Kept(1, 1, secret, ""), codec.encode(body), BASE, BUILT_IN)


def channel(**more: Any) -> dict[str, Any]:
    return {"channel": {"type": "rest-hook", "endpoint": "https://hooks.example/x", **more}}


@pytest.mark.parametrize(
    ("more", "expression"),
    [
        ({"criteria": "Coverage?statsu=active"}, "Subscription.criteria"),
        ({"criteria": "Coverage?status:in=http://x"}, "Subscription.criteria"),
        ({"criteria": "Coverage?_lastUpdated=never"}, "Subscription.criteria"),
        ({"criteria": "Coverag?status=active"}, "Subscription.criteria"),
        ({"criteria": "http://topics.example/x"}, "Subscription.criteria"),
        (channel(type="email"), "Subscription.channel.type"),
        (channel(endpoint="ftp://x"), "Subscription.channel.endpoint"),
        (channel(endpoint="https://"), "Subscription.channel.endpoint"),
        (channel(endpoint="Bot/missing"), "Subscription.channel.endpoint"),
        (channel(endpoint="http://localhost/x"), "Subscription.channel.endpoint"),
        (channel(endpoint="http://169.254.169.254/x"), "Subscription.channel.endpoint"),
        (channel(payload="application/fhir+xml"), "Subscription.channel.payload"),
        (channel(header=["no colon"]), "Subscription.channel.header[0]"),
        (channel(header=["Bad Name: x"]), "Subscription.channel.header[0]"),
        (channel(header=[": x"]), "Subscription.channel.header[0]"),
        (channel(header=["X-Price: 5 €"]), "Subscription.channel.header[0]"),
        (channel(header=["Host: evil.example"]), "Subscription.channel.header[0]"),
        (channel(header=["X-Inforce-Delivery: mine"]), "Subscription.channel.header[0]"),
        ({"extension": [{"url": f"{systems.BASE}/StructureDefinition/x", "valueCode": "y"}]},
         "Subscription.extension[0].url"),
        ({"extension": [{"url": systems.EXT_HOOK_SECRET, "valueCode": "y"}]},
         "Subscription.extension[0]"),
        ({"extension": [{"url": systems.EXT_HOOK_INTERACTION, "valueCode": "read"}]},
         "Subscription.extension[0]"),
    ],
)  # fmt: skip
def test_what_could_never_work_is_refused(more: dict[str, Any], expression: str) -> None:
    """A Subscription is never active and dead at once: the wrong element is named."""
    with pytest.raises(Unprocessable) as refused:
        accept(**more)

    assert [expression] == [issue.expression for issue in refused.value.issues]


def test_requested_becomes_active() -> None:
    """The status that clients send at first."""
    stored, secret = accept()

    assert ("active", "") == (stored["status"], secret)


def test_headers_arrive_whole() -> None:
    """A value with colons is not cut (prior-art check 34)."""
    stored, _ = accept(**channel(header=["X-Callback: https://a:8443/x"]))
    found = hook(stored)

    assert (("X-Callback", "https://a:8443/x"),) == found.headers


def test_a_hook_without_interactions_is_not_called_on_delete() -> None:
    """Create and update unless delete was asked for (prior-art checks 19, 21)."""
    plain = hook(accept()[0])
    both = [{"url": systems.EXT_HOOK_INTERACTION, "valueCode": c} for c in ("create", "delete")]
    chosen = hook(accept(extension=both)[0])

    assert {"create", "update"} == plain.interactions
    assert {"create", "delete"} == chosen.interactions


def test_a_hook_ends_at_its_end() -> None:
    """Subscription.end (SUBC-03)."""
    stored, _ = accept(end=NOW.isoformat())
    found = hook(stored)

    assert [True, False] == [found.is_live(NOW + timedelta(seconds=s)) for s in (-1, 0)]


@pytest.mark.parametrize(
    ("url", "private"),
    [
        ("http://127.0.0.1:1/", True),
        ("http://[::1]/", True),
        ("http://10.1.2.3/", True),
        ("http://192.168.0.1/", True),
        ("http://[fe80::1]/", True),
        ("http://[::ffff:10.1.2.3]/", True),
        ("http://[::7f00:1]/", True),
        ("http://[64:ff9b::a9fe:a9fe]/", True),
        ("http://[2002:7f00:1::]/", True),
        ("http://127.0.0.1./", True),
        ("https://[64:ff9b::808:808]/", False),
        ("https://8.8.8.8/", False),
        ("https://hooks.example/", False),
    ],
)
def test_private_addresses_need_leave(url: str, private: bool) -> None:
    """The guard against calling into the own network (prior-art check 31)."""
    assert private == bool(Policy().problem(url))
    assert "" == Policy(private=True).problem(url)


@pytest.mark.req("check-31")
@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example\\@allowed.example/x",
        "https://evil.example@allowed.example/x",
        "https://allowed.example\t.evil.example/x",
        "https://allowed.example .evil.example/x",
        "https://evil.example/?https://allowed.example",
        "https://evil.example#@allowed.example",
        "https://xallowed.example/",
    ],
)
def test_an_allowed_host_is_the_one_that_is_called(url: str) -> None:
    """What two readers of a URL could read in two ways is refused."""
    policy = Policy(private=True, hosts=("allowed.example",))

    assert policy.problem(url)
    assert "" == policy.problem("https://allowed.example:8443/x?y=1")


def test_a_name_is_resolved_before_it_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every address of it has to be one that may be called."""
    found = {"good.example": ["8.8.8.8"], "mixed.example": ["8.8.8.8", "10.0.0.1"]}

    def lookup(host: str, _port: None) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        return [(2, 1, 6, "", (address, 0)) for address in found[host]]

    monkeypatch.setattr("socket.getaddrinfo", lookup)

    told = [Policy().resolves_well(f"https://{host}/") for host in found]
    assert [True, False] == told


def test_what_a_put_of_a_deleted_id_is() -> None:
    """A create, by its header and in a Bundle, like the first PUT of a new id."""
    again = replace(due(), version=3, method="PUT", created=True)
    told = [notification.interaction(one) for one in (
        due(), again, replace(again, created=False), replace(again, method="DELETE"))]  # fmt: skip

    assert ["create", "create", "update", "delete"] == told


def due(attempts: int = 0, body: bytes = b'{"a":1}') -> Due:
    return Due(
        did=1, subscription=2, event=4, rid=3, uid="delivery-1", trace="trace-1",
        attempts=attempts, depth=0, at=0, due_at=0, head=None, state="due", status=None, reason="",
        type="Coverage", id="c", version=1, method="POST", created=True, body=body,
    )  # fmt: skip


def test_a_delivery_is_signed_over_time_id_and_body() -> None:
    """The signature cannot be replayed for another body, id or time (prior-art check 27)."""
    found = hook(accept()[0], "key")
    what = delivery.sent(found, BASE, [due()])
    headers = delivery.headers_of(found, what, 1700000000)

    def mac(text: bytes) -> str:
        return hmac.new(b"key", text, hashlib.sha256).hexdigest()

    assert "v1=" + mac(b'1700000000.delivery-1.{"a":1}') == headers["X-Inforce-Signature"]
    assert mac(b'{"a":1}') == headers["X-Signature"]
    assert ("delivery-1", "1", "create", "trace-1", "1") == tuple(
        headers[n] for n in ("X-Inforce-Delivery", "X-Inforce-Attempt", "X-Inforce-Interaction",
                             "X-Request-Id", "X-Inforce-Depth")
    )  # fmt: skip


def test_an_unsigned_hook_has_no_signature() -> None:
    """No secret, no header that pretends to be one."""
    found = hook(accept()[0])
    what = delivery.sent(found, BASE, [due()])

    assert "X-Inforce-Signature" not in delivery.headers_of(found, what, 1)


@pytest.mark.parametrize(
    ("attempts", "answer", "state", "wait_s"),
    [
        (0, Answer(200), "done", 0),
        (3, Answer(204), "done", 0),
        (0, Answer(None), "due", 1),
        (1, Answer(500), "due", 5),
        (2, Answer(401), "due", 25),
        (0, Answer(404), "due", 1),
        (0, Answer(302), "due", 1),
        (0, Answer(503, "90"), "due", 90),
        (3, Answer(503, "1"), "due", 120),
        (0, Answer(503, "99999"), "due", 3600),
        (0, Answer(503, format_datetime(NOW + timedelta(seconds=70))), "due", 70),
        (0, Answer(503, "soon"), "due", 1),
        (0, Answer(503, "9" * 5000), "due", 3600),
        (0, Answer(503, "Mon, 99999999999999999999 Jan 2026 00:00:00 GMT"), "due", 1),
        (0, Answer(422), "dead", 0),
        (0, Answer(410), "dead", 0),
        (11, Answer(500), "dead", 0),
    ],
)
def test_what_follows_an_attempt(attempts: int, answer: Answer, state: str, wait_s: int) -> None:
    """The published schedule, Retry-After honoured up to an hour, and the few final answers."""
    now = micros(NOW)
    (found,) = delivery.outcomes(hook(accept()[0]), [due(attempts)], answer, now)

    assert (state, attempts + 1) == (found.state, found.attempts)
    assert wait_s * 1_000_000 == found.due_at - now


def said(name: str, **value: Any) -> dict[str, Any]:
    return {"url": f"https://www.medplum.com/fhir/StructureDefinition/{name}", **value}


def test_success_codes_and_attempts_are_the_subscriptions_own() -> None:
    """A receiver that answers 404 for taken, and one that is asked twice at most."""
    found = hook(
        accept(
            extension=[
                said("subscription-success-codes", valueString="200-299,404"),
                said("subscription-max-attempts", valueInteger=2),
            ]
        )[0]
    )

    def state(attempts: int, status: int) -> str:
        return delivery.outcomes(found, [due(attempts)], Answer(status), 0)[0].state

    assert ["done", "due", "dead"] == [state(0, 404), state(0, 500), state(1, 500)]


def test_the_schedule_is_longer_than_a_day() -> None:
    """A receiver may be down over night and loses nothing (prior-art check 24)."""
    assert sum(delivery.RETRY_AFTER_S) > 24 * 3600


PATH = "fhir-path-criteria-expression"


@pytest.mark.req("check-20")
@pytest.mark.parametrize(
    ("extension", "expression"),
    [
        (said(PATH, valueString="%previous.status !="), "Subscription.extension[0]"),
        (said(PATH, valueString="%before.status = 1"), "Subscription.extension[0]"),
        (said(PATH, valueString="%current.statsu = 'active'"), "Subscription.extension[0]"),
        (said(PATH, valueString="differs(1)"), "Subscription.extension[0]"),
        (said(PATH, valueString="%current.id.matches('(a+)+')"), "Subscription.extension[0]"),
        (said(PATH, valueString="%current.repeat(item).exists()"), "Subscription.extension[0]"),
        (said(PATH, valueString="true or " * 200 + "true"), "Subscription.extension[0]"),
        (said("subscription-max-attempts", valueInteger=19), "Subscription.extension[0]"),
        (said("subscription-success-codes", valueString="2xx"), "Subscription.extension[0]"),
        (said("subscription-secrets", valueString="x"), "Subscription.extension[0].url"),
        ({"url": "http://hl7.org/fhir/5.0/StructureDefinition/extension-Subscription.topic",
          "valueCanonical": "x"}, "Subscription.extension[0].url"),
    ],
)  # fmt: skip
def test_extensions_that_could_never_work_are_refused(
    extension: dict[str, Any], expression: str
) -> None:
    """Bad FHIRPath, a misspelled element, an unknown extension: the place is named."""
    with pytest.raises(Unprocessable) as refused:
        accept(extension=[extension])

    assert [expression] == [issue.expression for issue in refused.value.issues]


@pytest.mark.req("check-21")
@pytest.mark.parametrize(
    "url",
    [
        f"{start}medplum.com/fhir/StructureDefinition/subscription-supported-interaction"
        for start in ("http://", "https://", "http://www.", "https://www.")
    ],
)
def test_every_host_variant_means_the_same(url: str) -> None:
    """Both interactions count, under whatever name the documentation of the day had."""
    found = hook(accept(extension=[{"url": url, "valueCode": c} for c in ("create", "update")])[0])
    only = hook(accept(extension=[{"url": url, "valueCode": "create"}])[0])

    assert {"create", "update"} == found.interactions
    assert {"create"} == only.interactions


COVERAGE = {"resourceType": "Coverage", "status": "active"}


@pytest.mark.parametrize(
    ("expression", "before", "after", "fires"),
    [
        ("%previous.subscriberId != %current.subscriberId", {}, {"subscriberId": "1"}, True),
        ("%previous.subscriberId != %current.subscriberId", {"subscriberId": "1"}, {}, True),
        ("%previous.subscriberId != %current.subscriberId", {}, {}, False),
        ("%previous.subscriberId = %current.subscriberId", {}, {}, True),
        ("%previous.status != %current.status", None, {}, True),
        ("%previous.exists()", None, {}, False),
        ("%current.exists()", {}, None, False),
        ("%previous.exists() implies %previous.status != %current.status", {}, {}, False),
        ("%current.status", {}, {}, False),
    ],
)
def test_changed_includes_empty_to_value(
    expression: str, before: dict[str, str] | None, after: dict[str, str] | None, fires: bool
) -> None:
    """A member id that was just entered has changed, which plain FHIRPath leaves open."""
    versions = [None if one is None else {**COVERAGE, **one} for one in (before, after)]

    assert fires == fhirpath.criterion(expression)(*versions)


def topic(name: str, content: str = "id-only", **more: Any) -> dict[str, Any]:
    payload = {"extension": [{"url": systems.EXT_CONTENT, "valueCode": content}]}
    return {
        "criteria": f"{systems.BASE}/SubscriptionTopic/{name}",
        "channel": {"type": "rest-hook", "endpoint": "https://hooks.example/x",
                    "payload": "application/fhir+json", "_payload": payload, **more},
    }  # fmt: skip


def filtered(text: str) -> dict[str, Any]:
    extension = [{"url": systems.EXT_FILTER, "valueString": text}]
    return {**topic("coverage-changed"), "_criteria": {"extension": extension}}


@pytest.mark.req("SUBT-14 SUBT-15 SUBT-16 SUBT-17 SUBT-18 SUBT-19 SUBT-20 SUBT-23 SUBT-28 SUBT-29")
@pytest.mark.parametrize(
    ("more", "expression"),
    [
        (topic("coverage-chnged"), "Subscription.criteria"),
        (filtered("colour=red"), "Subscription.criteria.extension[0]"),
        (filtered("Patient?name=x"), "Subscription.criteria.extension[0]"),
        (filtered("status:contains=x"), "Subscription.criteria.extension[0]"),
        (topic("coverage-changed", "everything"), "Subscription.channel.payload.extension"),
        (topic("coverage-changed", payload="application/fhir+json; fhirVersion=4.3"),
         "Subscription.channel.payload"),
        (topic("coverage-changed", endpoint="nowhere"), "Subscription.channel.endpoint"),
        (topic("coverage-changed", "full-resource", endpoint="http://hooks.example/x"),
         "Subscription.channel.endpoint"),
        (topic("coverage-changed", type="websocket"), "Subscription.channel.type"),
        ({**topic("coverage-changed"), "_criteria": {"extension": [
            {"url": "http://hl7.org/fhir/5.0/subscriptions-backport/x", "valueString": "y"}]}},
         "Subscription.criteria.extension[0].url"),
        ({**topic("coverage-changed"), "status": "error"}, "Subscription.status"),
    ],
)  # fmt: skip
def test_what_no_topic_can_give_is_refused(more: dict[str, Any], expression: str) -> None:
    """What the Backport has a server reject, with the element named."""
    with pytest.raises(Unprocessable) as refused:
        accept(**more)

    assert [expression] == [issue.expression for issue in refused.value.issues]


def test_a_topic_waits_for_its_handshake() -> None:
    """SUBT-03: the answer to the create says requested; filters and numbers are understood."""
    extension = [{"url": systems.EXT_MAX_COUNT, "valuePositiveInt": 7}]
    stored, _ = accept(**{**filtered("Coverage?status=active,draft"),
                          **topic("coverage-changed", extension=extension)})  # fmt: skip
    found = hook(stored)

    assert ("requested", "id-only", 7) == (found.status, found.content, found.max_count)
    assert ["Coverage"] == [name for name, _ in found.searches]


@pytest.mark.parametrize(
    ("allowed", "url", "fits"),
    [
        (("hooks.example",), "https://hooks.example/x", True),
        (("hooks.example",), "https://evil.example/x", False),
        ((".hooks.example",), "https://a.hooks.example/x", True),
        ((".hooks.example",), "https://hooks.example.evil/x", False),
        ((), "https://[::ffff:10.0.0.1]/x", False),
        ((), "https://app.localhost/x", False),
        ((), "https://hooks.example:0/x", False),
    ],
)
def test_only_allowed_hosts_are_called(allowed: tuple[str, ...], url: str, fits: bool) -> None:
    """The allow-list, and addresses in disguise (prior-art check 31)."""
    assert fits == (Policy(hosts=allowed).problem(url) == "")
