"""On which days a coverage holds, and what was known about it when: events folded into segments.

Inside, an interval is half-open: the first covered day and the first uncovered one. FHIR
`Period.end` and most payers name the last covered day, so that a day is added on the way in and
taken off on the way out. Days are dates of the plan's calendar, never times.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import Enum

DAY = timedelta(days=1)
# What payers write for "no end"; a day after the last of them is no date any more.
OPEN_ENDS = frozenset(date(year, 12, 31) for year in (2099, 2199, 2999, 9999))
RANK_CONFLICT, RANK_GAP = "rank-conflict", "rank-gap"
_FOREVER = date.max


class Kind(Enum):
    """What happened to a coverage (X12 834 maintenance types 021, 024, 025, 001, and a void)."""

    ENROLL = "enroll"
    TERM = "term"
    REINSTATE = "reinstate"
    STATUS = "status"
    VOID = "void"


@dataclass(frozen=True, slots=True)
class Event:
    """One piece of news about a plan, recorded on `known`.

    `start` is the first day it is about; `end` the first uncovered day, None for none. Of a term
    only `end` counts; a reinstatement without `start` goes on where the coverage ended.
    """

    kind: Kind
    plan: str
    known: date
    start: date | None = None
    end: date | None = None
    rank: int = 1
    status: str = ""


@dataclass(frozen=True, slots=True)
class Segment:
    """Days without a break, `start` to before `end` (None: open), of one plan, rank and status."""

    plan: str
    start: date
    end: date | None = None
    rank: int = 1
    status: str = ""

    def holds(self, day: date) -> bool:
        """Tell whether the day is covered."""
        return self.start <= day < (self.end or _FOREVER)


@dataclass(frozen=True, slots=True)
class Standing:
    """What holds on a day, the first payer first; `gap_days` to the nearest segment if none."""

    segments: tuple[Segment, ...] = ()
    flags: tuple[str, ...] = ()
    gap_days: int | None = None

    @property
    def plans(self) -> tuple[tuple[str, int, str], ...]:
        """Return plan, rank and status of each segment, without its days."""
        return tuple((s.plan, s.rank, s.status) for s in self.segments)


def uncovered_from(last_day: date | None, *, is_exclusive: bool = False) -> date | None:
    """Return the first uncovered day of an end as a partner states it, None for an open one."""
    if last_day is None or last_day in OPEN_ENDS:
        return None
    return last_day if is_exclusive else last_day + DAY


def period(segment: Segment) -> dict[str, str]:
    """Return a segment as a FHIR Period, whose end is the last covered day."""
    found = {"start": segment.start.isoformat()}
    if segment.end is not None:
        found["end"] = (segment.end - DAY).isoformat()
    return found


def fold(events: Iterable[Event], as_of: date | None = None) -> list[Segment]:
    """Return the segments that follow from the events known on `as_of`, in order of their days.

    Events are taken in the order in which they became known, those of one day as they stand. The
    same one told twice in a row changes nothing.
    """
    known = [one for one in events if as_of is None or one.known <= as_of]
    found: list[Segment] = []
    last = None
    for event in sorted(known, key=lambda one: one.known):
        found = found if event == last else _FOLDS[event.kind](found, event)
        last = event
    return _merged(found)


def on(segments: Iterable[Segment], day: date) -> Standing:
    """Return what holds on a day, and what is wrong with the order of payment."""
    every = list(segments)
    found = sorted((s for s in every if s.holds(day)), key=lambda s: (s.rank, s.plan))
    if not found:
        return Standing(gap_days=_gap(every, day))
    ranks = [s.rank for s in found]
    flags = []
    if len(set(ranks)) < len(ranks):
        flags.append(RANK_CONFLICT)
    elif ranks != list(range(1, len(ranks) + 1)):
        flags.append(RANK_GAP)
    return Standing(tuple(found), tuple(flags))


def of_stay(segments: Iterable[Segment], admitted: date, discharged: date, *, splits: bool
            ) -> Standing:  # fmt: skip
    """Return the plan of an inpatient stay: of the day of admission, unless the contract splits."""
    return on(segments, discharged if splits else admitted)


def changed(before: Sequence[Segment], after: Sequence[Segment]) -> list[tuple[date, date | None]]:
    """Return the days on which two foldings differ, as half-open intervals: what to check again."""
    bounds = sorted({b for s in (*before, *after) for b in (s.start, s.end) if b is not None})
    found: list[tuple[date, date | None]] = []
    for place, start in enumerate(bounds):
        if on(before, start).plans == on(after, start).plans:
            continue
        end = bounds[place + 1] if place + 1 < len(bounds) else None
        if found and found[-1][1] == start:
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return found


def _gap(segments: Iterable[Segment], day: date) -> int | None:
    """Return the days to the nearest covered day, None where there is no segment."""
    before = [(day - s.end).days + 1 for s in segments if s.end is not None and s.end <= day]
    after = [(s.start - day).days for s in segments if s.start > day]
    return min([*before, *after], default=None)


def _enroll(found: list[Segment], event: Event) -> list[Segment]:
    if event.start is None or event.start >= (event.end or _FOREVER):
        return found
    added = Segment(event.plan, event.start, event.end, event.rank, event.status)
    return [*_without(found, event.plan, event.start, event.end), added]


def _term(found: list[Segment], event: Event) -> list[Segment]:
    return _without(found, event.plan, event.end or event.known, None)


def _reinstate(found: list[Segment], event: Event) -> list[Segment]:
    ended = [s for s in found if s.plan == event.plan and s.end is not None]
    last = max(ended, key=lambda s: s.end or _FOREVER, default=None)
    start = event.start or (last.end if last else None)
    rank = last.rank if last else event.rank
    return _enroll(found, replace(event, start=start, rank=rank))


def _status(found: list[Segment], event: Event) -> list[Segment]:
    """Give the days of an event another status, as far as they are covered."""
    start, end = event.start or event.known, event.end
    if start >= (end or _FOREVER):
        return found
    marked = [
        replace(s, start=max(s.start, start), end=_earlier(s.end, end), status=event.status)
        for s in found
        if s.plan == event.plan and s.start < (end or _FOREVER) and start < (s.end or _FOREVER)
    ]
    return [*_without(found, event.plan, start, end), *marked]


def _void(found: list[Segment], event: Event) -> list[Segment]:
    return [s for s in found if s.plan != event.plan]


_FOLDS = {
    Kind.ENROLL: _enroll,
    Kind.TERM: _term,
    Kind.REINSTATE: _reinstate,
    Kind.STATUS: _status,
    Kind.VOID: _void,
}


def _without(found: list[Segment], plan: str, start: date, end: date | None) -> list[Segment]:
    """Return the segments with the days from `start` to before `end` taken off a plan."""
    kept: list[Segment] = []
    for one in found:
        if one.plan != plan:
            kept.append(one)
            continue
        kept.append(replace(one, end=_earlier(one.end, start)))
        if end is not None:
            kept.append(replace(one, start=max(one.start, end)))
    return [s for s in kept if s.start < (s.end or _FOREVER)]


def _earlier(one: date | None, other: date | None) -> date | None:
    return min((d for d in (one, other) if d is not None), default=None)


def _merged(found: list[Segment]) -> list[Segment]:
    """Join what follows on without a break and says the same; drop what has no day."""
    made: list[Segment] = []
    for one in sorted(found, key=lambda s: (s.plan, s.rank, s.start)):
        last = made[-1] if made else None
        same = last is not None and (last.plan, last.rank, last.status) == (
            one.plan, one.rank, one.status)  # fmt: skip
        if last is not None and same and (last.end is None or one.start <= last.end):
            end = None if last.end is None or one.end is None else max(last.end, one.end)
            made[-1] = replace(last, end=end)
        else:
            made.append(one)
    return sorted(made, key=lambda s: (s.start, s.rank, s.plan))
