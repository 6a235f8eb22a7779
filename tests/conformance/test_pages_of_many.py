"""Pages of several kinds of order: each match once, there and back (SRC-17)."""

from typing import Any

import pytest

from tests.conformance.conftest import Api

MANY = 30
NUMBER = "N-1"


def schedule(number: int) -> dict[str, Any]:
    """A resource whose one value stands under two systems."""
    both = [{"system": f"urn:{name}", "value": NUMBER} for name in ("a", "b")]
    return {"resourceType": "Schedule", "id": f"b{number:02}", "identifier": both,
            "actor": [{"display": "x"}]}  # fmt: skip


@pytest.fixture(scope="module")
def many(api: Api) -> Api:
    """Thirty resources, stored in the order of their ids."""
    for number in range(MANY):
        api.put(schedule(number))
    return api


def walk(api: Api, query: str, relation: str) -> tuple[list[str], str]:
    """Follow a relation from page to page; return all ids and the last page's address."""
    seen: list[str] = []
    address = query
    while True:
        page = api.get(address).get_json()
        ids = [entry["resource"]["id"] for entry in page.get("entry", [])]
        seen = [*seen, *ids] if relation == "next" else [*ids, *seen]
        links = {one["relation"]: one["url"].partition("/fhir/")[2] for one in page["link"]}
        if relation not in links:
            return seen, address
        address = links[relation]


@pytest.mark.req("SRC-17")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (f"Schedule?identifier={NUMBER}&_count=7", [f"b{n:02}" for n in range(MANY)]),
        ("Schedule?_count=7", [f"b{n:02}" for n in range(MANY)]),
        ("Schedule?_sort=_lastUpdated&_count=7", [f"b{n:02}" for n in range(MANY)]),
        ("Schedule?_sort=-_lastUpdated&_count=7", [f"b{n:02}" for n in range(MANY)][::-1]),
        (
            f"Schedule?identifier={NUMBER}&_sort=-_id&_count=7",
            [f"b{n:02}" for n in range(MANY)][::-1],
        ),
    ],
)
def test_every_match_once_there_and_back(many: Api, query: str, expected: list[str]) -> None:
    """Also where a resource has the value twice, whatever the order."""
    ahead, last = walk(many, query, "next")
    back, _ = walk(many, last, "previous")

    assert expected == ahead
    assert expected == back
    assert MANY == many.get(query).get_json()["total"]
