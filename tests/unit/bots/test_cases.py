"""271s made at random, whole and broken: no crash, nothing invented, nothing lost."""

from decimal import Decimal
from typing import Any

import pytest

from bots.domain.eligibility import Answer
from bots.mapping import response
from bots.mapping.response import Head
from bots.x12 import eligibility_271
from bots.x12.eligibility_271 import NotA271
from fhir_profiles import codec
from tests import x12_cases
from tests.x12_cases import Case
from tools.golden import HEAD

SEEDS = 1500  # `make bench` reads 50,000


def test_no_answer_crashes_invents_or_loses() -> None:
    """Each response is valid R4, leads back to every row, and holds the payer's amounts only."""
    wrong = {
        seed: found for seed in range(SEEDS) if (found := x12_cases.faults(x12_cases.case(seed)))
    }

    assert {} == wrong


def test_what_is_looked_for_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The judge can fail: where the mapping adds a cent, and where it drops an item."""
    cases = map(x12_cases.case, range(SEEDS))
    one = next(case for case in cases if b"allowedMoney" in codec.encode(_made(case)))
    real = response.answered
    assert [] == x12_cases.faults(one)

    def with_a_cent(head: Head, answer: Answer, route: str) -> dict[str, Any]:
        made = real(head, answer, route)
        item = next(i for i in made["insurance"][0]["item"] if "allowedMoney" in str(i))
        item["benefit"][0]["allowedMoney"]["value"] += Decimal("0.01")
        return made

    def without_items(head: Head, answer: Answer, route: str) -> dict[str, Any]:
        made = real(head, answer, route)
        made["insurance"][0]["item"] = []
        return made

    monkeypatch.setattr(response, "answered", with_a_cent)
    assert ["invented"] == x12_cases.faults(one)
    monkeypatch.setattr(response, "answered", without_items)
    assert ["lost"] == x12_cases.faults(one)


def _made(one: Case) -> dict[str, Any]:
    try:
        return response.answered(HEAD, eligibility_271.read(one.text), "sandbox")
    except NotA271:
        return {}
