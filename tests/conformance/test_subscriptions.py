"""Subscriptions over HTTP, to a receiver in a process of its own: the rows SUBC and SUBT."""

import hashlib
import hmac
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug.datastructures import Headers

from fhir_profiles import systems
from server.app import close, create_app
from server.settings import Settings
from server.subscriptions import topics
from tests import samples
from tests.conformance.conftest import Api, codes
from tests.programs import Programs, wait_for
from tests.receiver import Got

pytestmark = pytest.mark.loopback
TOPIC = f"{systems.BASE}/SubscriptionTopic/coverage-changed"
STATUS = "backport-subscription-status-r4"
EXTENSIONS = (
    systems.EXT_HOOK_SECRET, systems.EXT_HOOK_INTERACTION, systems.EXT_HOOK_PATH,
    systems.EXT_HOOK_SUCCESS, systems.EXT_HOOK_ATTEMPTS,
)  # fmt: skip
MANY, AT_ONCE = 1200, 400  # Subscriptions: all, and in one Bundle
OLD_S = 302  # more than five minutes


@pytest.fixture(scope="module")
def api(new_database: Callable[[], str]) -> Iterator[Api]:
    """A server whose deliveries may go to this machine."""
    app = create_app(Settings(database=new_database(), auth="open", allow_private_hooks=True))
    yield Api(app.test_client())
    close(app)


@pytest.fixture(autouse=True)
def _clean(api: Api) -> Iterator[None]:
    """End the Subscriptions of a test with it."""
    yield
    for entry in api.entries("Subscription?_count=100"):
        api.call("DELETE", f"Subscription/{entry['resource']['id']}")


class Line:
    """One Subscription and what comes to its own path of the receiver."""

    def __init__(self, api: Api, receiver: Programs, path: str, body: dict[str, Any]) -> None:
        self.api, self.receiver, self.path = api, receiver, path
        self.answer = api.post("Subscription", body)
        assert 201 == self.answer.status_code, self.answer.get_data(as_text=True)
        self.id = self.answer.get_json()["id"]

    def got(self, count: int, kind: str = "") -> list[Got]:
        """Wait until so many came."""

        def look() -> list[Got]:
            found = [g for g in self.receiver.received(self.path) if not kind or kind in g.body]
            return found if len(found) >= count else []

        return wait_for(look, f"{count} at {self.path}")

    def status(self) -> str:
        return str(self.api.get(f"Subscription/{self.id}").get_json()["status"])

    def until(self, status: str) -> None:
        wait_for(lambda: self.status() == status, f"the Subscription is {status}")


Open = Callable[..., Line]
_numbers = iter(range(100_000))


@pytest.fixture
def plain(api: Api, receiver: Programs) -> Open:
    """Makes a criteria Subscription to a path of its own."""

    def make(what: str = "ok", criteria: str = "Coverage?status=active", **more: Any) -> Line:
        path = f"/{what}?{next(_numbers)}"
        body = samples.subscription(f"{receiver.receiver}{path}", criteria, **more)
        del body["id"]
        return Line(api, receiver, path, body)

    return make


@pytest.fixture
def topical(api: Api, receiver: Programs) -> Open:
    """Makes a Subscription to the topic of changed coverages."""

    def make(content: str = "id-only", what: str = "ok", **more: Any) -> Line:
        path = f"/{what}?{next(_numbers)}"
        payload = {"extension": [{"url": systems.EXT_CONTENT, "valueCode": content}]}
        channel = {
            "type": "rest-hook", "endpoint": f"{receiver.receiver}{path}",
            "payload": "application/fhir+json", "_payload": payload,
            "header": ["X-Callback: https://a:8443/x"], **more.pop("channel", {}),
        }  # fmt: skip
        body = {"resourceType": "Subscription", "status": "requested", "reason": "test",
                "meta": {"profile": [systems.BACKPORT_SUBSCRIPTION]}, "criteria": TOPIC,
                "channel": channel, **more}  # fmt: skip
        return Line(api, receiver, path, body)

    return make


def put(api: Api, fhir_id: str, **more: Any) -> None:
    api.put(samples.coverage(fhir_id, **more))


def parameter(bundle: dict[str, Any], name: str) -> Any:
    """Return the value of a parameter of the status that a notification begins with."""
    found = bundle["entry"][0]["resource"]["parameter"]
    one: dict[str, Any] = next((p for p in found if p["name"] == name), {})
    return next((v for k, v in one.items() if k.startswith("value")), None)


