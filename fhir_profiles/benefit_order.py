"""Who pays first: the order of benefits of a patient's plans on a day of service, with reasons.

The rules, in order: accident payers for their own visit; Medicare against group plans by the
Medicare Secondary Payer provisions (42 CFR 411.20 to 411.206); then those of the NAIC Coordination
of Benefits Model Regulation (Model 120), section 6; TRICARE, Medicaid and the Indian Health Service
last. What is not known decides nothing: a tie is said to be one.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum

WORKING_AGED_SIZE, DISABILITY_SIZE, ESRD_MONTHS = 20, 100, 30


class Payer(StrEnum):
    """What kind of payer a plan is of."""

    GROUP = "group"
    INDIVIDUAL = "individual"
    MEDICARE = "medicare"
    SUPPLEMENT = "supplement"
    MEDICAID = "medicaid"
    TRICARE = "tricare"
    INDIAN_HEALTH = "indian-health"
    APART = "apart"
    ACCIDENT = "accident"


class Entitlement(StrEnum):
    """Why a person has Medicare."""

    AGE = "age"
    DISABILITY = "disability"
    ESRD = "esrd"


class Parent(StrEnum):
    """Whose plan covers a child, in the order of Model 120 6(D)(2)(b)(iv) without a decree."""

    CUSTODIAL = "custodial"
    CUSTODIAL_SPOUSE = "custodial-spouse"
    NONCUSTODIAL = "noncustodial"
    NONCUSTODIAL_SPOUSE = "noncustodial-spouse"


class Work(StrEnum):
    """On what a group plan rests."""

    ACTIVE = "active"
    RETIRED = "retired"
    CONTINUED = "cobra"


@dataclass(frozen=True, slots=True)
class Plan:
    """One plan of a patient on a day, as far as it is known.

    `is_own` tells whether the patient is the subscriber; `since` from when the plan covers the
    patient; `employees` is the size of the employer. For a child `birthday` is the month and day of
    the parent whose plan it is, `parent` who that is where the parents live apart, and `decreed`
    that a court names this parent. `for_visit` tells of an accident payer that the visit is about
    that accident. `coordinates` is False of a plan without a provision about other plans.
    """

    name: str
    payer: Payer = Payer.GROUP
    is_own: bool = True
    work: Work = Work.ACTIVE
    employees: int | None = None
    since: date | None = None
    birthday: tuple[int, int] | None = None
    parent: Parent | None = None
    decreed: bool = False
    for_visit: bool = False
    coordinates: bool = True


@dataclass(frozen=True, slots=True)
class Patient:
    """What of a patient decides: why they have Medicare, and for how many months if by ESRD.

    `was_primary` tells that Medicare was properly first already when the ESRD began.
    """

    is_child: bool = False
    entitlement: Entitlement | None = None
    esrd_month: int = 0
    was_primary: bool = False


@dataclass(frozen=True, slots=True)
class Placed:
    """A plan with its place from 1 (0: not for this visit), the reason, and whether it is a tie."""

    plan: Plan
    place: int
    reason: str
    is_tie: bool = False


def order(plans: Iterable[Plan], patient: Patient) -> list[Placed]:
    """Return the plans in the order in which they pay, those that do not last with place 0."""
    listed = list(plans)
    has_medicare = any(one.payer is Payer.MEDICARE for one in listed)
    tiers: dict[int, list[tuple[Plan, str]]] = {}
    apart: list[Placed] = []
    for one in listed:
        why = _apart(one)
        if why:
            apart.append(Placed(one, 0, why))
            continue
        tier, reason = _tier(one, patient, has_medicare=has_medicare)
        tiers.setdefault(tier, []).append((one, reason))
    found: list[Placed] = []
    for tier in sorted(tiers):
        found += _within(tiers[tier], patient, len(found) + 1)
    return found + apart


def _apart(plan: Plan) -> str:
    """Return why a plan does not pay for the visit at all, "" if it may."""
    if plan.payer is Payer.APART:
        return "no insurance of medical care"
    is_other = plan.payer is Payer.ACCIDENT and not plan.for_visit
    return "an accident payer, and not of this visit" if is_other else ""


_FIRST, _BEFORE, _MEDICARE, _AFTER = range(4)
_LAST = {
    Payer.SUPPLEMENT: (5, "supplements Medicare"),
    Payer.TRICARE: (6, "TRICARE pays after other health plans"),
    Payer.MEDICAID: (7, "Medicaid pays last"),
    Payer.INDIAN_HEALTH: (8, "the payer of last resort"),
}


def _tier(plan: Plan, patient: Patient, *, has_medicare: bool) -> tuple[int, str]:
    """Return the step on which a plan stands, whatever the rules among equals say."""
    if plan.payer in _LAST:
        return _LAST[plan.payer]
    if plan.payer is Payer.ACCIDENT:
        return _FIRST, "an accident payer goes first"
    if plan.payer is Payer.MEDICARE:
        return _MEDICARE, "Medicare"
    if not has_medicare:
        return _BEFORE, "the only plan of its kind"
    return _beside_medicare(plan, patient)


def _beside_medicare(plan: Plan, patient: Patient) -> tuple[int, str]:
    """Return whether a plan pays before Medicare. Source: 42 CFR 411.162, 411.172, 411.206."""
    why = patient.entitlement
    if plan.payer is Payer.INDIVIDUAL:
        return _AFTER, "an individual plan pays after Medicare"
    if why is Entitlement.ESRD:
        if patient.was_primary:
            return _AFTER, "Medicare was first already when the ESRD began"
        is_before = patient.esrd_month <= ESRD_MONTHS
        return _BEFORE if is_before else _AFTER, f"month {patient.esrd_month} of ESRD"
    if plan.work is not Work.ACTIVE:
        return _AFTER, "rests on no current employment"
    if why is None:
        return _MEDICARE, "why the patient has Medicare is not known"
    if plan.employees is None:
        return _MEDICARE, "the size of the employer is not known"
    limit = WORKING_AGED_SIZE if why is Entitlement.AGE else DISABILITY_SIZE
    text = f"employer of {plan.employees}, limit {limit}, Medicare by {why}"
    return _BEFORE if plan.employees >= limit else _AFTER, text


def _within(plans: list[tuple[Plan, str]], patient: Patient, place: int) -> list[Placed]:
    """Return the plans of one tier in order, from `place` on."""
    kinds = {plan.payer for plan, _ in plans}
    if kinds == {Payer.MEDICARE}:
        listed = sorted(plans, key=lambda one: one[0].name)
        return [Placed(plan, place + n, why) for n, (plan, why) in enumerate(listed)]
    placed = [Placed(plan, place, reason) for plan, reason in plans]
    if Payer.MEDICARE in kinds:
        return [replace(one, is_tie=True) for one in placed]
    return _split(placed, (*_FIRSTLY, *(_CHILD if patient.is_child else ()), *_OTHERS))


@dataclass(frozen=True, slots=True)
class _Rule:
    """What is asked of each of some plans: a value, of which the smaller goes first, and a reason.

    None means that it is not known; `what` says what then is missing.
    """

    what: str
    say: Callable[[Plan, Sequence[Plan]], tuple[tuple[int, ...], str] | None]


def _split(placed: list[Placed], rules: Sequence[_Rule]) -> list[Placed]:
    """Return plans that are equal so far by the rules that are left.

    Where a rule needs what is not known of one of them, no later rule is asked.
    """
    if len(placed) == 1:
        return placed
    if not rules:
        text = "equal by every rule: ask the payers"
        return [replace(one, is_tie=True, reason=text) for one in placed]
    plans = [one.plan for one in placed]
    said = [rules[0].say(plan, plans) for plan in plans]
    groups: dict[tuple[int, ...], list[Placed]] = {}
    for one, told in zip(placed, said, strict=True):
        if told is None:
            text = f"{rules[0].what} is not known: ask the payers"
            return [replace(p, is_tie=True, reason=text) for p in placed]
        value, reason = told
        groups.setdefault(value, []).append(replace(one, reason=reason))
    if len(groups) == 1:
        return _split(placed, rules[1:])
    found: list[Placed] = []
    for value in sorted(groups):
        place = placed[0].place + len(found)
        found += _split([replace(one, place=place) for one in groups[value]], rules[1:])
    return found


def _provision(plan: Plan, _plans: Sequence[Plan]) -> tuple[tuple[int, ...], str]:
    text = "has a provision" if plan.coordinates else "has no provision"
    return (int(plan.coordinates),), f"{text} about other plans"


def _own(plan: Plan, _plans: Sequence[Plan]) -> tuple[tuple[int, ...], str]:
    text = "covers the patient as subscriber" if plan.is_own else "covers the patient as dependent"
    return (0 if plan.is_own else 1,), text


def _decree(plan: Plan, _plans: Sequence[Plan]) -> tuple[tuple[int, ...], str]:
    return (0 if plan.decreed else 1,), "a court decree" if plan.decreed else "no decree names it"


def _parent(plan: Plan, plans: Sequence[Plan]) -> tuple[tuple[int, ...], str] | None:
    if all(one.parent is None for one in plans):
        return (0,), ""
    if plan.parent is None:
        return None
    return (list(Parent).index(plan.parent),), f"the plan of the {plan.parent} parent"


def _birthday(plan: Plan, plans: Sequence[Plan]) -> tuple[tuple[int, ...], str] | None:
    if all(one.parent is not None or one.is_own for one in plans):
        return (0,), ""
    if plan.birthday is None:
        return None
    month, day = plan.birthday
    return plan.birthday, f"the parent's birthday is {month:02}-{day:02}"


def _work(plan: Plan, _plans: Sequence[Plan]) -> tuple[tuple[int, ...], str]:
    is_retired = plan.work is Work.RETIRED
    return (int(is_retired),), "of a retiree" if is_retired else "of an active employee"


def _continued(plan: Plan, _plans: Sequence[Plan]) -> tuple[tuple[int, ...], str]:
    is_cobra = plan.work is Work.CONTINUED
    return (int(is_cobra),), "continued (COBRA)" if is_cobra else "not continued coverage"


def _since(plan: Plan, _plans: Sequence[Plan]) -> tuple[tuple[int, ...], str] | None:
    return ((plan.since.toordinal(),), f"in force since {plan.since}") if plan.since else None


# NAIC Model 120, section 6(D), in its order; those of children only for children.
_FIRSTLY = (
    _Rule("whether it has a provision about other plans", _provision),
    _Rule("who the subscriber is", _own),
)
_CHILD = (
    _Rule("a court decree", _decree),
    _Rule("with which parent the child lives", _parent),
    _Rule("a parent's birthday", _birthday),
)
_OTHERS = (
    _Rule("the employment", _work),
    _Rule("whether it is continued coverage", _continued),
    _Rule("since when each plan is in force", _since),
)
