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
_KINDS = {
    (systems.ACT_CODE, "WCBPOL"): Payer.ACCIDENT,
    (systems.ACT_CODE, "AUTOPOL"): Payer.ACCIDENT,
    (systems.ACT_CODE, "SUBSIDIZ"): Payer.MEDICAID,
    (systems.ACT_CODE, "SUBSIDMC"): Payer.MEDICAID,
    (systems.X12_INSURANCE_TYPE, "AP"): Payer.ACCIDENT,
    (systems.X12_INSURANCE_TYPE, "WC"): Payer.ACCIDENT,
    (systems.X12_INSURANCE_TYPE, "IP"): Payer.INDIVIDUAL,
    (systems.X12_INSURANCE_TYPE, "MA"): Payer.MEDICARE,
    (systems.X12_INSURANCE_TYPE, "MB"): Payer.MEDICARE,
    (systems.X12_INSURANCE_TYPE, "MP"): Payer.MEDICARE,
    (systems.X12_INSURANCE_TYPE, "HN"): Payer.MEDICARE,
    (systems.X12_INSURANCE_TYPE, "MC"): Payer.MEDICAID,
    (systems.X12_INSURANCE_TYPE, "MH"): Payer.SUPPLEMENT,
    (systems.X12_INSURANCE_TYPE, "MI"): Payer.SUPPLEMENT,
    (systems.X12_INSURANCE_TYPE, "SP"): Payer.SUPPLEMENT,
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
    start = str(coverage.get("period", {}).get("start", ""))
    relationship = elements.code(coverage.get("relationship"), systems.RELATIONSHIP)
    return Plan(
        name=coverage["id"],
        payer=_kind(coverage),
        is_own=relationship in ("self", ""),
        work=_one_of(Work, facts.get("work")) or Work.ACTIVE,
        employees=facts.get("employees"),
        since=date.fromisoformat(start[:10]) if len(start) >= len("2026-11-26") else None,
        birthday=_birthday(engine, elements.reference(coverage.get("subscriber"))),
        parent=_one_of(Parent, facts.get("parent")),
        decreed=bool(facts.get("decreed", False)),
        for_visit=accident,
        coordinates=bool(facts.get("coordinates", True)),
    )


def _patient(patient: Resource, coverages: list[Resource], on: date) -> Patient:
    medicare = [_facts(one) for one in coverages if _kind(one) is Payer.MEDICARE]
    facts = next((one for one in medicare if one), {})
    relations = {elements.code(c.get("relationship"), systems.RELATIONSHIP) for c in coverages}
    entitlement = _one_of(Entitlement, facts.get("entitlement"))
    born = str(patient.get("birthDate", ""))
    if entitlement is None and medicare and len(born) == len("1985-02-14"):
        birth = date.fromisoformat(born)
        age = on.year - birth.year - ((on.month, on.day) < (birth.month, birth.day))
        entitlement = Entitlement.AGE if age >= AGE_65 else None
    start = facts.get("esrdStart")
    month = 0
    if start:
        began = date.fromisoformat(str(start))
        month = (on.year - began.year) * YEAR_MONTHS + on.month - began.month + 1
    return Patient(
        is_child="child" in relations and "self" not in relations,
        entitlement=None if entitlement is Entitlement.ESRD and not start else entitlement,
        esrd_month=month,
        was_primary=bool(facts.get("wasPrimary", False)),
    )


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
    return {
        part["url"]: next((v for k, v in part.items() if k.startswith("value")), None)
        for part in found.get("extension", [])
    }


def _birthday(engine: Engine, subscriber: str) -> tuple[int, int] | None:
    """Return month and day of birth of a subscriber who is on file."""
    kind = subscriber.partition("/")[0]
    if kind not in ("Patient", "RelatedPerson"):
        return None
    born = str((read.referenced(engine, kind, subscriber) or {}).get("birthDate", ""))
    return (int(born[5:7]), int(born[8:10])) if len(born) == len("1985-02-14") else None


def _one_of(kinds: type[Kind], value: Any) -> Kind | None:
    """Return the member of an enumeration, None for what is none of it."""
    return kinds(value) if value in set(kinds) else None
