"""What payers' answers said about the days of a plan, as events of the window engine."""

from collections.abc import Iterable
from datetime import date, datetime, tzinfo
from typing import Any

from bots.domain import windows
from bots.domain.windows import Event, Kind
from fhir_profiles import elements, systems
from fhir_profiles.codes import State

Resource = dict[str, Any]
AS_OF = "as-of-date"  # a flag of the response
PLAN = "plan"  # of one coverage there is one
_ACTIVE = (State.ACTIVE.value, State.ACTIVE_REVIEW.value)


def is_history(response: Resource, zone: tzinfo) -> bool:
    """Tell whether an answer is about a day that was over at the clinic when it was given.

    Of the plan as it is now it says nothing: it is kept and shown, and is news to nobody.
    """
    on = elements.full_date(response.get("servicedDate"))
    told = _told(response, zone)
    return on is not None and told is not None and on < told


def events(responses: Iterable[Resource], zone: tzinfo) -> list[Event]:
    """Return the news that answers brought, in their order.

    An answer that is no word on the plan is no news. One that names the first day says all there is
    to say; one without dates speaks of its day, and what comes after it, unless that day was over.
    """
    found: list[Event] = []
    for response in sorted(responses, key=lambda one: str(one["created"])):
        state = elements.tag(response, systems.ELIGIBILITY_STATE)
        if state in _ACTIVE:
            found += _active(response, zone)
        elif state == State.INACTIVE.value:
            _, end, on, told = _dates(response, zone)
            # A plan that begins later is not in force yet: of its end nothing is said.
            is_over = end is not None and end <= on
            if is_over or on >= told:
                found.append(Event(Kind.TERM, PLAN, told, end=end if is_over else on))
    return found


def _active(response: Resource, zone: tzinfo) -> list[Event]:
    start, end, on, told = _dates(response, zone)
    if on < told and start is None and end is None:
        return []
    stated = Event(Kind.ENROLL, PLAN, told, start=start or on, end=end)
    if start is not None:
        return [Event(Kind.VOID, PLAN, told), stated]
    return [Event(Kind.TERM, PLAN, told, end=end), stated] if end else [stated]


def _dates(response: Resource, zone: tzinfo) -> tuple[date | None, date | None, date, date]:
    """Return the first day, the first uncovered one, the day asked about, the day of the answer."""
    period = response["insurance"][0].get("benefitPeriod", {})
    start, last = (elements.full_date(period.get(name)) for name in ("start", "end"))
    on = date.fromisoformat(response["servicedDate"])
    marks = (e.get("valueString") for e in elements.extensions(response, systems.EXT_FLAG))
    if AS_OF in marks:
        start = None  # it may be only the day that the payer looked at
    return start, windows.uncovered_from(last), on, _told(response, zone) or on


def _told(response: Resource, zone: tzinfo) -> date | None:
    """Return the day on which an answer was given; None where it says less than a day."""
    created = str(response["created"])
    if "T" in created:
        return datetime.fromisoformat(created).astimezone(zone).date()
    return elements.full_date(created)