def events(bundle: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the events of a notification, each as its parts by name."""
    found = bundle["entry"][0]["resource"]["parameter"]
    return [
        {part["name"]: next(v for k, v in part.items() if k != "name") for part in p["part"]}
        for p in found if p["name"] == "notification-event"
    ]  # fmt: skip


@pytest.mark.req("SUBC-01 SUBC-02 check-34")
def test_criteria_choose_and_the_payload_is_the_version(api: Api, plain: Open) -> None:
    """Fires on a match and on no other; headers arrive whole; without a payload nothing is sent."""
    channel = {"type": "rest-hook", "header": ["X-Callback: https://a:8443/x"]}
    line, silent = plain(), plain()
    api.put({**silent.answer.get_json(), "channel": {
        **channel, "endpoint": silent.answer.get_json()["channel"]["endpoint"]}})  # fmt: skip
    put(api, "draft", status="draft")
    put(api, "fits", status="active")

    (got,) = line.got(1)
    assert "fits" == got.resource["id"]
    (empty,) = silent.got(1)
    assert ("", "https://a:8443/x") == (empty.body, empty.headers["x-callback"])


@pytest.mark.req("SUBC-04 SUBT-18")
def test_what_is_not_delivered_here_is_refused(api: Api) -> None:
    """An unsupported channel gets a 422 that names the element."""
    body = samples.subscription("http://127.0.0.1:9/x")
    body["channel"]["type"] = "websocket"
    answer = api.post("Subscription", body)

    assert (422, ["not-supported"]) == (answer.status_code, codes(answer))
    assert ["Subscription.channel.type"] == answer.get_json()["issue"][0]["expression"]


@pytest.mark.req("check-27")
def test_a_delivery_can_be_verified_and_two_deletes_differ(api: Api, plain: Open) -> None:
    """The body of a deletion is empty, its signature is not; the secret is not read back."""
    extension = [{"url": systems.EXT_HOOK_SECRET, "valueString": "key"}]
    extension += [{"url": systems.EXT_HOOK_INTERACTION, "valueCode": "delete"}]
    line = plain(criteria="Coverage", extension=extension)
    for name in ("one", "two"):
        put(api, name)
        api.call("DELETE", f"Coverage/{name}")

    first, second = line.got(2)
    assert first.headers["x-inforce-signature"] != second.headers["x-inforce-signature"]
    assert "********" in api.get(f"Subscription/{line.id}").get_data(as_text=True)


@pytest.mark.req("check-27")
def test_the_published_verifier(api: Api, plain: Open) -> None:
    """It takes what we send, and nothing that was changed, is old, or of another secret."""
    page = (Path(__file__).parents[2] / "docs" / "reliability.md").read_text("utf-8")
    code = page.partition("## Verify a delivery")[2].partition("```python")[2].partition("```")[0]
    published: dict[str, Any] = {}
    exec(code, published)  # noqa: S102 our own page
    is_genuine = published["is_genuine"]
    line = plain(extension=[{"url": systems.EXT_HOOK_SECRET, "valueString": "key"}])
    put(api, f"verified-{next(_numbers)}")

    (got,) = line.got(1)
    sent, body = Headers(got.headers), got.body.encode()
    assert is_genuine(sent, body, "key")
    assert not is_genuine(sent, body, "other")
    assert not is_genuine(Headers(), body, "key")
    assert not is_genuine(sent, body + b" ", "key")
    later = str(int(got.headers["x-inforce-timestamp"]) + 1)
    assert not is_genuine(Headers({**got.headers, "x-inforce-timestamp": later}), body, "key")
    stamp = str(int(later) - OLD_S)
    signed = hmac.new(b"key", f"{stamp}.{got.uid}.".encode() + body, hashlib.sha256).hexdigest()
    old = {"x-inforce-timestamp": stamp, "x-inforce-signature": f"v1={signed}"}
    assert not is_genuine(Headers({**got.headers, **old}), body, "key")
    plainly = hmac.new(b"key", body, hashlib.sha256).hexdigest()
    assert plainly == got.headers["x-signature"]


@pytest.mark.req("check-23")
def test_the_last_of_very_many_subscriptions_fires(
    new_database: Callable[[], str], receiver: Programs
) -> None:
    """1,200 of them are active on one type, and the newest is heard like the first."""
    app = create_app(Settings(database=new_database(), auth="open", allow_private_hooks=True))
    api, path = Api(app.test_client()), "/ok?many"
    for start in range(0, MANY, AT_ONCE):
        entries = []
        for number in range(start, start + AT_ONCE):
            criteria = f"Coverage?identifier=urn:many|{number}"
            body = samples.subscription(f"{receiver.receiver}{path}", criteria)
            request = {"method": "PUT", "url": f"Subscription/many-{number}"}
            entries.append({"resource": {**body, "id": f"many-{number}"}, "request": request})
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        assert 200 == api.post("", bundle).status_code
    wanted = [{"system": "urn:many", "value": str(number)} for number in (0, MANY - 1)]
    put(api, "many", identifier=wanted)

    got = wait_for(lambda: len(receiver.received(path)) == len(wanted), "both fire")
    close(app)
    assert got


def test_the_published_examples(api: Api, receiver: Programs) -> None:
    """Each is taken as it stands, and told of a coverage; every topic and extension is listed."""
    page = (Path(__file__).parents[2] / "docs" / "subscriptions.md").read_text("utf-8")
    blocks = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    path = f"/ok?{next(_numbers)}"
    lines = []
    for text in blocks:
        body = json.loads(text)
        body["channel"]["endpoint"] = receiver.receiver + path
        lines.append(Line(api, receiver, path, body))
        lines[-1].until("active")
    put(api, f"published-{next(_numbers)}", status="active")

    assert 2 == len(blocks)
    got = lines[0].got(3)  # the handshake, and an event each
    assert any("X-Clinic".lower() in one.headers for one in got)
    names = {url.rpartition("/")[2] for url in (*topics.all_topics(), *EXTENSIONS)}
    assert names <= set(re.findall(r"^\| `([a-z-]+)`", page, re.MULTILINE))


@pytest.mark.req("check-24 check-25 check-32")
def test_a_failing_receiver_hears_again_and_the_dead_letter_can_be_sent(
    api: Api, plain: Open
) -> None:
    """Same id, growing attempts; given up it is found, and sent again as it was."""
    patient = plain("fail/1")
    put(api, "again")
    first, second = patient.got(2)
    assert ("1", "2", first.uid) == (first.headers["x-inforce-attempt"],
                                     second.headers["x-inforce-attempt"], second.uid)  # fmt: skip
    assert 0.8 <= second.at - first.at <= 1.4

    line = plain("tell")
    put(api, "told")
    (got,) = line.got(1)
    place = f"Subscription/{line.id}/$deliveries?state=given-up"
    (entry,) = wait_for(lambda: api.entries(place), "a dead letter")
    assert got.uid == entry["resource"]["id"]
    audits = api.entries(f"AuditEvent?entity:identifier={systems.DELIVERY}|{got.uid}")
    assert ["8"] == [audit["resource"]["outcome"] for audit in audits]
    assert "the payer says no" in audits[0]["resource"]["outcomeDesc"]

    done = api.post(f"Subscription/{line.id}/$redeliver", None)
    assert 1 == done.get_json()["parameter"][0]["valueUnsignedInt"]
    again = line.got(2)[1]
    assert (got.uid, got.body) == (again.uid, again.body)


@pytest.mark.req("SUBT-01 SUBT-02 SUBT-03 SUBT-04 SUBT-05 SUBT-11 SUBT-06 SUBT-07 SUBT-08")
@pytest.mark.parametrize("content", ["empty", "id-only", "full-resource"])
def test_a_topic_is_shaken_hands_on_and_notified(api: Api, topical: Open, content: str) -> None:
    """Requested, handshake, active, events; each Bundle as the Backport has it, and valid."""
    line = topical(content)
    assert "requested" == line.answer.get_json()["status"]
    (shake,) = line.got(1, '"handshake"')
    names = ("status", "events-since-subscription-start")
    assert ["requested", "0"] == [parameter(shake.resource, name) for name in names]
    line.until("active")
    fhir_id = f"n-{content}"
    put(api, fhir_id)

    (got,) = line.got(1, "event-notification")
    bundle = got.resource
    checked = api.post("Bundle/$validate", bundle).get_json()
    assert ["information"] == [issue["severity"] for issue in checked["issue"]], checked
    assert ("history", "active") == (bundle["type"], parameter(bundle, "status"))
    assert bundle["entry"][0]["request"]["url"].endswith(f"Subscription/{line.id}/$status")
    assert all("request" in entry and "response" in entry for entry in bundle["entry"])
    assert got.headers["content-type"].startswith("application/fhir+json")
    assert "https://a:8443/x" == got.headers["x-callback"]
    (event,) = events(bundle)
    assert "1" == event["event-number"]
    more = bundle["entry"][1:]
    if content == "empty":
        assert ("focus" not in event, [], None) == (True, more, parameter(bundle, "topic"))
    else:
        assert event["focus"]["reference"].endswith(f"Coverage/{fhir_id}")
        assert event["focus"]["reference"] == more[0]["fullUrl"]
        assert (content == "full-resource") == ("resource" in more[0])
        assert TOPIC == parameter(bundle, "topic")


@pytest.mark.req("SUBT-21 SUBT-30")
def test_a_handshake_that_fails_is_an_error_until_asked_again(api: Api, topical: Open) -> None:
    """No events go out; what happened meanwhile comes when the endpoint is mended."""
    line = topical(what="status/500")
    line.until("error")
    stored = api.get(f"Subscription/{line.id}").get_json()
    assert "HTTP 500" in stored["error"]
    put(api, "held")
    assert [] == line.receiver.received(line.path)[1:]

    line.path = f"/ok?{next(_numbers)}"
    channel = {**stored["channel"], "endpoint": f"{line.receiver.receiver}{line.path}"}
    api.put({**stored, "status": "requested", "channel": channel})
    line.until("active")
    assert "held" in line.got(1, "event-notification")[0].body


@pytest.mark.req("SUBT-12 SUBT-24")
def test_heartbeats_come_when_asked_for(topical: Open) -> None:
    """Every second, and none without the extension."""
    beat = {"url": systems.EXT_HEARTBEAT, "valueUnsignedInt": 1}
    quiet, line = topical(), topical(channel={"extension": [beat]})
    first, second, third = line.got(3, '"heartbeat"')[:3]

    for one, other in ((first, second), (second, third)):
        assert 0.7 <= other.at - one.at <= 1.5
    assert "0" == parameter(third.resource, "events-since-subscription-start")
    assert [] == [g for g in quiet.receiver.received(quiet.path) if '"heartbeat"' in g.body]


@pytest.mark.req("SUBT-13 SUBT-25")
def test_status_tells_how_subscriptions_stand(api: Api, topical: Open) -> None:
    """On the type by id and status, by GET and POST; on an instance these are ignored."""
    one, other = topical(), topical()
    for line in (one, other):
        line.until("active")
    put(api, "counted")
    one.got(1, "event-notification")

    def told(path: str, body: Any = None) -> list[str]:
        method = "GET" if body is None else "POST"
        found = api.call(method, f"Subscription{path}", body).get_json()
        assert "searchset" == found["type"]
        values = [entry["resource"]["parameter"][0] for entry in found.get("entry", [])]
        return sorted(v["valueReference"]["reference"].rpartition("/")[2] for v in values)

    both = sorted([one.id, other.id])
    assert [one.id] == told(f"/{one.id}/$status?id={other.id}&status=off")
    assert both == told(f"/$status?id={one.id}&id={other.id}")
    assert both == told("/$status?status=active,off")
    assert [] == told(f"/$status?id={one.id}&status=error")
    asked = {"resourceType": "Parameters", "parameter": [{"name": "id", "valueId": one.id}]}
    assert [one.id] == told("/$status", asked)
    entry = api.get(f"Subscription/{one.id}/$status").get_json()["entry"][0]["resource"]
    assert STATUS in entry["meta"]["profile"][0]
    assert "1" == parameter({"entry": [{"resource": entry}]}, "events-since-subscription-start")


@pytest.mark.req("SUBT-26")
def test_events_are_asked_for_by_number_and_sent_again(api: Api, topical: Open) -> None:
    """Both ends included; the content may be another; $resend sends the same bytes."""
    line = topical()
    line.until("active")
    for number in range(3):
        put(api, f"e{number}")
    sent = line.got(1, '"valueString":"3"')

    asked = f"Subscription/{line.id}/$events?eventsSinceNumber=2&eventsUntilNumber=3"
    found = api.get(f"{asked}&content=full-resource").get_json()
    assert "query-event" == parameter(found, "type")
    assert ["2", "3"] == [event["event-number"] for event in events(found)]
    assert ["e1", "e2"] == [entry["resource"]["id"] for entry in found["entry"][1:]]
    assert 400 == api.get(f"Subscription/{line.id}/$events?eventsSinceNumber=x").status_code
    assert 404 == api.get("Subscription/nobody/$events").status_code

    before = len(line.receiver.received(line.path))
    wish = {"resourceType": "Parameters", "parameter": [
        {"name": "eventsSinceNumber", "valueString": "3"}]}  # fmt: skip

    def told_again() -> bool:
        """Tell whether it goes out again: not as long as the first attempt is not over."""
        answer = api.post(f"Subscription/{line.id}/$resend", wish)
        assert 200 == answer.status_code
        (count,) = answer.get_json()["parameter"]
        return bool(count["valueUnsignedInt"] == 1)

    wait_for(told_again, "the first attempt is over")
    again = wait_for(lambda: line.receiver.received(line.path)[before:], "it is sent again")
    assert sent[-1].body == again[0].body
    assert sent[-1].uid == again[0].uid


def test_a_resource_is_told_of_again(api: Api, plain: Open) -> None:
    """As a new event of its current version, to all that it concerns or to the one named."""
    changed = [{"url": systems.EXT_HOOK_PATH, "valueString": "%previous.dependent = '1'"}]
    one, other, neither = plain(), plain(extension=changed), plain(criteria="Patient?active=true")
    put(api, "told", dependent="1")
    put(api, "told", dependent="2")
    first, sent = [*one.got(2), *other.got(1)][1:]

    def resend(address: str, subscription: str = "") -> Any:
        wish = {"name": "subscription", "valueReference": {"reference": subscription}}
        parts = [wish] if subscription else []
        body = {"resourceType": "Parameters", "parameter": parts}
        return api.post(f"{address}/$resend", body)

    assert 2 == resend("Coverage/told").get_json()["parameter"][0]["valueUnsignedInt"]
    again = [one.got(3)[2], other.got(2)[1]]
    assert [first.body, sent.body] == [got.body for got in again]
    assert not {first.uid, sent.uid} & {got.uid for got in again}
    assert 1 == resend("Coverage/told", f"Subscription/{one.id}").get_json()["parameter"][0][
        "valueUnsignedInt"]  # fmt: skip
    assert first.body == one.got(4)[3].body
    assert 400 == resend("Coverage/told", one.id).status_code
    assert 404 == resend("Coverage/told", "Subscription/nobody").status_code
    assert [404, 404] == [resend(a).status_code for a in ("Coverage/nobody", "Nothing/told")]
    assert [2, 0] == [len(line.receiver.received(line.path)) for line in (other, neither)]


@pytest.mark.parametrize(
    ("address", "status", "words"),
    [
        ("$redeliver?id=x", 400, "Expected delivery, resource, since, until."),
        ("$redeliver?delivery=nothing", 404, "There is no such delivery."),
        ("$redeliver?since=never", 400, "Expected a FHIR time."),
        ("{id}/$resend", 400, "Expected eventsSinceNumber or eventsUntilNumber."),
        ("{id}/$resend?eventNumber=1", 400, "Expected eventsSinceNumber, eventsUntilNumber."),
        ("nobody/$resend?eventsSinceNumber=1", 404, "There is no such Subscription."),
    ],
)
def test_a_wrong_parameter_does_nothing(
    api: Api, plain: Open, address: str, status: int, words: str
) -> None:
    """What is mistyped must not mean all: it is refused, with what would be right."""
    line = plain()
    put(api, f"once-{next(_numbers)}")
    line.got(1)
    answer = api.post(f"Subscription/{address.format(id=line.id)}", None)

    assert (status, words) == (answer.status_code, answer.get_json()["issue"][0]["diagnostics"])
    assert 1 == len(line.receiver.received(line.path))


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("Subscription/$deliveries?status=given-up", 400),
        ("Subscription/$deliveries?_count=many", 400),
        ("Subscription/$deliveries?before=99999999999999999999", 400),
        ("Subscription/x/$events?eventsSinceNumber=9999999999999999999", 400),
        ("Coverage/x/$resend", 405),
        ("Coverage/x/$resent", 404),
    ],
)
def test_a_wrong_question_is_refused(api: Api, address: str, status: int) -> None:
    """An unknown filter, a number that no database holds, an operation by GET or by no name."""
    assert status == api.get(address).status_code


def test_a_delivery_is_named_as_it_is_listed(api: Api, plain: Open) -> None:
    """With its urn or without, and only of the Subscription that is called."""
    line, other = plain(), plain(criteria="Patient?active=true")
    put(api, f"named-{next(_numbers)}")
    (got,) = line.got(1)
    wait_for(lambda: api.entries(f"Subscription/{line.id}/$deliveries?state=delivered"), "done")
    named = {"resourceType": "Parameters", "parameter": [
        {"name": "delivery", "valueUuid": f"urn:uuid:{got.uid}"}]}  # fmt: skip

    assert 404 == api.post(f"Subscription/{other.id}/$redeliver", named).status_code
    assert 200 == api.post(f"Subscription/{line.id}/$redeliver", named).status_code
    assert got.body == line.got(2)[1].body


def test_asterisks_are_no_secret(api: Api, receiver: Programs) -> None:
    """A copy of what was read would be unsigned: it is refused, where nothing is stored."""
    secret = [{"url": systems.EXT_HOOK_SECRET, "valueString": "********"}]
    body = samples.subscription(f"{receiver.receiver}/ok", extension=secret)
    del body["id"]
    answer = api.post("Subscription", body)

    assert (422, "Subscription.extension") == (
        answer.status_code, answer.get_json()["issue"][0]["expression"][0])  # fmt: skip


@pytest.mark.req("SUBT-23")
def test_filters_are_all_met(api: Api, topical: Open) -> None:
    """Several filters AND, several values OR."""
    filters = [{"url": systems.EXT_FILTER, "valueString": text}
               for text in ("Coverage?status=active,draft", "beneficiary=Patient/pat")]  # fmt: skip
    line = topical(_criteria={"extension": filters})
    line.until("active")
    put(api, "no", status="cancelled")
    put(api, "neither", beneficiary={"reference": "Patient/other"})
    put(api, "yes", status="draft")

    (got,) = line.got(1, "event-notification")
    assert ["1"] == [event["event-number"] for event in events(got.resource)]
    assert "Coverage/yes" in got.body


@pytest.mark.req("SUBT-09 SUBT-10 SUBT-27 SUBT-32")
def test_topics_and_profile_are_found(api: Api, topical: Open) -> None:
    """In the statement, as Basic, and by the search parameters; no token for a WebSocket."""
    line = topical()
    statement = api.get("metadata").get_json()
    assert systems.BACKPORT_SERVER in statement["instantiates"]
    (there,) = (r for r in statement["rest"][0]["resource"] if r["type"] == "Subscription")
    assert systems.BACKPORT_SUBSCRIPTION in there["supportedProfile"]
    topics = [e["valueCanonical"] for e in there["extension"]
              if e["url"] == systems.EXT_STATEMENT_TOPIC]  # fmt: skip
    assert TOPIC in topics
    assert 5 == len(topics)
    assert "get-ws-binding-token" not in [o["name"] for o in there["operation"]]
    assert 404 == api.get(f"Subscription/{line.id}/$get-ws-binding-token").status_code

    assert 5 == len(api.ids("Basic?code=http://hl7.org/fhir/fhir-types|SubscriptionTopic"))
    endpoint = line.answer.get_json()["channel"]["endpoint"]
    for query in (f"topic={TOPIC}", f"url={endpoint}", "status=requested,active"):
        assert [line.id] == api.ids(f"Subscription?{query}"), query


@pytest.mark.req("SUBT-31")
def test_a_transaction_tells_of_each_entry_in_order(api: Api, topical: Open) -> None:
    """N resources, N events, numbered as they were written."""
    line = topical()
    line.until("active")
    entries = [
        {"resource": samples.coverage(f"t{n}"),
         "request": {"method": "PUT", "url": f"Coverage/t{n}"}}
        for n in range(5)
    ]  # fmt: skip
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    assert 200 == api.post("", bundle).status_code

    got = line.got(1, '"valueString":"5"')
    numbers = [event["event-number"] for one in got for event in events(one.resource)]
    assert list("12345") == numbers


@pytest.mark.req("SUBC-03")
def test_a_subscription_ends(api: Api, plain: Open) -> None:
    """Its end has passed: off."""
    line = plain(end="2026-01-01T00:00:00Z")
    put(api, "late")
    line.until("off")

    assert [] == line.receiver.received(line.path)
