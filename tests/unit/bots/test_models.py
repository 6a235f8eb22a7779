"""The R4B models an answer is built through, and their JSON (json.html)."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from fhir.resources.R4B import extension
from fhir.resources.R4B.coding import Coding
from fhir.resources.R4B.coverageeligibilityresponse import CoverageEligibilityResponse
from fhir.resources.R4B.money import Money
from fhir.resources.R4B.reference import Reference
from pydantic import ValidationError

from bots.domain.eligibility import Answer, Benefit, Entity
from bots.mapping import items, models, response
from bots.x12 import eligibility_271
from fhir_profiles import codec, elements, systems
from fhir_profiles.codes import State
from server.validation import structure
from tests.x12_texts import answer_271
from tools.golden import HEAD


def test_what_was_given_is_json_in_the_order_of_fhir() -> None:
    """Also a value that was put in last, and `_x` behind x; what is None is not there."""
    made = Coding(display="Calendar Year", code="23", version=None, system="urn:x")
    own = Coding.model_validate({"display": "D", "_display": {"id": "a"}, "code": "23"})

    assert ["system", "code", "display"] == list(models.plain(made))
    assert ["code", "display", "_display"] == list(models.plain(own))


def test_values_keep_what_they_say() -> None:
    """A decimal its digits, a time its milliseconds and offset, a day only the day."""
    made = CoverageEligibilityResponse(
        status="active", purpose=["benefits"], outcome="complete",
        patient=Reference(reference="Patient/p"), request=Reference(reference="X/r"),
        insurer=Reference(display="Example"), servicedDate=date(2026, 11, 24),
        created=datetime(2026, 11, 24, 9, 30, tzinfo=UTC),
        extension=[models.Extension(url="urn:x", valueMoney=Money(value=Decimal("25.50")))],
    )  # fmt: skip
    found = models.plain(made)

    assert ("2026-11-24", "2026-11-24T09:30:00.000+00:00") == (
        found["servicedDate"], found["created"]
    )  # fmt: skip
    assert b'{"value":25.50}' in codec.encode(found)


def test_an_extension_of_a_primitive_keeps_its_name() -> None:
    """`_display` beside `display` (json.html#primitive)."""
    text: dict[str, Any] = {
        "reference": "Patient/p",
        "_display": {"extension": [{"url": "u", "valueCode": "c"}]},
    }

    assert text == models.plain(Reference(**text))


@pytest.mark.parametrize(
    "values",
    [
        {"valueString": "a"},
        {"url": "u", "valueString": "a", "valueCode": "b"},
        {"url": "u", "valueString": ""},
        {"url": "u", "valueUnsignedInt": -1},
        {"url": "u", "valeString": "a"},
        {"url": "u", "valueMoney": {"value": "much"}},
    ],
)
def test_what_is_no_extension_is_refused(values: dict[str, Any]) -> None:
    """By our own kind of the model as by the library's."""
    with pytest.raises(ValidationError):
        extension.Extension(**values)
    with pytest.raises(ValidationError):
        models.Extension(**values)


def test_our_extension_looks_at_what_is_given_only() -> None:
    """The library's looks for nulls in every list that a value might have: ours does not run it."""
    holed = {"url": "u", "extension": [None]}
    with pytest.raises(ValidationError):
        extension.Extension.model_validate(holed)

    assert holed == models.plain(models.Extension.model_validate(holed))


def test_equal_amounts_keep_their_own_digits() -> None:
    """Whatever was read before in this process; a zero has no sign."""
    pairs = [("-0", "0.00"), ("0", "0.00"), ("12.3450", "12.3450"), ("12.345", "12.345"),
             ("25", "25.00"), ("25.000", "25.00")]  # fmt: skip

    assert [text for _, text in pairs] == [
        str(items.money(Decimal(written)).value) for written, _ in pairs
    ]


REFERENCE = {
    "reference": "Coverage/coverage",
    "extension": [
        {"url": "urn:x", "valueUuid": "urn:uuid:c757873d-ec9a-1326-a141-556f43239520"},
        {"url": "urn:x", "valueMeta": {"tag": [{"code": "x"}]}},
        {"url": "urn:x", "valueDateTime": "2026-11-24T09:30:00.1234567Z"},
    ],
    "_display": {"extension": [{"url": "urn:x", "valueString": "x"}]},
}


def test_what_is_copied_from_the_request_stands_word_for_word() -> None:
    """Also what R4 allows and R4B or the library does not: it is the request's, not ours."""
    names = ("patient", "insurer", "provider")
    request = {**HEAD.request, **{name: {**REFERENCE, "display": name} for name in names}}
    request["insurance"] = [{"focal": True, "coverage": REFERENCE}]
    head = replace(HEAD, request=request)
    answer = eligibility_271.read(answer_271("EB*1**30"))
    for made in (
        response.answered(head, answer, "sandbox"),
        response.unanswered(head, [response.UNSTORABLE], state=State.COULD_NOT_CHECK, route=""),
    ):
        assert REFERENCE == made["insurance"][0]["coverage"]
        assert [{**REFERENCE, "display": name} for name in names] == [
            made["patient"], made["insurer"], made["requestor"]
        ]  # fmt: skip


def test_an_answer_that_fhir_cannot_hold_is_told_as_unreadable() -> None:
    """Whatever a shape lets through: an error with the element, and never the payer's value."""
    rows = (Benefit("1", 0, plan_name="GOLD"), Benefit("B", 1, places=("SECRET", "\u00a0")))
    answer = Answer(payer=Entity("PR", "X"), benefits=rows)
    made = response.prune(response.answered(HEAD, answer, "sandbox", notes=["guide:EB03"]))
    flags = [one["valueString"] for one in elements.extensions(made, systems.EXT_FLAG)]

    assert ("error", State.COULD_NOT_CHECK) == (made["outcome"], made["meta"]["tag"][0]["code"])
    assert "unreadable-answer" == made["error"][0]["code"]["coding"][0]["code"]
    assert ["guide:EB03", "unstorable:Extension.valueString"] == flags
    assert not {"SECRET", "GOLD", "\u00a0"} & set(str(made).split())
    assert [] == structure.check(codec.decode(codec.encode(made)))
