"""The sender against receivers that misbehave, each in its time, and the guard of addresses."""

import time
from types import SimpleNamespace
from typing import Any

import pytest

from server.subscriptions.breaker import OPEN_S, OPENS_AFTER, Breaker
from server.subscriptions.delivery import Answer, Sent
from server.subscriptions.endpoints import Policy
from server.subscriptions.sender import Sender
from tests.programs import Programs

pytestmark = pytest.mark.loopback
TIMEOUT_S = 1
WHAT = Sent(uid="u", body=b"{}", attempt=1, trace="t", depth=0)


def send(endpoint: str, policy: Policy) -> Answer:
    hook: Any = SimpleNamespace(
        endpoint=endpoint, content="", payload="application/fhir+json", id="s", headers=(),
        secret="", timeout_s=TIMEOUT_S,
    )  # fmt: skip
    sender = Sender(connections=2, policy=policy)
    try:
        return sender.send(hook, WHAT, 1)
    finally:
        sender.close()


@pytest.mark.parametrize(
    ("path", "status", "fault"),
    [
        ("/ok", 200, ""),
        ("/hang", None, "no answer in time"),
        ("/reset", None, "the connection broke"),
        ("/redirect", 307, ""),
        ("/flood", 200, ""),
        ("/drip", 200, ""),
        ("/later/9", 503, ""),
    ],
)
def test_a_receiver_is_contained(
    receiver: Programs, path: str, status: int | None, fault: str
) -> None:
    """Whatever it does, the attempt ends soon, and a redirect is not followed."""
    began = time.monotonic()
    answer = send(f"{receiver.receiver}{path}", Policy(private=True))

    assert (status, fault) == (answer.status, answer.fault)
    assert time.monotonic() - began < TIMEOUT_S + 2


@pytest.mark.req("check-31")
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_private_peers_are_not_called(receiver: Programs, host: str) -> None:
    """A name that leads to this machine is refused before anything is sent."""
    port = receiver.ports["receiver"]
    before = len(receiver.received("/private"))
    answer = send(f"http://{host}:{port}/private", Policy(plain_http=True))

    assert (None, "the endpoint is not allowed") == (answer.status, answer.fault)
    assert before == len(receiver.received("/private"))


@pytest.mark.req("check-31")
def test_a_peer_is_looked_at_when_the_connection_stands(receiver: Programs) -> None:
    """A name that resolves to another address the second time gets nothing."""

    class Fooled(Policy):
        def problem(self, _url: str) -> str:
            return ""

        def resolves_well(self, _url: str) -> bool:
            return True

    port = receiver.ports["receiver"]
    answer = send(f"http://127.0.0.1:{port}/rebound", Fooled(plain_http=True))

    assert (None, "the endpoint is not allowed") == (answer.status, answer.fault)
    assert [] == receiver.received("/rebound")


def test_nobody_listens() -> None:
    """A closed port is no answer."""
    assert Answer(None, fault="no connection") == send("http://127.0.0.1:1/", Policy(private=True))


def test_a_silent_endpoint_is_asked_by_one_at_a_time() -> None:
    """Open after some silences, then one probe at each interval, closed by any answer."""
    breaker = Breaker()
    for _ in range(OPENS_AFTER):
        assert 0 == breaker.wait_s("e", 0)
        breaker.heard("e", 0, answered=False)

    assert OPEN_S == breaker.wait_s("e", 0)
    assert 0 == breaker.wait_s("other", 0)
    assert 0 == breaker.wait_s("e", OPEN_S)
    assert breaker.wait_s("e", OPEN_S) > 0
    breaker.heard("e", OPEN_S, answered=True)
    assert 0 == breaker.wait_s("e", OPEN_S)
