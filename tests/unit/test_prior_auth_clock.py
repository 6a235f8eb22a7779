"""What people record about a clock: the payer's notice of more time, and the urgency."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from fhir_profiles import decision_clock, pas, prior_auth, prior_auth_clock
from fhir_profiles.decision_clock import Extension, Judged, PayerKind, Urgency
from fhir_profiles.prior_auth import Status
from server.validation import structure
from tests import pas as given

CHICAGO = ZoneInfo("America/Chicago")
START = datetime(2026, 10, 28, 15, 0, tzinfo=UTC)  # the clocks go back on November 1st
pytestmark = pytest.mark.req("R70")


def task(end: str) -> dict[str, Any]:
    """Return the Task of a request that waits, its clock ending then."""
    made = prior_auth.task(
        claim="Claim/pa", patient={"reference": "Patient/pat"}, number="1", bundle="",
        authored=START.isoformat(),
    )  # fmt: skip
    period = {"start": START.isoformat(), "end": end}
    return {**prior_auth.moved(made, Status.PENDED), "restriction": {"period": period}}


def limit(urgency: Urgency) -> Any:
    return decision_clock.limit_of(PayerKind.MA, urgency, is_drug=False)


def end(found: dict[str, Any]) -> str:
    return str(found["restriction"]["period"]["end"])


@pytest.mark.parametrize(
    ("due", "days", "expected"),
    [
        ("2026-10-31T10:00:00-05:00", 1, "2026-11-01T10:00:00.000-06:00"),
        ("2026-11-04T23:59:59.999999-06:00", 14, "2026-11-18T23:59:59.999-06:00"),
        ("2026-10-31T15:00:00Z", 14, "2026-11-14T10:00:00.000-06:00"),
    ],
)
def test_an_extension_moves_the_end_by_calendar_days(due: str, days: int, expected: str) -> None:
    """The same time of day at the payer, whatever clocks do."""
    found = prior_auth_clock.extended(task(due), Extension(days, START, "A scan is due"), CHICAGO)

    assert expected == end(found)
    assert [] == structure.check(found)
    assert Extension(days, START, "A scan is due") == prior_auth_clock.extension(found)


def test_there_is_one_extension_and_only_of_a_clock() -> None:
    """A second one is refused, as is one where nothing runs."""
    notice = Extension(3, START, "A scan is due")
    once = prior_auth_clock.extended(task("2026-11-04T10:00:00-06:00"), notice, CHICAGO)
    bare = {name: value for name, value in once.items() if name not in ("restriction", "extension")}

    for refused in (once, bare):
        with pytest.raises(ValueError, match="not extended"):
            prior_auth_clock.extended(refused, notice, CHICAGO)


def test_urgency_moves_the_clock_and_keeps_its_history() -> None:
    """From where it began: 72 hours, then 7 days again; both words stay."""
    later = START + timedelta(hours=1)
    first = Judged(Urgency.EXPEDITED, "Dr. Okafor", START)
    second = Judged(Urgency.STANDARD, "The payer", later)
    urgent = prior_auth_clock.judged(
        task("2026-11-04T23:59:59.999-06:00"), first, limit(Urgency.EXPEDITED), CHICAGO
    )
    back = prior_auth_clock.judged(urgent, second, limit(Urgency.STANDARD), CHICAGO)

    assert ("urgent", "2026-10-31T10:00:00.000-05:00") == (urgent["priority"], end(urgent))
    assert ("routine", "2026-11-04T23:59:59.999-06:00") == (back["priority"], end(back))
    assert (first, second) == prior_auth_clock.judgements(back)
    assert [] == structure.check(back)


def test_an_extension_stays_when_the_urgency_changes() -> None:
    """Its days are added to the other limit."""
    longer = prior_auth_clock.extended(
        task("2026-11-04T23:59:59.999-06:00"), Extension(2, START, "A scan is due"), CHICAGO
    )
    said = Judged(Urgency.EXPEDITED, "Dr. Okafor", START)

    assert "2026-11-02T10:00:00.000-06:00" == end(
        prior_auth_clock.judged(longer, said, limit(Urgency.EXPEDITED), CHICAGO)
    )


@pytest.mark.parametrize(("level", "urgency"), [("U", "expedited"), ("E", "standard")])
def test_without_a_word_it_is_as_it_was_asked(level: str, urgency: str) -> None:
    """By the level of service; a person's word goes first."""
    concept = given.coded(pas.LEVEL_OF_SERVICE, level)
    claim = given.claim(
        extension=[{"url": pas.EXT_LEVEL_OF_SERVICE, "valueCodeableConcept": concept}]
    )
    waiting = task("2026-11-04T10:00:00-06:00")
    said = Judged(Urgency.STANDARD, "x", START)

    assert urgency == prior_auth_clock.urgency(waiting, claim).value
    assert Urgency.STANDARD is prior_auth_clock.urgency(
        prior_auth_clock.judged(waiting, said, None, CHICAGO), claim
    )


def test_a_payer_without_a_limit_has_no_clock() -> None:
    """Whoever holds it how urgent."""
    said = Judged(Urgency.EXPEDITED, "x", START)
    found = prior_auth_clock.judged(task("2026-11-04T10:00:00-06:00"), said, None, CHICAGO)

    assert "restriction" not in found
