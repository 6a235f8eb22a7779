"""Is the plan in force on the day of service? The verdict on one answer, and why.

A reject is never "inactive", and silence is never "active": what a payer did not say stays
unknown, a verdict of its own. Source: X12 005010X279A1 EB01, DTP01, AAA03.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from enum import Enum

from bots.domain.eligibility import Answer, Benefit, Dated, Reject

ACTIVE_KINDS = frozenset({"1", "2", "3", "4", "5"})
INACTIVE_KINDS = frozenset({"6", "7", "8"})
PENDING = "5"
CONTACT_KINDS = frozenset({"U", "V", "T", "W"})
PLAN = "30"  # EB03: the health benefit plan as a whole
# EB01 R for these types says where a benefit is, not that the person has other insurance.
CARVE_OUTS = frozenset({"35", "AL", "88", "MH"})
_NOT_FOUND = frozenset({"58", *(str(n) for n in range(64, 69)), *(str(n) for n in range(71, 79))})
TRUNCATED = "truncated"  # a flag of the answer: its end is missing
OUTAGES = frozenset({"42", "80"})
_AGAIN = frozenset({"", "C", "P", "R"})  # AAA04: the same question may be sent again
_DEATH = "442"  # DTP01
_PAIRS = (("346", "347"), ("348", "349"), ("356", "357"))


class Status(Enum):
    """What an answer says about the plan on the day asked."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    NOT_COVERED = "not-covered"
    UNKNOWN = "unknown"
    NOT_FOUND = "not-found"
    REJECTED = "rejected"
    OUTAGE = "outage"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`status`, the plan's dates as far as stated, and flags that a person should look at."""

    status: Status
    start: date | None = None
    end: date | None = None
    flags: tuple[str, ...] = ()

    @property
    def inforce(self) -> bool | None:
        """True or False where the payer said so, None where it did not."""
        return {Status.ACTIVE: True, Status.INACTIVE: False}.get(self.status)


def judge(answer: Answer, asked: Iterable[str], on: date) -> Verdict:
    """Return the verdict for the service types `asked` on day `on`."""
    if not answer.benefits and answer.rejects:
        return Verdict(_rejected(answer.rejects))
    rows = _plan_rows(answer.benefits, set(asked))
    status, flags = _status(answer.benefits, rows, on)
    if TRUNCATED in answer.flags and status is not Status.ACTIVE:
        status = Status.UNKNOWN  # what is missing may have said otherwise
    flags = [*_general_flags(answer), *flags]
    span = _plan_span(answer, _speaking(rows, status, on))
    if span.as_of:
        flags.append("as-of-date")
    if status is Status.ACTIVE and not (span.holds(on) and span.has_begun(on)):
        flags.append("status-date-conflict")
        status = Status.ACTIVE if span.holds(on) else Status.INACTIVE
    return Verdict(status, span.start, span.end, tuple(dict.fromkeys(flags)))


@dataclass(frozen=True, slots=True)
class _Span:
    """The days of a plan; None is open. `as_of`: `start` may be only the day that was looked at."""

    start: date | None = None
    end: date | None = None
    as_of: bool = False

    def has_begun(self, on: date) -> bool:
        return self.start is None or self.start <= on

    def holds(self, on: date) -> bool:
        begun = self.has_begun(on) or self.as_of
        return begun and (self.end is None or on <= self.end)


def _plan_span(answer: Answer, rows: list[Benefit]) -> _Span:
    """Return the plan's days: of the row itself first, then of the patient, of the subscriber."""
    for dates in (*(row.dates for row in rows), answer.dates, answer.subscriber_dates):
        found = _span(dates)
        if found != _Span():
            return found
    return _Span()


def _span(dates: Iterable[Dated]) -> _Span:
    """Read DTPs: 291, else a pair of begin and end, else 307, else 292 (X12 005010X279A1).

    A single date under 291, 292 or 307 is taken as the start, and said to be uncertain: some
    payers send the day they looked.
    """
    by_qualifier = {d.qualifier: d for d in reversed(list(dates))}
    for qualifier in ("291", *_PAIRS, "307", "292"):
        if isinstance(qualifier, tuple):
            first, last = (by_qualifier.get(q) for q in qualifier)
            start = first.start if first else None
            end = last.end or last.start if last else None
            if start and end and end < start:
                continue  # nobody knows which of them is wrong
            if first or last:
                return _Span(start, end)
        elif qualifier in by_qualifier:
            one = by_qualifier[qualifier]
            return _Span(one.start, one.end, as_of=one.end is None)
    return _Span()


