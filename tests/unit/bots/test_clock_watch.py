"""The watch on payers' clocks: a warning before, one when it is late, each once."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bots import clock_watch
from bots.errors import RetryLater
from fhir_profiles import prior_auth
from fhir_profiles.prior_auth import Status
from server.validation import structure
from tests.fakes import NOW, FakeFhir, tools

Resource = dict[str, Any]
pytestmark = pytest.mark.req("R70")


def task(fhir_id: str, *, began: timedelta, due: timedelta, to: Status = Status.PENDED) -> Resource:
    made = prior_auth.task(
        claim="Claim/pa", patient={"reference": "Patient/pat"}, number=fhir_id, bundle="",
        authored=NOW.isoformat(),
    )  # fmt: skip
    period = {"start": (NOW + began).isoformat(), "end": (NOW + due).isoformat()}
    return {**prior_auth.moved(made, to), "id": fhir_id, "restriction": {"period": period}}


DAY = timedelta(days=1)
FRESH = task("fresh", began=-DAY, due=6 * DAY)
SOON = task("soon", began=-6 * DAY, due=DAY)
LATE = task("late", began=-8 * DAY, due=-DAY)


def warnings(fhir: FakeFhir) -> list[tuple[str, str]]:
    found = [t for t in fhir.all("Task") if not prior_auth.status(t)]
    return sorted((t["code"]["coding"][0]["code"], t["focus"]["reference"]) for t in found)


def test_each_clock_warns_once() -> None:
    """Before it is due and when it is late; looked at twice, nothing is new."""
    fhir = FakeFhir(FRESH, SOON, LATE)

    assert [2, 0] == [clock_watch.run(tools(fhir)) for _ in range(2)]
    assert [("prior-auth-at-risk", "Task/soon"), ("prior-auth-overdue", "Task/late")] == warnings(
        fhir
    )
    assert [] == [p for one in fhir.all("Task") for p in structure.check(one)]


def test_a_clock_goes_through_both() -> None:
    """Warned at risk, and again when it is over."""
    fhir = FakeFhir(SOON)
    clock_watch.run(tools(fhir))
    clock_watch.run(tools(fhir, now=lambda: NOW + 2 * DAY))

    assert ["prior-auth-at-risk", "prior-auth-overdue"] == [code for code, _ in warnings(fhir)]


def test_a_clock_that_ends_later_warns_again() -> None:
    """After a payer's notice that it takes longer: at risk, and late, by the new end."""
    fhir = FakeFhir(SOON)
    clock_watch.run(tools(fhir))
    (there,) = [one for one in fhir.all("Task") if one["id"] == "soon"]
    later = (NOW + 8 * DAY).isoformat()
    there["restriction"]["period"]["end"] = later
    fhir.put(there)
    assert 0 == clock_watch.run(tools(fhir))
    clock_watch.run(tools(fhir, now=lambda: NOW + 7 * DAY))

    assert ["prior-auth-at-risk"] * 2 == [code for code, _ in warnings(fhir)]


@pytest.mark.parametrize("to", [Status.APPROVED, Status.DENIED, Status.CANCELLED])
def test_what_is_decided_is_not_watched(to: Status) -> None:
    """Nor what was cancelled."""
    fhir = FakeFhir(task("done", began=-8 * DAY, due=-DAY, to=to))

    assert 0 == clock_watch.run(tools(fhir))


def test_what_has_no_clock_is_not_watched() -> None:
    """Payers to whom no rule gives a time."""
    without = {k: v for k, v in LATE.items() if k != "restriction"}

    assert 0 == clock_watch.run(tools(FakeFhir(without)))


def test_the_clock_looks_every_quarter_of_an_hour() -> None:
    """A server that is away is said so, and asked again at the next look."""
    said: list[str] = []
    now = [datetime(2026, 11, 24, 15, tzinfo=UTC)]
    fhir = FakeFhir(LATE)
    looks = []
    search = fhir.search

    def counted(*given: Any) -> list[Resource]:
        looks.append(given)
        if len(looks) == 1:
            raise RetryLater("FHIR server: HTTP 503")
        return search(*given)

    fhir.search = counted  # type: ignore[method-assign, assignment]
    watch = clock_watch.Clock(tools(fhir, now=lambda: now[0]), said.append)
    for minutes in (0, 14, 1):
        now[0] += timedelta(minutes=minutes)
        watch.tick()

    assert ["clocks of prior authorizations: FHIR server: HTTP 503",
            "clocks of prior authorizations: warned of or ended 1"] == said  # fmt: skip


@pytest.mark.parametrize(
    ("day", "expected"), [("2026-11-23", "expired"), ("2026-11-24", "approved"), ("", "approved")]
)
def test_what_was_approved_ends_with_its_last_day(day: str, expected: str) -> None:
    """The last day still counts; without one it stays."""
    approved = task("over", began=-DAY, due=DAY, to=Status.APPROVED)
    fhir = FakeFhir(prior_auth.with_expiry(approved, day))
    clock_watch.run(tools(fhir))
    (found,) = fhir.all("Task")

    assert expected == prior_auth.status(found)
    assert [] == structure.check(found)
    if expected == "expired":
        assert "It held until 2026-11-23." == found["statusReason"]["text"]
