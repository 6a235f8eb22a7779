"""Who may not read any more is told nothing: authorization is looked at again at every attempt.

Both engines, over real databases and a sender that we hold.
"""

import time
from collections.abc import Callable

import pytest

from fhir_profiles import codec, systems
from server.access import scopes
from server.access.caller import Caller
from server.errors import Forbidden
from server.interactions import _write, search, subscription_state
from server.interactions._write import Origin
from server.interactions.signals import Signals
from server.store import clients
from server.store.clients import Client
from server.subscriptions import topics
from server.subscriptions.breaker import OPEN_S, OPENS_AFTER, Breaker
from tests import samples
from tests.programs import wait_for
from tests.stations import WAIT_S, Station

Build = Callable[..., Station]
pytestmark = pytest.mark.req("SUBT-33")


TOPIC = next(iter(topics.all_topics()))


def allow(one: Station, scope: str) -> None:
    """Let the client do this from now on."""
    with one.database.write() as connection:
        clients.put(connection, Client("ehr", "{}", scope), 1)


def subscribe(one: Station, scope: str = "system/*.cruds", *, beats: bool = False) -> None:
    """Store the Subscription with a token of these scopes; one to a topic has heartbeats."""
    body = {**samples.subscription("http://127.0.0.1:9/sub", "Coverage"), "id": "sub"}
    if beats:
        body |= {"criteria": TOPIC, "meta": {"profile": [systems.BACKPORT_SUBSCRIPTION]}}
        beat = {"url": systems.EXT_HEARTBEAT, "valueUnsignedInt": 1}
        content = {"url": systems.EXT_CONTENT, "valueCode": "id-only"}
        body["channel"] |= {"extension": [beat], "_payload": {"extension": [content]}}
    incoming = _write.check(one.engine, "Subscription", body)
    origin = Origin("trace", caller=Caller("ehr", scopes.checked(scope)))
    _write.transact(one.engine, origin, lambda writing: writing.save(incoming, "sub", method="PUT"))


def stored(one: Station) -> dict[str, str]:
    page = search.search(one.engine, "Subscription", [("_id", "sub")])
    found: dict[str, str] = codec.decode(page.matches[0].body)
    return found


def test_what_its_client_may_not_read_is_not_sent(station: Build) -> None:
    """Nothing goes out, the Subscription is in error and says why, and all is sent once it may."""
    one = station(is_open=False)
    allow(one, "system/Coverage.r")
    subscribe(one)
    one.start()
    one.save("a")
    assert 1 == len(one.sent(1))

    allow(one, "system/Patient.r")
    one.save("b")
    wait_for(lambda: stored(one)["status"] == "error", "the Subscription is in error", WAIT_S)
    assert "may not read what it tells of" in stored(one)["error"]
    one.save("c")
    assert (0, 0, 2) == one.counts()
    assert 1 == len(one.sender.sent)
    audits = search.search(one.engine, "AuditEvent", [("_sort", "date")]).matches
    assert ["0", "4"] == [codec.decode(audit.body)["outcome"] for audit in audits]

    allow(one, "system/Coverage.r")
    subscribe(one)
    again = one.sent(3)[1:]
    assert ["b", "c"] == sorted(codec.decode(body)["id"] for _, body in again)
    assert [1, 1] == [attempt for attempt, _ in again]


def test_a_client_that_is_gone_is_told_nothing(station: Build) -> None:
    """What it subscribed to waits."""
    one = station(is_open=False)
    allow(one, "system/Coverage.r")
    subscribe(one)
    with one.database.write() as connection:
        clients.remove(connection, "ehr")
    one.start()
    one.save("a")

    wait_for(lambda: stored(one)["status"] == "error", "the Subscription is in error", WAIT_S)
    assert not one.sender.sent


@pytest.mark.parametrize("first", [[], ["handshake", "heartbeat"]], ids=["before", "later"])
def test_a_client_that_is_gone_is_kept_alive_no_more(station: Build, first: list[str]) -> None:
    """Neither a handshake nor a heartbeat: even the count of events says something."""
    one = station(is_open=False)
    allow(one, "system/*.r")
    subscribe(one, beats=True)
    signals = Signals(one.engine, one.sender, is_open=False)
    if first:
        signals.start()
        wait_for(lambda: len(one.sender.sent) == len(first), "a heartbeat", WAIT_S)
    with one.database.write() as connection:
        clients.remove(connection, "ehr")
    if not first:
        signals.start()
    wait_for(lambda: stored(one)["status"] == "error", "the Subscription is in error", WAIT_S)
    signals.stop()

    assert "may not read what it tells of" in stored(one)["error"]
    assert first == [kind_of(body) for _, body in one.sender.sent]


def kind_of(body: bytes) -> str:
    """Return what a notification of a topic is."""
    status = codec.decode(body)["entry"][0]["resource"]["parameter"]
    return str(next(one["valueCode"] for one in status if one["name"] == "type"))


