"""Is the plan in force on the day of service? The verdict on one answer, and why.

A reject is never "inactive", and silence is never "active": what a payer did not say stays
unknown, a verdict of its own. Source: X12 005010X279A1 EB01, DTP01, AAA03.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from enum import Enum
from itertools import zip_longest

from bots.domain.eligibility import BEGINS_AND_ENDS, RANGES, Answer, Benefit, Dated, Reject

ACTIVE_KINDS = frozenset({"1", "2", "3", "4", "5"})
INACTIVE_KINDS = frozenset({"6", "7", "8"})
EXCLUDED_KINDS = frozenset({"I"})
_STATEMENTS = ACTIVE_KINDS | INACTIVE_KINDS | EXCLUDED_KINDS
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
_OUT_OF_NETWORK = "N"  # EB12
_DAY = timedelta(days=1)


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


def judge(answer: Answer, asked: Iterable[str], on: date, looked: date | None = None) -> Verdict:
    """Return the verdict for the service types `asked` on day `on`.

    `looked` is the day on which the payer was asked, `on` by default.
    """
    if not answer.benefits and answer.rejects:
        return Verdict(_rejected(answer.rejects))
    rows = _plan_rows(answer.benefits, set(asked))
    status, flags = _status(answer.benefits, rows, on)
    if TRUNCATED in answer.flags and status is not Status.ACTIVE:
        status = Status.UNKNOWN  # what is missing may have said otherwise
    flags = [*_general_flags(answer), *flags]
    span = _plan_span(answer, _speaking(rows, status), on)
    if span.as_of:
        flags.append("as-of-date")
    if status is Status.ACTIVE and not (span.holds(on) and span.has_begun(on)):
        flags.append("status-date-conflict")
        is_open = span.holds(on) and not span.is_after(looked or on)
        status = Status.ACTIVE if is_open else Status.INACTIVE
    elif status is Status.ACTIVE and span.end is None and _is_disputed(answer, rows, on):
        flags.append("status-date-conflict")
    return Verdict(status, span.start, span.end, tuple(dict.fromkeys(flags)))


@dataclass(frozen=True, slots=True)
class _Span:
    """The days of a plan; None is open. `as_of`: `start` may be only the day that was looked at."""

    start: date | None = None
    end: date | None = None
    as_of: bool = False

    @property
    def is_backwards(self) -> bool:
        """Tell whether it ends before it starts: one of the two is wrong, nobody knows which."""
        return self.start is not None and self.end is not None and self.end < self.start

    def has_begun(self, on: date) -> bool:
        return self.start is None or self.start <= on

    def holds(self, on: date) -> bool:
        begun = self.has_begun(on) or self.as_of
        return begun and (self.end is None or on <= self.end)

    def is_after(self, looked: date) -> bool:
        """Tell whether it starts later than any clock says it is on day `looked`."""
        return self.start is not None and self.start > looked + _DAY


def _plan_span(answer: Answer, rows: list[Benefit], on: date) -> _Span:
    """Return the days of the plan that `rows` speak of, of several the first that holds on `on`.

    A plan without dates of its own has those of the patient, or else of the subscriber.
    """
    plans: dict[tuple[str, str], list[_Span]] = {}
    for row in rows:
        plans.setdefault((row.insurance_type, row.plan_name), []).extend(_spans(row.dates))
    shared = _spans(answer.dates) or _spans(answer.subscriber_dates)
    open_end = [_Span()] if any(row.kind in ACTIVE_KINDS for row in rows) else []
    found = [span for own in plans.values() for span in own or shared or open_end]
    return _best(found or shared, on)


def _best(spans: list[_Span], on: date) -> _Span:
    """Return the first span that holds on a day, the first of all if none does."""
    known = [span for span in spans if span.holds(on) and span.has_begun(on)]
    known += [span for span in spans if span.holds(on)]
    return next(iter(known or spans), _Span())


def _spans(dates: Iterable[Dated]) -> list[_Span]:
    """Return the spans of the first kind of DTP that there is."""
    return next(_kinds_of_spans(list(dates)), [])


def _kinds_of_spans(dates: list[Dated]) -> Iterator[list[_Span]]:
    """Read DTPs: 291, pairs of begin and end, 307, then 292 (X12 005010X279A1), as far as given.

    Each may come several times. A single date under 291, 292 or 307 is taken as the start, and
    said to be uncertain: some payers send the day they looked.
    """
    first, *others = RANGES
    for qualifier in (first, *BEGINS_AND_ENDS, *others):
        if isinstance(qualifier, tuple):
            found = [one for one in _paired(dates, *qualifier) if not one.is_backwards]
        else:
            found = [
                _Span(one.start, one.end, as_of=one.end is None)
                for one in dates if one.qualifier == qualifier and (one.start or one.end)
            ]  # fmt: skip
        if found:
            yield found


def _paired(dates: list[Dated], begin: str, end: str) -> list[_Span]:
    """Join begins and ends in their order; one that is alone is open on its other side."""
    begins = [(one.start, one.end) for one in dates if one.qualifier == begin]
    ends = [one.end or one.start for one in dates if one.qualifier == end]
    joined = zip_longest(begins, ends, fillvalue=None)
    pairs = [_Span(first[0], last or first[1]) if first else _Span(None, last)
             for first, last in joined]  # fmt: skip
    return [one for one in pairs if one != _Span()]


def _is_disputed(answer: Answer, rows: list[Benefit], on: date) -> bool:
    """Tell whether dates of a plan without an end say that it ended before `on`, or run backwards.

    They gave way to other dates. Of several plans, those of one are no word against the others.
    """
    if len({(row.insurance_type, row.plan_name) for row in rows}) > 1:
        return False
    own = [one for row in rows for one in row.dates]
    told = [list(dates) for dates in (own, answer.dates, answer.subscriber_dates)]
    pairs = [one for dates in told for kind in BEGINS_AND_ENDS for one in _paired(dates, *kind)]
    return any(one.is_backwards for one in pairs) or any(
        all(span.end is not None and span.end < on for span in spans)
        for dates in told
        for spans in _kinds_of_spans(dates)
    )


def _rejected(rejects: Iterable[Reject]) -> Status:
    reasons = {reject.reason for reject in rejects}
    if reasons & OUTAGES:
        return Status.OUTAGE
    return Status.NOT_FOUND if reasons & _NOT_FOUND else Status.REJECTED


def _plan_rows(benefits: Iterable[Benefit], asked: set[str]) -> list[Benefit]:
    """Return the status rows that speak of the plan.

    Those of type 30 or of none; else the active ones of the types asked for, unless the payer says
    that it does not cover these; else the active ones of any type. What is said of one procedure
    says nothing about the plan.
    """
    stated = [b for b in benefits if b.procedure is None and b.kind in _STATEMENTS]
    rows = [b for b in stated if b.kind not in EXCLUDED_KINDS]
    plan = [b for b in rows if _is_plan(b)]
    if plan:
        return plan
    mine = [b for b in stated if b.service_type in asked and b.network != _OUT_OF_NETWORK]
    if any(b.kind not in ACTIVE_KINDS for b in mine):
        return [b for b in mine if b.kind in ACTIVE_KINDS]
    active = [b for b in benefits if b.kind in ACTIVE_KINDS]
    return [b for b in active if b.service_type in asked] or active


def _is_plan(row: Benefit) -> bool:
    """Tell whether a status row speaks of the plan as a whole."""
    return row.service_type in (PLAN, None) and row.procedure is None


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
        if not any(_is_plan(b) for b in active):
            flags.append("no-plan-level")
        if len({(b.insurance_type, b.plan_name) for b in active}) > 1:
            flags.append("multi-plan")
        return Status.ACTIVE, flags
    if inactive:
        return Status.INACTIVE, []
    return _service_level(benefits)


def _service_level(benefits: tuple[Benefit, ...]) -> tuple[Status, list[str]]:
    kinds = {b.kind for b in benefits}
    if kinds & (INACTIVE_KINDS | EXCLUDED_KINDS):
        return Status.NOT_COVERED, ["no-plan-level"]
    return Status.UNKNOWN, ["contact-payer"] if kinds & CONTACT_KINDS else ["no-status"]


def _speaking(rows: list[Benefit], status: Status) -> list[Benefit]:
    """Return the plan rows that say `status`."""
    kinds = ACTIVE_KINDS if status is Status.ACTIVE else INACTIVE_KINDS
    return [row for row in rows if row.kind in kinds]


def _covers(row: Benefit, on: date) -> bool:
    return _best(_spans(row.dates), on).holds(on)


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
