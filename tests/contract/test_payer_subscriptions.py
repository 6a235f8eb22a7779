"""The sandbox's payer tells of changed answers by Subscriptions of the PAS topic."""

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import responses

from fhir_profiles import pas, systems
from tests.contract.payer import actions, built, client, of_code, post, response_of

Resource = dict[str, Any]
ENDPOINT = "http://clinic.example/pas"
OURS, THEIRS = {"Authorization": "Bearer ours"}, {"Authorization": "Bearer theirs"}
NPI = "1999999984"


class Mailbox:
    """What the endpoint received, and how it answers."""

    def __init__(self) -> None:
        self.messages: list[tuple[dict[str, str], Resource]] = []
        self.status, self.came = 200, threading.Semaphore(0)

    def take(self, request: Any) -> tuple[int, dict[str, str], str]:
        self.messages.append((dict(request.headers), json.loads(request.body)))
        self.came.release()
        return self.status, {}, ""

    def types(self) -> list[str]:
        return [part(body, "type") for _, body in self.messages]


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    box = Mailbox()
    with responses.RequestsMock(assert_all_requests_are_fired=False) as played:
        played.add_callback("POST", ENDPOINT, box.take)
        yield box


def part(body: Resource, name: str) -> str:
    parameters = body["entry"][0]["resource"]["parameter"]
    found = next(p for p in parameters if p["name"] == name)
    return str(next(v for k, v in found.items() if k.startswith("value")))


def subscription(text: str = f"org-identifier={NPI}", **channel: Any) -> Resource:
    content = {"url": systems.EXT_CONTENT, "valueCode": "full-resource"}
    return {
        "resourceType": "Subscription",
        "status": "requested",
        "reason": "decisions",
        "criteria": pas.TOPIC,
        "_criteria": {"extension": [{"url": systems.EXT_FILTER, "valueString": text}]},
        "channel": {
            "type": "rest-hook",
            "endpoint": ENDPOINT,
            "payload": "application/fhir+json",
            "_payload": {"extension": [content]},
            "header": ["X-Secret: of the clinic"],
            **channel,
        },
    }


@pytest.mark.req("R62")
def test_a_subscription_is_active_after_its_handshake(mailbox: Mailbox) -> None:
    """With the headers it asks for; at that moment it is still requested."""
    reply = client().post("/fhir/Subscription", json=subscription())
    ((headers, body),) = mailbox.messages

    assert (201, "active") == (reply.status_code, reply.json["status"])
    assert ("handshake", "requested") == (part(body, "type"), part(body, "status"))
    assert ("of the clinic", "application/fhir+json") == (
        headers["X-Secret"],
        headers["Content-Type"],
    )


@pytest.mark.req("R62")
def test_a_failed_handshake_is_an_error(mailbox: Mailbox) -> None:
    """Nothing is told to an endpoint that did not take it."""
    mailbox.status = 500
    payer = client()
    made = payer.post("/fhir/Subscription", json=subscription()).json
    status = payer.get(f"/fhir/Subscription/{made['id']}/$status").json

    assert "error" == made["status"]
    assert ("error", "query-status") == (part(status, "status"), part(status, "type"))


@pytest.mark.req("R62 R65")
@pytest.mark.parametrize(
    ("change", "element"),
    [
        ({"criteria": "http://x.example/topic"}, "Subscription.criteria"),
        ({"_criteria": {}}, "Subscription.criteria.extension"),
        ({"channel": {**subscription()["channel"], "type": "email"}}, "Subscription.channel.type"),
        ({"channel": {**subscription()["channel"], "_payload": {"extension": [
            {"url": systems.EXT_CONTENT, "valueCode": "id-only"}]}}},
         "Subscription.channel.payload.extension"),
    ],
)  # fmt: skip
def test_what_is_not_supported_is_refused(change: Resource, element: str) -> None:
    """Another topic, another channel, ids only, no filter."""
    reply = client().post("/fhir/Subscription", json=subscription() | change)

    assert (422, [element]) == (reply.status_code, reply.json["issue"][0]["expression"])


@pytest.mark.req("R63")
def test_only_the_sending_system_changes_its_subscription(mailbox: Mailbox) -> None:
    """Another one neither sees it nor takes it away."""
    payer = client()
    made = payer.post("/fhir/Subscription", json=subscription(), headers=OURS).json
    path = f"/fhir/Subscription/{made['id']}"

    assert [403, 403, 403] == [
        payer.open(path, method=method, json=made, headers=THEIRS).status_code
        for method in ("GET", "PUT", "DELETE")
    ]
    assert [200, 200, 204, 404] == [
        payer.open(path, method=method, json=made, headers=OURS).status_code
        for method in ("GET", "PUT", "DELETE", "GET")
    ]
    assert ["handshake", "handshake"] == mailbox.types()


@pytest.mark.req("R64 R65")
@pytest.mark.parametrize(
    "text", [f"org-identifier={NPI}", f"orgIdentifier={NPI}", f"org-identifier=OTHER,{NPI}"]
)
def test_a_decision_is_told_as_a_whole(mailbox: Mailbox, text: str) -> None:
    """A history Bundle: status first, then the complete response Bundle that is the focus."""
    payer = client()
    payer.post("/fhir/Subscription", json=subscription(text))
    decision = {"items": [{"sequence": 1, "code": "A1"}], "after_s": 0.05}
    payer.put("/_control/decisions/PA-pa", json=decision)
    pended = post(payer, built(of_code("97110"))).json
    for _ in range(2):
        assert mailbox.came.acquire(timeout=5)
    _, body = mailbox.messages[-1]
    status, told = body["entry"]
    (event,) = [p for p in status["resource"]["parameter"] if p["name"] == "notification-event"]
    focus = next(p for p in event["part"] if p["name"] == "focus")["valueReference"]["reference"]

    assert {1: "A4"} == actions(response_of(pended))
    assert ("history", "event-notification") == (body["type"], part(body, "type"))
    assert ("1", "1") == (
        part(body, "events-since-subscription-start"),
        event["part"][0]["valueString"],
    )
    assert status["request"]["url"].endswith("/$status")
    assert (told["fullUrl"], "collection") == (focus, told["resource"]["type"])
    assert {1: "A1"} == actions(response_of(told["resource"]))


@pytest.mark.req("R64")
def test_others_hear_nothing(mailbox: Mailbox) -> None:
    """Of another sending system's requests."""
    payer = client()
    payer.post("/fhir/Subscription", json=subscription("org-identifier=OTHER"))
    payer.post("/fhir/Subscription", json=subscription())
    payer.put("/_control/decisions/PA-pa",
              json={"items": [{"sequence": 1, "code": "A3"}], "after_s": 0.01})  # fmt: skip
    post(payer, built(of_code("97110")))
    for _ in range(3):
        assert mailbox.came.acquire(timeout=5)

    assert not mailbox.came.acquire(timeout=0.2)