def test_nobody_answers_for_what_was_stored_without_a_token(station: Build) -> None:
    """An open server took it: behind a door it is told nothing, until a client stores it."""
    one = station(is_open=False)
    one.subscribe()
    one.save("a")
    one.start()
    wait_for(lambda: stored(one)["status"] == "error", "the Subscription is in error", WAIT_S)
    assert not one.sender.sent

    allow(one, "system/Coverage.r")
    subscribe(one)
    assert 1 == len(one.sent(1))


def test_who_stores_the_same_answers_for_it(station: Build) -> None:
    """Another client, and nothing else new: it is a version of its own, and the events come."""
    one = station(is_open=False)
    one.subscribe()
    allow(one, "system/Coverage.r")
    subscribe(one)
    one.save("a")
    one.start()

    assert 1 == len(one.sent(1))


def test_what_is_withheld_says_nothing_about_an_endpoint(station: Build) -> None:
    """However much it is, who may be told by the same endpoint is told at once."""
    one = station(is_open=False)
    endpoint = "http://127.0.0.1:9/same"
    for number in range(2 * OPENS_AFTER):
        body = samples.subscription(endpoint, "Coverage")
        one.subscribe(name=f"nobodys-{number}", channel=body["channel"])
    one.save("a")
    one.start()
    wait_for(lambda: one.counts() == (0, 0, 2 * OPENS_AFTER), "all are held", WAIT_S)
    with one.database.read() as connection:
        hooks = one.engine.hooks.by_row(connection).values()
    assert {"error"} == {hook.status for hook in hooks}
    assert not one.dispatch._breaker.wait_s(endpoint, time.monotonic())  # type: ignore[attr-defined]


def test_an_attempt_that_was_not_made_leaves_the_next_one_its_turn() -> None:
    """A silent endpoint is asked by one attempt each few seconds: a withheld one is none."""
    breaker = Breaker()
    for _ in range(OPENS_AFTER):
        breaker.heard("e", 0.0, answered=False)
    assert [0.0, OPEN_S] == [breaker.wait_s("e", OPEN_S) for _ in range(2)]
    breaker.heard("e", OPEN_S, answered=None)
    breaker.heard("another", OPEN_S, answered=None)
    assert 0.0 == breaker.wait_s("e", OPEN_S)


def test_the_server_itself_takes_nobodys_place(station: Build) -> None:
    """Where it changes a status, the client that stored the Subscription still answers for it."""
    one = station(is_open=False)
    allow(one, "system/Coverage.r")
    subscribe(one)
    with one.database.read() as connection:
        (hook,) = one.engine.hooks.by_row(connection).values()
    assert subscription_state.move(one.engine, hook, "error", "the server's own words")
    with one.database.read() as connection:
        (hook,) = one.engine.hooks.by_row(connection).values()
    assert subscription_state.move(one.engine, hook, "active")
    one.save("a")
    one.start()

    assert 1 == len(one.sent(1))


def test_one_subscribes_to_what_one_may_read_only(station: Build) -> None:
    """403 that names the scope; to end it is always allowed."""
    one = station(is_open=False)
    with pytest.raises(Forbidden, match=r"system/Coverage\.r"):
        subscribe(one, "system/Subscription.cruds")
    assert not search.search(one.engine, "Subscription", []).matches
    subscribe(one)
    body = {**samples.subscription("http://127.0.0.1:9/sub", "Coverage"), "status": "off"}
    incoming = _write.check(one.engine, "Subscription", {**body, "id": "sub"})
    origin = Origin("trace", caller=Caller("ehr", scopes.checked("system/Subscription.u")))
    _write.transact(one.engine, origin, lambda writing: writing.save(incoming, "sub", method="PUT"))
    assert "off" == stored(one)["status"]


def test_nobody_changes_what_another_is_told_while_it_is_off(station: Build) -> None:
    """Another endpoint, with the status off, takes the same right as with any other."""
    one = station(is_open=False)
    subscribe(one)
    body = {**samples.subscription("http://127.0.0.1:9/evil", "Coverage"), "status": "off"}
    incoming = _write.check(one.engine, "Subscription", {**body, "id": "sub"})
    origin = Origin("trace", caller=Caller("other", scopes.checked("system/Subscription.crus")))
    with pytest.raises(Forbidden):
        _write.transact(
            one.engine, origin, lambda writing: writing.save(incoming, "sub", method="PUT")
        )


def test_a_topic_names_its_types(station: Build) -> None:
    """A client subscribes to a topic by the types that it is about."""
    one = station(is_open=False)
    body = samples.subscription("http://127.0.0.1:9/sub")
    body |= samples.topic("eligibility-answered")
    incoming = _write.check(one.engine, "Subscription", {**body, "id": "sub"})
    origin = Origin("trace", caller=Caller("ehr", scopes.checked("system/Coverage.r")))
    with pytest.raises(Forbidden, match=r"system/CoverageEligibilityResponse\.r"):
        _write.transact(
            one.engine, origin, lambda writing: writing.save(incoming, "sub", method="PUT")
        )
