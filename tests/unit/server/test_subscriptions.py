"""Subscriptions: refused at the door, matched, signed, retried (SUBC-01 to SUBC-04)."""

import hashlib
import hmac
from datetime import timedelta
from typing import Any

import pytest

from fhir_profiles import systems
from server.errors import Unprocessable
from server.search.values import micros
from server.store.deliveries import Due
from server.subscriptions import criteria, delivery, endpoints
from server.subscriptions.delivery import Answer
from tests import samples
from tests.engines import BUILT_IN
from tests.fakes import NOW

BASE = "http://me/fhir"


def accept(**more: Any) -> tuple[dict[str, Any], str]:
    body = {**samples.subscription("https://hooks.example/x"), **more}
    return criteria.accept(body, BASE, BUILT_IN, allow_private=False)


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
         "Subscription.extension"),
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
    hook = criteria.hook(1, stored, "", BASE, BUILT_IN)

    assert (("X-Callback", "https://a:8443/x"),) == hook.headers


def test_a_hook_without_interactions_is_not_called_on_delete() -> None:
    """Create and update unless delete was asked for (prior-art checks 19, 21)."""
    plain = criteria.hook(1, accept()[0], "", BASE, BUILT_IN)
    both = [{"url": systems.EXT_HOOK_INTERACTION, "valueCode": c} for c in ("create", "delete")]
    chosen = criteria.hook(1, accept(extension=both)[0], "", BASE, BUILT_IN)

    assert {"create", "update"} == plain.interactions
    assert {"create", "delete"} == chosen.interactions


def test_a_hook_ends_at_its_end() -> None:
    """Subscription.end (SUBC-03)."""
    stored, _ = accept(end=NOW.isoformat())
    hook = criteria.hook(1, stored, "", BASE, BUILT_IN)

    assert [True, False] == [hook.is_live(NOW + timedelta(seconds=s)) for s in (-1, 0)]


@pytest.mark.parametrize(
    ("url", "private"),
    [
        ("http://127.0.0.1:1/", True),
        ("http://[::1]/", True),
        ("http://10.1.2.3/", True),
        ("http://192.168.0.1/", True),
        ("http://[fe80::1]/", True),
        ("https://8.8.8.8/", False),
        ("https://hooks.example/", False),
    ],
)
def test_private_addresses_need_leave(url: str, private: bool) -> None:
    """The guard against calling into the own network (prior-art check 31)."""
    assert private == bool(endpoints.problem(url, allow_private=False))
    assert "" == endpoints.problem(url, allow_private=True)


DUE = Due(1, 2, 3, "delivery-1", "trace-1", 0, "POST", b'{"a":1}')


def test_a_delivery_is_signed_over_time_id_and_body() -> None:
    """The signature cannot be replayed for another body, id or time (prior-art check 27)."""
    hook = criteria.hook(1, accept()[0], "key", BASE, BUILT_IN)
    headers = delivery.headers_of(hook, DUE, 1700000000, DUE.body)

    def mac(text: bytes) -> str:
        return hmac.new(b"key", text, hashlib.sha256).hexdigest()

    assert "v1=" + mac(b'1700000000.delivery-1.{"a":1}') == headers["X-Inforce-Signature"]
    assert mac(b'{"a":1}') == headers["X-Signature"]
    assert ("delivery-1", "1", "create", "trace-1") == tuple(
        headers[n] for n in ("X-Inforce-Delivery", "X-Inforce-Attempt", "X-Inforce-Interaction",
                             "X-Request-Id")
    )  # fmt: skip


def test_an_unsigned_hook_has_no_signature() -> None:
    """No secret, no header that pretends to be one."""
    hook = criteria.hook(1, accept()[0], "", BASE, BUILT_IN)

    assert "X-Inforce-Signature" not in delivery.headers_of(hook, DUE, 1, b"")


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
        (0, Answer(503, 90), "due", 90),
        (3, Answer(503, 1), "due", 120),
        (0, Answer(503, 99999), "due", 3600),
        (0, Answer(422), "dead", 0),
        (0, Answer(410), "dead", 0),
        (11, Answer(500), "dead", 0),
    ],
)
def test_what_follows_an_attempt(attempts: int, answer: Answer, state: str, wait_s: int) -> None:
    """The published schedule, Retry-After honoured up to an hour, and the few final answers."""
    due = Due(1, 2, 3, "d", "t", attempts, "POST", b"")
    now = micros(NOW)
    found = delivery.outcome(due, answer, now)

    assert (state, attempts + 1) == (found.state, found.attempts)
    assert wait_s * 1_000_000 == found.due_at - now


def test_the_schedule_is_longer_than_a_day() -> None:
    """A receiver may be down over night and loses nothing (prior-art check 24)."""
    assert sum(delivery.RETRY_AFTER_S) > 24 * 3600
