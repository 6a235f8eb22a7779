"""The R4B models an answer is built through, and their JSON (json.html)."""

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
from bots.mapping import models, response
from fhir_profiles import codec, systems
from fhir_profiles.codes import State
from server.validation import structure
from tools.golden import HEAD


def test_what_was_given_is_json_in_the_order_of_fhir() -> None:
    """Also a value that was put in last; what is None is not there."""
    made = Coding(display="Calendar Year", code="23", version=None, system="urn:x")

    assert [("system", "urn:x"), ("code", "23"), ("display", "Calendar Year")] == list(
        models.plain(made).items()
    )


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
    """Our own kind of the model checks all that the library's checks, but for nulls in lists."""
    with pytest.raises(ValidationError):
        extension.Extension(**values)
    with pytest.raises(ValidationError):
        models.Extension(**values)


def test_the_look_for_nulls_is_the_librarys() -> None:
    """What we leave out is there under its name; else we would leave out nothing."""
    assert hasattr(extension.Extension, "reject_null_complex_elements")


def test_an_answer_that_fhir_cannot_hold_is_told_as_unreadable() -> None:
    """Whatever a shape lets through: an error with its code, and never the payer's value."""
    answer = Answer(payer=Entity("PR", "X"), benefits=(Benefit("1", 0, plan_name="\u00a0"),))
    made = response.prune(response.answered(HEAD, answer, "sandbox"))

    assert ("error", State.COULD_NOT_CHECK) == (made["outcome"], made["meta"]["tag"][0]["code"])
    assert "unreadable-answer" == made["error"][0]["code"]["coding"][0]["code"]
    assert systems.CHECK_ERROR == made["error"][0]["code"]["coding"][0]["system"]
    assert [] == structure.check(codec.decode(codec.encode(made)))
