"""A CoverageEligibilityRequest and what it refers to, as an Inquiry for the payer."""

from dataclasses import dataclass
from datetime import date
from typing import Any

from bots.domain.eligibility import Inquiry, Person
from fhir_profiles import codes, crosswalk, elements, payers, systems
from fhir_profiles.codes import Reason
from fhir_profiles.crosswalk import Rules

Resource = dict[str, Any]
GENERAL = "30"
_RELATIONSHIPS = {
    "spouse": "01",
    "child": "19",
    "parent": "34",
    "common": "34",
    "other": "34",
    "injured": "34",
}
_GENDERS = {"female": "F", "male": "M"}
_SERVICE_SYSTEMS = (systems.X12_SERVICE_TYPE, systems.X12_SERVICE_TYPE_ALIAS)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a request refers to; None for what the server does not have."""

    coverage: Resource | None
    patient: Resource | None
    payer: Resource | None
    provider: Resource | None
    subscriber: Resource | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a request cannot be asked: a code of our check-error list, a sentence, a FHIRPath."""

    code: str
    text: str
    expression: str = ""


def focal_coverage(request: Resource) -> Resource:
    """Return the Reference of the coverage a request asks about: the focal one, else the first."""
    insurance = request.get("insurance", [])
    focal = (entry["coverage"] for entry in insurance if entry.get("focal"))
    nothing: Resource = {"display": "No coverage on the request"}
    found: Resource = next(focal, insurance[0]["coverage"] if insurance else nothing)
    return found


def subscriber_address(coverage: Resource | None) -> str:
    """Return the reference of the subscriber where it is not the beneficiary, else ""."""
    if coverage is None or is_self(coverage):
        return ""
    return elements.reference(coverage.get("subscriber"))


def is_self(coverage: Resource) -> bool:
    """Tell whether the beneficiary is the subscriber."""
    relationship = elements.code(coverage.get("relationship"), systems.RELATIONSHIP)
    if relationship:
        return relationship == "self"
    subscriber = elements.reference(coverage.get("subscriber"))
    return subscriber in ("", elements.reference(coverage.get("beneficiary")))


def to_inquiry(request: Resource, facts: Facts, *, trace: str, today: date) -> Inquiry:
    """Return the Inquiry; what is missing stays blank, for the 270's writer to name.

    Only payer ids that hold on the date of service are taken.
    """
    coverage, patient = facts.coverage or {}, facts.patient or {}
    on = service_date(request, today)
    own_id = "" if is_self(coverage) else own_member_id(coverage, on)
    payer_ids = payers.ids(facts.payer or {}, on)

    def written(raw: str) -> str:
        return str(crosswalk.member_key(raw, rules(facts.payer)))

    common: dict[str, Any] = {
        "trace": trace,
        "payer_name": (facts.payer or {}).get("name", ""),
        "payer_id": payer_ids.pop(systems.PAYER_ID, ""),
        "route_payer_ids": tuple(payer_ids.items()),
        "routes": _routes(facts.payer or {}),
        "background": is_background(request),
        "provider_name": _provider_name(facts.provider or {}),
        "provider_npi": elements.identifier(facts.provider or {}, systems.NPI),
        "service_date": on,
        "service_types": service_types(request),
    }
    if is_self(coverage) or own_id:
        return Inquiry(subscriber=_person(patient, written(member_id(coverage, on))), **common)
    relationship = elements.code(coverage.get("relationship"), systems.RELATIONSHIP)
    subscriber = _person(facts.subscriber or {}, written(member_id(coverage, on)))
    return Inquiry(
        subscriber=subscriber,
        dependent=_person(patient, ""),
        relationship=_RELATIONSHIPS.get(relationship, ""),
        **common,
    )


def is_background(request: Resource) -> bool:
    """Tell whether nobody waits for the answer: a check of the day's sweep."""
    return elements.tag(request, systems.CHECK_REASON) == Reason.T_24H.value


def service_date(request: Resource, today: date) -> date:
    """Return the day asked about: servicedDate, else the start of servicedPeriod, else `today`."""
    text = request.get("servicedDate") or request.get("servicedPeriod", {}).get("start", "")
    return elements.full_date(text) or today


