"""A payer that has the person and does not find the id: asked once more, counted, and told."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from bots import alternates
from bots.handlers import check_eligibility
from bots.mapping import inquiry
from bots.mapping.inquiry import Facts
from bots.ports import Exchange
from bots.x12 import eligibility_271
from fhir_profiles import elements, systems
from server.validation import structure
from tests import samples
from tests.fakes import FakeClearinghouse, FakeFhir, tools
from tests.unit.bots.test_handlers import responses, world
from tests.x12_texts import answer_271, file_271

MB = {"coding": [{"system": systems.V2_IDENTIFIER_TYPE, "code": "MB"}]}
RULES: dict[str, Any] = {"extension": [{"url": systems.EXT_IDENTIFIER_RULES, "extension": [
    {"url": "prefix", "valueCode": "keep"}]}]}  # fmt: skip


def found(member_id: str = "INF100001") -> Exchange:
    text = answer_271("EB*1**30").replace("INF100001", member_id)
    return Exchange("fake", eligibility_271.read(text), sent=member_id, received=text.encode())


def not_found(number: int = 0) -> Exchange:
    text = file_271("aaa-75-not-found")
    return Exchange("fake", eligibility_271.read(text), sent=f"no-{number}", received=text.encode())


def checked(
    fhir: FakeFhir, *exchanges: Exchange
) -> tuple[dict[str, Any], list[str], FakeClearinghouse]:
    house = FakeClearinghouse(*exchanges)
    check_eligibility.handle(samples.request(), tools(fhir, house))
    (stored,) = responses(fhir)
    return stored, [one.subscriber.member_id for one in house.asked], house


def flags(stored: dict[str, Any]) -> list[str]:
    return [e["valueString"] for e in elements.extensions(stored, systems.EXT_FLAG)]


@pytest.mark.req("R000-66")
def test_a_person_who_is_there_after_all_is_told_with_the_rule() -> None:
    """Active, to be looked at; both exchanges are kept; the issue names the rule."""
    fhir = world(samples.payer(**RULES))
    stored, asked, _ = checked(fhir, not_found(), found("100001"))

    assert ["INF100001", "100001"] == asked
    assert "active-review" == elements.tag(stored, systems.ELIGIBILITY_STATE)
    assert "ghost-denial:prefix" in flags(stored)
    assert 2 == len(list(elements.extensions(stored, systems.EXT_EXCHANGE)))
    (issue,) = fhir.all("DetectedIssue")
    assert "identifier-mismatch" == elements.code(issue["code"], systems.ISSUE_CODE)
    assert "prefix" == issue["evidence"][0]["code"][0]["coding"][0]["code"]
    assert {"reference": "Coverage/cov"} in issue["implicated"]
    assert [] == structure.check(issue)
    assert [] == structure.check(stored)
    check_eligibility.handle(samples.request(), tools(fhir, FakeClearinghouse()))
    assert 1 == len(fhir.all("DetectedIssue"))


def test_who_is_not_there_stays_not_found() -> None:
    """At most two more questions, and the payer's first word stands."""
    coverage = samples.coverage(subscriberId="XYZ00123", dependent="02")
    fhir = world(samples.payer(**RULES), coverage)
    stored, asked, _ = checked(fhir, not_found(), not_found(1), not_found(2))

    assert ["XYZ00123", "00123", "XYZ0012302"] == asked
    assert "not-found" == elements.tag(stored, systems.ELIGIBILITY_STATE)
    assert [] == [flag for flag in flags(stored) if flag.startswith("ghost")]
    assert [] == fhir.all("DetectedIssue")
    assert "tried" == elements.tag(stored, systems.ALTERNATES)
    assert 3 == len(list(elements.extensions(stored, systems.EXT_EXCHANGE)))


@pytest.mark.parametrize(
    "other",
    [
        file_271("active-ppo").replace("19850214", "19900101"),
        file_271("active-ppo").replace("RIVERA*ANA", "WEBER*JO"),
    ],
)
def test_another_person_is_never_taken(other: str) -> None:
    """Wrong-person rate 0: who is found must have the name and the birth date."""
    fhir = world(samples.payer(**RULES))
    stranger = Exchange("fake", eligibility_271.read(other), sent="x", received=other.encode())
    stored, asked, _ = checked(fhir, not_found(), stranger)

    assert 2 == len(asked)
    assert "not-found" == elements.tag(stored, systems.ELIGIBILITY_STATE)


