"""Who pays first: the cases of payer-partners 10.4, each with its reason."""

from datetime import date
from itertools import permutations
from typing import Any

import pytest

from fhir_profiles import benefit_order
from fhir_profiles.benefit_order import Entitlement, Parent, Patient, Payer, Plan, Work

AGED, DISABLED = Patient(entitlement=Entitlement.AGE), Patient(entitlement=Entitlement.DISABILITY)
CHILD, ADULT = Patient(is_child=True), Patient()
MEDICARE = Plan("Medicare", Payer.MEDICARE)
MEDICAID = Plan("Medicaid", Payer.MEDICAID)
GHP = Plan("ghp", employees=500, since=date(2020, 1, 1))


def esrd(month: int, *, was_primary: bool = False) -> Patient:
    return Patient(entitlement=Entitlement.ESRD, esrd_month=month, was_primary=was_primary)


def of_parent(name: str, month: int = 1, day: int = 1, **more: Any) -> Plan:
    return Plan(name, is_own=False, birthday=(month, day), **more)


def of_employer(employees: int) -> Plan:
    return Plan("ghp", employees=employees)


CASES = [
    ("own before spouse's", ADULT, [Plan("spouse", is_own=False), Plan("own")], "own > spouse",
     "subscriber"),
    ("birthday", CHILD, [of_parent("father", 7, 5), of_parent("mother", 3, 15)], "mother > father",
     "03-15"),
    ("same birthday", CHILD, [of_parent("father", since=date(2021, 1, 1)),
                              of_parent("mother", since=date(2018, 1, 1))], "mother > father",
     "2018-01-01"),
    ("decree", CHILD, [of_parent("mother", 1, 1), of_parent("father", 9, 9, decreed=True)],
     "father > mother", "decree"),
    ("apart", CHILD, [of_parent("father", parent=Parent.NONCUSTODIAL),
                      of_parent("stepfather", parent=Parent.CUSTODIAL_SPOUSE),
                      of_parent("mother", parent=Parent.CUSTODIAL)],
     "mother > stepfather > father", "custodial"),
    ("leap day", CHILD, [of_parent("mother", 2, 29), of_parent("father", 2, 28)],
     "father > mother", "02-28"),
    ("active before retired", ADULT, [Plan("retiree", work=Work.RETIRED), Plan("active")],
     "active > retiree", "active employee"),
    ("COBRA after", ADULT, [Plan("cobra", work=Work.CONTINUED), Plan("new")], "new > cobra",
     "not continued"),
    ("longer", ADULT, [Plan("newer", since=date(2024, 1, 1)),
                       Plan("older", since=date(2019, 1, 1))],
     "older > newer", "2019-01-01"),
    ("no provision", ADULT, [Plan("own"), Plan("no-cob", is_own=False, coordinates=False)],
     "no-cob > own", "no provision"),
    ("working aged 20", AGED, [MEDICARE, of_employer(20)], "ghp > Medicare", "limit 20"),
    ("working aged 19", AGED, [MEDICARE, of_employer(19)], "Medicare > ghp", "Medicare"),
    ("disability 99", DISABLED, [MEDICARE, of_employer(99)], "Medicare > ghp", "Medicare"),
    ("disability 100", DISABLED, [MEDICARE, of_employer(100)], "ghp > Medicare", "limit 100"),
    ("ESRD month 30", esrd(30), [MEDICARE, of_employer(5)], "ghp > Medicare", "month 30"),
    ("ESRD month 31", esrd(31), [MEDICARE, of_employer(5000)], "Medicare > ghp", "Medicare"),
    ("ESRD and COBRA", esrd(3), [MEDICARE, Plan("cobra", work=Work.CONTINUED)],
     "cobra > Medicare", "month 3"),
    ("Medicare was first", esrd(3, was_primary=True), [GHP, MEDICARE], "Medicare > ghp",
     "Medicare"),
    ("retiree", AGED, [Plan("retiree", work=Work.RETIRED, employees=500), MEDICARE],
     "Medicare > retiree", "Medicare"),
    ("COBRA and Medicare", AGED, [Plan("cobra", work=Work.CONTINUED, employees=500), MEDICARE],
     "Medicare > cobra", "Medicare"),
    ("Medicaid last", AGED, [MEDICAID, MEDICARE, GHP], "ghp > Medicare > Medicaid", "employer of"),
    ("work injury", ADULT, [GHP, Plan("WC", Payer.ACCIDENT, for_visit=True)], "WC > ghp",
     "accident"),
    ("auto accident", AGED, [Plan("Medigap", Payer.SUPPLEMENT), MEDICARE,
                             Plan("no-fault", Payer.ACCIDENT, for_visit=True)],
     "no-fault > Medicare > Medigap", "accident"),
    ("TRICARE", ADULT, [Plan("TRICARE", Payer.TRICARE), GHP], "ghp > TRICARE", "only plan"),
    ("Indian Health Service", ADULT, [Plan("last", Payer.INDIAN_HEALTH), MEDICAID],
     "Medicaid > last", "Medicaid"),
    ("spouse's active plan", AGED, [
        Plan("own-retiree", work=Work.RETIRED), MEDICARE,
        Plan("spouse-active", is_own=False, employees=200)],
     "spouse-active > Medicare > own-retiree", "employer of 200"),
    ("individual plan", AGED, [Plan("individual", Payer.INDIVIDUAL), MEDICARE],
     "Medicare > individual", "Medicare"),
]  # fmt: skip


