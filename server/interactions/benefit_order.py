"""A patient's stored coverages as plans, and the order in which they pay on a day.

What a Coverage cannot say in R4 stands in its `benefit-order-facts` extension; what is said nowhere
stays unknown, and makes a tie for a person to settle.
"""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any, TypeVar

from fhir_profiles import benefit_order, codec, elements, systems
from fhir_profiles.benefit_order import Entitlement, Parent, Patient, Payer, Placed, Plan, Work
from server.interactions import read, search
from server.interactions.engine import Engine

Resource = dict[str, Any]
Kind = TypeVar("Kind", bound=StrEnum)
LIMIT = 20  # coverages of a patient
AGE_65, YEAR_MONTHS = 65, 12
# Kinds of payers by codes of Coverage.type: HL7 ActCode, X12 1336, and PHDSC payment typology.
_CODES = {
    Payer.ACCIDENT: {systems.ACT_CODE: "WCBPOL AUTOPOL UNINSMOT PNC",
                     systems.X12_INSURANCE_TYPE: "AP WC LT PE RP"},
    Payer.MEDICAID: {systems.ACT_CODE: "SUBSIDIZ SUBSIDMC", systems.X12_INSURANCE_TYPE: "MC"},
    # 12 to 47 are Medicare too: "Medicare secondary", and to whom.
    Payer.MEDICARE: {systems.X12_INSURANCE_TYPE: "12 13 14 15 16 41 42 43 47 CP HN MA MB MP QM HS"},
    Payer.SUPPLEMENT: {systems.X12_INSURANCE_TYPE: "MH MI SP"},
    Payer.INDIVIDUAL: {systems.X12_INSURANCE_TYPE: "IP"},
    Payer.APART: {systems.SELF_PAY: "pay",
                  systems.ACT_CODE: "DENTAL DENTPRG DRUGPOL VISPOL LTC DIS LIFE",
                  systems.X12_INSURANCE_TYPE: "D DB LC LD LI PP FF"},
}  # fmt: skip
_KINDS = {
    (system, code): kind
    for kind, listed in _CODES.items()
    for system, codes in listed.items()
    for code in codes.split()
}
_TYPOLOGY = (
    ("1", Payer.MEDICARE),
    ("2", Payer.MEDICAID),
    ("31", Payer.TRICARE),
    ("33", Payer.INDIAN_HEALTH),
    ("95", Payer.ACCIDENT),
    ("96", Payer.ACCIDENT),
)


@dataclass(frozen=True, slots=True)
class Ranked:
    """One coverage in its place; `recorded` is the Coverage.order on file, if there is one."""

    coverage: Resource
    placed: Placed
    recorded: int | None


def of_patient(
    engine: Engine, patient: Resource, on: date, *, accident: bool = False
) -> list[Ranked]:
    """Return the active coverages of a patient that hold on a day, in the order they pay.

    `accident` tells that the visit is about an accident for which another payer is on file.
    """
    address = f"Patient/{patient['id']}"
    asked = [("beneficiary", address), ("status", "active"), ("_count", str(LIMIT))]
    bodies = search.search(engine, "Coverage", [*asked, ("_total", "none")]).bodies
    found = [one for one in map(codec.decode, bodies) if elements.is_current(one, on.isoformat())]
    by_id = {one["id"]: one for one in found}
    plans = [_plan(engine, one, accident=accident) for one in found]
    placed = benefit_order.order(plans, _patient(patient, found, on))
    return [Ranked(by_id[one.plan.name], one, by_id[one.plan.name].get("order")) for one in placed]


def findings(ranked: list[Ranked]) -> list[str]:
    """Return what is wrong with the orders on file: order-twice, order-missing, order-differs."""
    orders = [one.recorded for one in ranked if one.recorded is not None]
    found = ["order-twice"] if len(orders) != len(set(orders)) else []
    if len(ranked) > 1 and len(orders) < len(ranked):
        found.append("order-missing")
    certain = [one for one in ranked if one.placed.place and not one.placed.is_tie]
    on_file = [one.recorded for one in certain if one.recorded is not None]
    return found + (["order-differs"] if on_file != sorted(on_file) else [])


def _plan(engine: Engine, coverage: Resource, *, accident: bool) -> Plan:
    facts = _facts(coverage)
    employees = facts.get("employees")
    return Plan(
        name=coverage["id"],
        payer=_kind(coverage),
        is_own=_relationship(coverage) in ("self", ""),
        work=_one_of(Work, facts.get("work")) or Work.ACTIVE,
        employees=employees if isinstance(employees, int) else None,
        since=elements.full_date(coverage.get("period", {}).get("start")),
        birthday=_birthday(engine, elements.reference(coverage.get("subscriber"))),
        parent=_one_of(Parent, facts.get("parent")),
        decreed=facts.get("decreed") is True,
        for_visit=accident,
        coordinates=facts.get("coordinates") is not False,
    )


def _patient(patient: Resource, coverages: list[Resource], on: date) -> Patient:
    medicare = [_facts(one) for one in coverages if _kind(one) is Payer.MEDICARE]
    facts = next((one for one in medicare if one), {})
    plans = [one for one in coverages if _kind(one) in (Payer.GROUP, Payer.INDIVIDUAL)]
    relations = {_relationship(one) for one in plans} - {"self", ""}
    entitlement = _one_of(Entitlement, facts.get("entitlement"))
    birth = elements.full_date(patient.get("birthDate"))
    if entitlement is None and medicare and birth is not None:
        age = on.year - birth.year - ((on.month, on.day) < (birth.month, birth.day))
        entitlement = Entitlement.AGE if age >= AGE_65 else None
    began, month = elements.full_date(facts.get("esrdStart")), 0
    if began is not None:
        month = (on.year - began.year) * YEAR_MONTHS + on.month - began.month + 1
    return Patient(
        is_child=relations == {"child"},
        entitlement=None if entitlement is Entitlement.ESRD and month < 1 else entitlement,
        esrd_month=month,
        was_primary=facts.get("wasPrimary") is True,
    )


def _relationship(coverage: Resource) -> str:
    return elements.code(coverage.get("relationship"), systems.RELATIONSHIP)


def _kind(coverage: Resource) -> Payer:
    """Return the kind of payer by Coverage.type; a group plan where it does not say."""
    for coding in coverage.get("type", {}).get("coding", []):
        system, code = str(coding.get("system", "")), str(coding.get("code", ""))
        if (system, code) in _KINDS:
            return _KINDS[system, code]
        if system == systems.PAYMENT_TYPOLOGY:
            for start, kind in _TYPOLOGY:
                if code.startswith(start):
                    return kind
    return Payer.GROUP


def _facts(coverage: Resource) -> dict[str, Any]:
    found = next(elements.extensions(coverage, systems.EXT_ORDER_FACTS), {})
    return elements.parts(found)


def _birthday(engine: Engine, subscriber: str) -> tuple[int, int] | None:
    """Return month and day of birth of a subscriber who is on file."""
    kind = subscriber.partition("/")[0]
    if kind not in ("Patient", "RelatedPerson"):
        return None
    born = elements.full_date((read.referenced(engine, kind, subscriber) or {}).get("birthDate"))
    return (born.month, born.day) if born else None


def _one_of(kinds: type[Kind], value: Any) -> Kind | None:
    """Return the member of an enumeration, None for what is none of it."""
    return kinds(value) if value in set(kinds) else None
