"""What many do at once, each gets done: definitions, exports, reindexing (CON, DUR-02)."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import pytest

from server.interactions import reindex
from server.rest.blueprint import ENGINE
from server.store import deliveries
from tests import samples
from tests.conformance.conftest import Api

MANY = 12


def at_once(count: int, do: Callable[[int], Any]) -> list[Any]:
    """Do it `count` times from as many threads, all let go together."""
    gate = threading.Barrier(count)

    def one(number: int) -> Any:
        gate.wait()
        return do(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def hook(number: int) -> dict[str, Any]:
    """A Subscription that nothing meets."""
    body = samples.subscription(f"http://127.0.0.1:9/{number}", "Coverage?status=draft")
    return {**body, "id": f"hook-{number}"}


def client(api: Api) -> Api:
    """A client of its own, for one thread."""
    return Api(api.client.application.test_client())


@pytest.mark.req("DUR-02")
def test_subscriptions_written_at_once_are_all_stored(api: Api) -> None:
    """None of them is told to come again."""
    answers = at_once(MANY, lambda n: client(api).put(hook(n)).status_code)

    assert [201] * MANY == answers
    found = api.ids("Subscription?_count=50")
    assert {f"hook-{number}" for number in range(MANY)} <= set(found)


@pytest.mark.req("SUBC-01")
def test_a_subscription_waits_for_the_writes_under_way(api: Api) -> None:
    """So no write that ends after it goes by what was before it."""
    engine = api.client.application.extensions[ENGINE]
    with ThreadPoolExecutor(1) as pool:
        with engine.database.write() as connection:
            deliveries.epochs(connection)
            answer = pool.submit(lambda: client(api).put(hook(50)).status_code)
            early, _ = wait([answer], timeout=0.5)
        assert not early
        assert 201 == answer.result(20)


@pytest.mark.req("BLK-01")
def test_exports_asked_for_at_once_are_all_accepted(api: Api) -> None:
    """Also while others write."""
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            client(api).post("Basic", {"resourceType": "Basic", "code": {"text": "x"}})

    writer = threading.Thread(target=write)
    writer.start()
    try:
        answers = at_once(
            6, lambda _n: client(api).get("$export", Prefer="respond-async").status_code
        )
    finally:
        stop.set()
        writer.join()

    assert [202] * 6 == answers


@pytest.mark.req("SRC-25")
def test_reindexing_while_subscriptions_change(api: Api) -> None:
    """Neither is broken off by the other."""
    stop = threading.Event()
    told: list[int] = []

    def write(number: int) -> None:
        talker, count = client(api), 0
        while not stop.is_set():
            count += 1
            body = {**hook(99), "reason": f"change {number}-{count}"}
            path = "Subscription/hook-99"
            told.append(talker.call("PUT", path, body).status_code)

    writers = [threading.Thread(target=write, args=(number,)) for number in range(2)]
    for writer in writers:
        writer.start()
    try:
        for _ in range(10):
            reindex.reindex(api.client.application.extensions[ENGINE], lambda _done, _all: None)
    finally:
        stop.set()
        for writer in writers:
            writer.join()

    assert {200, 201} >= set(told)


@pytest.mark.req("SRC-16")
def test_a_search_kept_from_an_empty_store_sorts_what_comes(api: Api) -> None:
    """Nothing was indexed for its sort key when it was first asked."""
    query = "Person?_sort=-birthdate"
    assert [] == api.ids(query)
    for fhir_id, born in (("p-a", "1980"), ("p-b", "1990"), ("p-c", "1970")):
        api.put({"resourceType": "Person", "id": fhir_id, "birthDate": born})

    assert ["p-b", "p-a", "p-c"] == api.ids(query)


@pytest.mark.req("SRC-17")
def test_a_later_page_leaves_no_connection_in_use(api: Api) -> None:
    """The page's search was read by another request."""
    for number in range(3):
        api.put({"resourceType": "Group", "id": f"g-{number}", "type": "person", "actual": True})
    page = api.get("Group?_sort=characteristic&_count=1").get_json()
    for _ in range(2):
        links = {one["relation"]: one["url"].partition("/fhir/")[2] for one in page["link"]}
        page = api.get(links["next"]).get_json()
        form = {"Content_Type": "application/x-www-form-urlencoded"}
        assert 200 == api.post("Group/_search", "type=person", **form).status_code


@pytest.mark.req("DUR-02")
def test_bundles_and_updates_with_events_do_not_lock_each_other(api: Api) -> None:
    """Who numbers events waits for no resource any more, so nobody is told to come again."""
    body = samples.subscription("http://127.0.0.1:9/hook", "Basic?")
    api.put({**body, "id": "all-basic"})
    api.put({"resourceType": "Basic", "id": "shared", "code": {"text": "x"}})

    def update(number: int, count: int) -> int:
        changed = {"resourceType": "Basic", "id": "shared", "code": {"text": f"{number} {count}"}}
        if number % 2:
            return client(api).call("PUT", "Basic/shared", changed).status_code
        entries = [
            {"resource": {"resourceType": "Basic", "code": {"text": "new"}},
             "request": {"method": "POST", "url": "Basic"}},
            {"resource": changed, "request": {"method": "PUT", "url": "Basic/shared"}},
        ]  # fmt: skip
        sent = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        return client(api).post("", sent).status_code

    answers = at_once(4, lambda number: {update(number, count) for count in range(25)})
    api.call("DELETE", "Subscription/all-basic")

    assert [{200}] * 4 == answers
