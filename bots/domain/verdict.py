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
OUTAGES = frozenset({"42", "80"})
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
    flags = [*_general_flags(answer), *flags]
    start, end = plan_dates(answer, _speaking(rows, status, on))
    outside = (start and on < start) or (end and on > end)
    if status is Status.ACTIVE and outside:
        status = Status.INACTIVE
        flags.append("status-date-conflict")
    return Verdict(status, start, end, tuple(dict.fromkeys(flags)))


def plan_dates(answer: Answer, rows: list[Benefit]) -> tuple[date | None, date | None]:
    """Return the plan's first and last day: the row's own dates first, then the patient's.

    A single date under 291, 292 or 307 is taken as the start, since payers differ.
    """
    for dates in (*(row.dates for row in rows), answer.dates):
        found = _period({d.qualifier: d for d in reversed(dates)})
        if found != (None, None):
            return found
    return None, None


def _period(by_qualifier: dict[str, Dated]) -> tuple[date | None, date | None]:
    plan = by_qualifier.get("291")
    if plan is not None:
        return plan.start, plan.end
    for begin, finish in _PAIRS:
        if begin in by_qualifier or finish in by_qualifier:
            first, last = by_qualifier.get(begin), by_qualifier.get(finish)
            return (first.start if first else None), (last.end or last.start if last else None)
    for qualifier in ("307", "292"):
        if qualifier in by_qualifier:
            return by_qualifier[qualifier].start, by_qualifier[qualifier].end
    return None, None


def _rejected(rejects: Iterable[Reject]) -> Status:
    reasons = {reject.reason for reject in rejects}
    if reasons & OUTAGES:
        return Status.OUTAGE
    return Status.NOT_FOUND if reasons & _NOT_FOUND else Status.REJECTED


def _plan_rows(benefits: Iterable[Benefit], asked: set[str]) -> list[Benefit]:
    """Return the status rows that speak of the plan: type 30 or none, else of the asked types."""
    rows = [b for b in benefits if b.kind in ACTIVE_KINDS | INACTIVE_KINDS]
    plan = [b for b in rows if b.service_type in (PLAN, None)]
    asked_for = asked - {PLAN}
    return plan or [b for b in rows if b.service_type in asked_for and b.kind in ACTIVE_KINDS]


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
    if kinds & ACTIVE_KINDS:
        return Status.ACTIVE, ["no-plan-level"]
    if kinds & (INACTIVE_KINDS | {"I"}):
        return Status.NOT_COVERED, ["no-plan-level"]
    return Status.UNKNOWN, ["contact-payer"] if kinds & CONTACT_KINDS else ["no-status"]


def _speaking(rows: list[Benefit], status: Status, on: date) -> list[Benefit]:
    """Return the plan rows that say `status`, those whose own dates hold on the day first."""
    kinds = ACTIVE_KINDS if status is Status.ACTIVE else INACTIVE_KINDS
    said = [row for row in rows if row.kind in kinds]
    return sorted(said, key=lambda row: not _covers(row, on))


def _covers(row: Benefit, on: date) -> bool:
    start, end = _period({d.qualifier: d for d in reversed(row.dates)})
    return (start is None or start <= on) and (end is None or on <= end)


def _general_flags(answer: Answer) -> Iterator[str]:
    yield from answer.flags
    for benefit in answer.benefits:
        yield from benefit.flags
        if is_other_payer(benefit):
            yield "other-payer"
    if answer.rejects:
        yield "partial"


def is_other_payer(benefit: Benefit) -> bool:
    """Tell whether a row speaks of other insurance of the person (EB01 R, not a carve-out)."""
    return benefit.kind == "R" and benefit.service_type not in CARVE_OUTS