def service_types(request: Resource) -> tuple[str, ...]:
    """Return the X12 service types asked for, in order; the plan as a whole if none is named."""
    found = [c["code"] for _, c in _service_codings(request)]
    return tuple(dict.fromkeys(found)) or (GENERAL,)


def problems(request: Resource, facts: Facts) -> list[Problem]:
    """Return each service type that X12 does not know, and what is unclear in the payer's rules."""
    known = codes.names("service_type_codes")
    found = [
        Problem("unknown-service-type", "This service type is not on the X12 list.", place)
        for place, coding in _service_codings(request)
        if coding["code"] not in known
    ]
    try:
        crosswalk.rules_of(facts.payer)
    except ValueError as error:
        found.append(Problem("wrong-payer-rules", f"The payer's rules are not clear: {error}."))
    return found


def rules(payer: Resource | None) -> Rules:
    """Return how a payer writes member ids; unclear rules, which `problems` tells, are none."""
    try:
        return crosswalk.rules_of(payer)
    except ValueError:
        return Rules()


def member_ids(coverage: Resource) -> list[str]:
    """Return every member id that the coverage has or had, as they came."""
    return [str(one["value"]) for one in crosswalk.member_identifiers(coverage)]


def _service_codings(request: Resource) -> list[tuple[str, Resource]]:
    found = []
    for number, item in enumerate(request.get("item", [])):
        for place, coding in enumerate(item.get("category", {}).get("coding", [])):
            if coding.get("system") in _SERVICE_SYSTEMS and "code" in coding:
                path = f"CoverageEligibilityRequest.item[{number}].category.coding[{place}]"
                found.append((path, coding))
    return found


def _routes(payer: Resource) -> tuple[tuple[str, str], ...]:
    """Return (route, state) of the eligibility inquiry, as the payer directory has them."""
    told = (s for s in payers.supports(payer) if s.transaction == payers.ELIGIBILITY)
    return tuple((support.route, support.state) for support in told)


def _provider_name(provider: Resource) -> str:
    if isinstance(provider.get("name"), str):
        return str(provider["name"])
    name = elements.human_name(provider)
    return " ".join([*elements.texts(name, "given"), name.get("family", "")]).strip()


def member_id(coverage: Resource, on: date) -> str:
    """Return the member id to ask with on a day, as it came, "" if there is none.

    That is the patient's own, or of a dependent without one the subscriber's.
    """
    subscriber_id = str(coverage.get("subscriberId", ""))
    if is_self(coverage):
        return _dated(coverage, on) or subscriber_id or _undated(coverage) or _ended(coverage)
    return own_member_id(coverage, on) or subscriber_id


def own_member_id(coverage: Resource, on: date) -> str:
    """Return the dependent's own member id, "" if the subscriber's is the only one."""
    own = _dated(coverage, on) or _undated(coverage)
    return own if own != coverage.get("subscriberId", "") else ""


def _dated(coverage: Resource, on: date) -> str:
    """Return the member id whose period has the day, "" if there is none."""
    found = (one for one in crosswalk.member_identifiers(coverage) if "period" in one)
    current = (one for one in found if elements.is_current(one, on.isoformat()))
    return next((str(one["value"]) for one in current), "")


def _undated(coverage: Resource) -> str:
    """Return the member id of no period that is not called old, "" if there is none."""
    found = (one for one in crosswalk.member_identifiers(coverage) if "period" not in one)
    return next((str(one["value"]) for one in found if one.get("use") != "old"), "")


def _ended(coverage: Resource) -> str:
    """Return the member id that ended last: better than none, for the payer to judge."""
    listed = list(crosswalk.member_identifiers(coverage))
    listed.sort(key=lambda one: str(one.get("period", {}).get("end", "")))
    return str(listed[-1]["value"]) if listed else ""


def _person(resource: Resource, member_id: str) -> Person:
    name = elements.human_name(resource)
    given = elements.texts(name, "given")
    return Person(
        last=name.get("family", ""),
        first=given[0] if given else "",
        middle=given[1] if len(given) > 1 else "",
        suffix=" ".join(elements.texts(name, "suffix")),
        member_id=member_id or "",
        birth_date=elements.full_date(resource.get("birthDate", "")),
        gender=_GENDERS.get(resource.get("gender", ""), ""),
    )