@pytest.mark.parametrize(
    "first", [found(), Exchange("fake", eligibility_271.read(file_271("aaa-42-payer-down")))]
)
def test_only_a_person_who_was_not_found_is_asked_for_again(first: Exchange) -> None:
    """Neither after an answer nor while the payer is down."""
    house = FakeClearinghouse(first)
    facts = Facts(samples.coverage(), samples.patient(), samples.payer(**RULES), samples.clinic())
    day = date(2026, 11, 24)
    question = inquiry.to_inquiry(samples.request(), facts, trace="T", today=day)
    asked = alternates.check(question, facts, tools(world(), house), timeout_s=5)

    assert (1, False) == (len(house.asked), asked.is_tried)


def test_there_is_no_second_question_without_the_time_for_it() -> None:
    """A delivery that is broken off would begin anew, and ask for ever."""
    fhir, house = world(samples.payer(**RULES)), FakeClearinghouse(not_found())
    check_eligibility.handle(samples.request(), replace(tools(fhir, house), timeout_s=20))

    assert 1 == len(house.asked)


def test_without_rules_only_an_old_id_is_tried() -> None:
    """What a coverage had before is known; another policy is a guess."""
    old = {"type": MB, "value": "OLD-1", "use": "old", "period": {"end": "2025-12-31"}}
    fhir = world(samples.coverage(identifier=[old]))
    stored, asked, _ = checked(fhir, not_found(), found("OLD1"))

    assert ["INF100001", "OLD1"] == asked
    assert "ghost-denial:old-id" in flags(stored)


def test_a_payers_share_of_the_day_is_kept() -> None:
    """A payer that is asked too often throttles us: then nothing more is tried."""
    few = {"url": "dailyAlternates", "valueInteger": 2}
    rules = {"extension": [{"url": systems.EXT_IDENTIFIER_RULES, "extension": [few]}]}
    fhir = world(samples.payer(**rules))
    _, asked, _ = checked(fhir, not_found(), not_found(1))
    assert 2 == len(asked)
    house = FakeClearinghouse(not_found())
    identifier = [{"system": systems.TRACE, "value": "TRACE2"}]
    again = samples.request("other", identifier=identifier)
    check_eligibility.handle(again, tools(fhir, house))
    assert 1 == len(house.asked)


@pytest.mark.req("R000-38")
@pytest.mark.parametrize(
    ("day", "expected"), [("2025-12-31", "OLD1"), ("2026-01-01", "NEW1"), ("2026-11-24", "NEW1")]
)
def test_an_id_serves_the_days_of_its_period(day: str, expected: str) -> None:
    """A check for a past day is sent with the id of that day."""
    ids = [{"type": MB, "value": "OLD1", "period": {"end": "2025-12-31"}},
           {"type": MB, "value": "NEW1", "period": {"start": "2026-01-01"}}]  # fmt: skip
    facts = Facts(samples.coverage(identifier=ids), samples.patient(), samples.payer(), None)
    asked = inquiry.to_inquiry(
        samples.request(servicedDate=day), facts, trace="T", today=date(2026, 11, 24)
    )

    assert expected == asked.subscriber.member_id


@pytest.mark.req("R002-16")
def test_an_id_goes_out_as_the_payer_writes_it() -> None:
    """By its rules; the coverage keeps what came."""
    parts = [
        {"url": "prefix", "valueCode": "strip"},
        {"url": "leadingZeros", "valueString": "pad:9"},
    ]
    payer = samples.payer(extension=[{"url": systems.EXT_IDENTIFIER_RULES, "extension": parts}])
    fhir = world(payer, samples.coverage(subscriberId="inf-10 0001"))
    _, asked, _ = checked(fhir, found("000100001"))

    assert ["000100001"] == asked
    assert ["inf-10 0001"] == [one["subscriberId"] for one in fhir.all("Coverage")]


def test_rules_that_are_not_clear_send_nothing() -> None:
    """The answer names the part."""
    parts = [{"url": "prefix", "valueCode": "cut"}]
    payer = samples.payer(extension=[{"url": systems.EXT_IDENTIFIER_RULES, "extension": parts}])
    stored, asked, _ = checked(world(payer))

    assert [] == asked
    assert "identifier-rules.prefix" in stored["disposition"]