@pytest.mark.req("R003-56")
@pytest.mark.parametrize(
    ("patient", "plans", "expected", "reason"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_the_order_and_its_reason(
    patient: Patient, plans: list[Plan], expected: str, reason: str
) -> None:
    """However the plans are listed; nobody shares a place."""
    for listed in permutations(plans):
        found = benefit_order.order(listed, patient)
        assert expected == " > ".join(one.plan.name for one in found)
        assert reason in found[0].reason
        assert list(range(1, len(plans) + 1)) == [one.place for one in found]
        assert not any(one.is_tie for one in found)


@pytest.mark.parametrize(
    ("patient", "plans", "missing"),
    [
        (ADULT, [Plan("a", since=date(2020, 1, 1)), Plan("b", since=date(2020, 1, 1))], "equal by"),
        (ADULT, [Plan("a"), Plan("b", since=date(2020, 1, 1))], "since when"),
        (CHILD, [of_parent("a", 2, 2), Plan("b", is_own=False)], "birthday"),
        (CHILD, [of_parent("a", parent=Parent.CUSTODIAL), of_parent("b")], "which parent"),
        (AGED, [MEDICARE, Plan("b")], "size of the employer"),
        (ADULT, [MEDICARE, of_employer(500)], "why the patient has Medicare"),
    ],
)
def test_what_is_not_known_decides_nothing(
    patient: Patient, plans: list[Plan], missing: str
) -> None:
    """A tie in the first place, with what is to be asked."""
    for listed in permutations(plans):
        found = benefit_order.order(listed, patient)
        assert [(1, True)] * 2 == [(one.place, one.is_tie) for one in found]
        assert any(missing in one.reason for one in found)


def test_an_accident_payer_is_not_of_another_visit() -> None:
    """It has no place, and says why."""
    found = benefit_order.order([Plan("WC", Payer.ACCIDENT), GHP], ADULT)

    assert [("ghp", 1), ("WC", 0)] == [(one.plan.name, one.place) for one in found]
    assert "not of this visit" in found[1].reason


def test_medicare_goes_before_a_retiree_plan_whatever_it_provides() -> None:
    """The Medicare rules are federal: a plan cannot give itself another place."""
    retiree = Plan("retiree", work=Work.RETIRED, coordinates=False)

    assert ["Medicare", "retiree"] == [
        one.plan.name for one in benefit_order.order([retiree, MEDICARE], AGED)
    ]


def test_the_parts_of_medicare_are_no_tie() -> None:
    """A and B are one payer; dental pays for no visit."""
    plans = [Plan("b", Payer.MEDICARE), Plan("a", Payer.MEDICARE), Plan("dental", Payer.APART)]
    found = benefit_order.order(plans, AGED)

    assert [("a", 1, False), ("b", 2, False), ("dental", 0, False)] == [
        (one.plan.name, one.place, one.is_tie) for one in found
    ]


def test_a_third_plan_follows_a_tie() -> None:
    """Two share the second place; the fourth stays the fourth."""
    plans = [Plan("cobra", work=Work.CONTINUED), GHP, Plan("a", is_own=False),
             Plan("b", is_own=False), Plan("TRICARE", Payer.TRICARE)]  # fmt: skip
    found = benefit_order.order(plans, ADULT)

    assert [("ghp", 1), ("cobra", 2), ("a", 3), ("b", 3), ("TRICARE", 5)] == [
        (one.plan.name, one.place) for one in found
    ]