def _rejected(rejects: Iterable[Reject]) -> Status:
    reasons = {reject.reason for reject in rejects}
    if reasons & OUTAGES:
        return Status.OUTAGE
    return Status.NOT_FOUND if reasons & _NOT_FOUND else Status.REJECTED


def _plan_rows(benefits: Iterable[Benefit], asked: set[str]) -> list[Benefit]:
    """Return the status rows that speak of the plan.

    Those of type 30 or of none; else the active ones of the types asked for; else the active ones
    of any type.
    """
    rows = [b for b in benefits if b.kind in ACTIVE_KINDS | INACTIVE_KINDS]
    plan = [b for b in rows if b.service_type in (PLAN, None)]
    active = [b for b in rows if b.kind in ACTIVE_KINDS]
    return plan or [b for b in active if b.service_type in asked] or active


def _status(
    benefits: tuple[Benefit, ...], rows: list[Benefit], on: date
) -> tuple[Status, list[str]]:
    active = [b for b in rows if b.kind in ACTIVE_KINDS]
    inactive = [b for b in rows if b.kind in INACTIVE_KINDS]
    if active and inactive:
        current = [b for b in active if _covers(b, on)]
        ended = [b for b in inactive if _covers(b, on) and b.dates]
        if not current and ended:
            return Status.INACTIVE, ["mixed"]
        return Status.ACTIVE, ["mixed"]
    if active:
        flags = ["pending"] if all(b.kind == PENDING for b in active) else []
        if all(b.service_type not in (PLAN, None) for b in active):
            flags.append("no-plan-level")
        if len({(b.insurance_type, b.plan_name) for b in active}) > 1:
            flags.append("multi-plan")
        return Status.ACTIVE, flags
    if inactive:
        return Status.INACTIVE, []
    return _service_level(benefits)


def _service_level(benefits: tuple[Benefit, ...]) -> tuple[Status, list[str]]:
    kinds = {b.kind for b in benefits}
    if kinds & (INACTIVE_KINDS | {"I"}):
        return Status.NOT_COVERED, ["no-plan-level"]
    return Status.UNKNOWN, ["contact-payer"] if kinds & CONTACT_KINDS else ["no-status"]


def _speaking(rows: list[Benefit], status: Status, on: date) -> list[Benefit]:
    """Return the plan rows that say `status`, those whose own dates hold on the day first."""
    kinds = ACTIVE_KINDS if status is Status.ACTIVE else INACTIVE_KINDS
    said = [row for row in rows if row.kind in kinds]
    return sorted(said, key=lambda row: not _covers(row, on))


def _covers(row: Benefit, on: date) -> bool:
    return _span(row.dates).holds(on)


def _general_flags(answer: Answer) -> Iterator[str]:
    yield from answer.flags
    for benefit in answer.benefits:
        yield from benefit.flags
        if is_other_payer(benefit):
            yield "other-payer"
    dates = (*answer.dates, *(one for row in answer.benefits for one in row.dates))
    if any(one.qualifier == _DEATH for one in dates):
        yield "deceased"
    if answer.rejects:
        yield "partial"


def is_other_payer(benefit: Benefit) -> bool:
    """Tell whether a row speaks of other insurance of the person (EB01 R, not a carve-out)."""
    return benefit.kind == "R" and benefit.service_type not in CARVE_OUTS


def is_not_found(answer: Answer) -> bool:
    """Tell whether the payer said that it has no such person, and nothing else."""
    return not answer.benefits and _rejected(answer.rejects) is Status.NOT_FOUND


def may_be_asked_again(answer: Answer) -> bool:
    """Tell whether the payer was only down: the same question may get an answer later.

    That is, nothing but AAA 42 or 80, none of them with a follow-up that forbids it.
    """
    if answer.benefits or not answer.rejects:
        return False
    return all(r.reason in OUTAGES and r.follow_up in _AGAIN for r in answer.rejects)
