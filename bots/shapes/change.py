"""The eligibility JSON of Change Healthcare, v3; Stedi (2024-04-01) and Optum speak it as well.

A `benefitsInformation` entry mirrors an EB, code by code. The rows are the patient's: those of the
dependent where there is one. Source: the published request and response schemas of the API.
"""

from collections.abc import Iterator
from datetime import date
from typing import Any

from bots.domain.eligibility import Answer, Inquiry, Person, Reject
from bots.shapes import fields
from bots.shapes.fields import Json, Shapeless, segment, text
from bots.x12 import elements, eligibility_271
from bots.x12.syntax import Segment
from fhir_profiles import codes

PATH = "/2024-04-01/change/medicalnetwork/eligibility/v3"
_LOOPS = {"payer": "2100A", "provider": "2100B", "subscriber": "2100C", "dependent": "2100D"}
_REFERENCES = {
    "groupNumber": ("6P", "groupDescription"),
    "planNumber": ("18", "planDescription"),
    "planNetworkIdNumber": ("N6", "planNetworkIdDescription"),
    "policyNumber": ("1L", ""),
    "insurancePolicyNumber": ("IG", ""),
    "memberId": ("1W", ""),
    "hicNumber": ("F6", ""),
    "medicaidRecipientIdNumber": ("NQ", ""),
    "medicaidRecepientIdNumber": ("NQ", ""),  # so the vendor spells it
    "priorAuthorizationNumber": ("G1", ""),
    "referralNumber": ("9F", ""),
    "familyUnitNumber": ("49", ""),
    "drugFormularyNumber": ("FO", ""),
    "alternateListId": ("ALS", ""),
    "coverageListId": ("CLI", ""),
    "medicalAssistanceCategory": ("M7", ""),
}
_CONTACTS = {
    "TELEPHONE": "TE",
    "FACSIMILE": "FX",
    "ELECTRONIC_MAIL": "EM",
    "UNIFORM_RESOURCE_LOCATOR_URL": "UR",
    "WORK_PHONE_NUMBER": "WP",
    "TELEPHONE_EXTENSION": "EX",
    "ELECTRONIC_DATA_INTERCHANGE_ACCESS_NUMBER": "ED",
}


def ask(inquiry: Inquiry) -> Json:
    """Return the request body of a question."""
    body: Json = {
        "tradingPartnerServiceId": inquiry.payer_id,
        "tradingPartnerName": inquiry.payer_name,
        "submitterTransactionIdentifier": inquiry.trace,
        "provider": {"organizationName": inquiry.provider_name, "npi": inquiry.provider_npi},
        "subscriber": _person_out(inquiry.subscriber),
        "encounter": {
            "serviceTypeCodes": list(inquiry.service_types),
            "dateOfService": f"{inquiry.service_date:%Y%m%d}",
        },
    }
    if inquiry.dependent is not None:
        relationship = {"individualRelationshipCode": inquiry.relationship}
        body["dependents"] = [_person_out(inquiry.dependent) | relationship]
    return body


def asked(body: Json) -> Inquiry:
    """Return the question that a request body of ours holds. Raises Shapeless."""
    try:
        dependent = next(iter(body.get("dependents", [])), None)
        encounter = body["encounter"]
        return Inquiry(
            trace=text(body, "submitterTransactionIdentifier"),
            payer_name=text(body, "tradingPartnerName"),
            payer_id=text(body, "tradingPartnerServiceId"),
            provider_name=text(body["provider"], "organizationName"),
            provider_npi=text(body["provider"], "npi"),
            subscriber=_person_in(body["subscriber"]),
            service_date=_day(encounter["dateOfService"]),
            dependent=_person_in(dependent) if dependent else None,
            relationship=text(dependent or {}, "individualRelationshipCode"),
            service_types=tuple(encounter["serviceTypeCodes"]),
        )
    except KeyError as error:
        raise Shapeless(f"expected {error} in the question") from error


def _day(written: str) -> date:
    found = elements.day(written)
    if found is None:
        raise Shapeless("expected a day of service as CCYYMMDD")
    return found


def _person_out(person: Person) -> Json:
    told = {
        "memberId": person.member_id,
        "firstName": person.first,
        "middleName": person.middle,
        "lastName": person.last,
        "suffix": person.suffix,
        "gender": person.gender,
        "dateOfBirth": f"{person.birth_date:%Y%m%d}" if person.birth_date else "",
    }
    return {name: value for name, value in told.items() if value}


def _person_in(entry: Json) -> Person:
    return Person(
        last=text(entry, "lastName"),
        first=text(entry, "firstName"),
        middle=text(entry, "middleName"),
        suffix=text(entry, "suffix"),
        member_id=text(entry, "memberId"),
        birth_date=elements.day(text(entry, "dateOfBirth")),
        gender=text(entry, "gender"),
    )


def read(body: Json) -> Answer | None:
    """Return the answer in a response body, None where it holds neither a person nor a reject."""
    rejects = tuple(_rejects(body))
    if "subscriber" not in body and not rejects:
        return None
    return eligibility_271.of_segments(list(_segments(body)), fields.MARKS, rejects)


def _segments(body: Json) -> Iterator[Segment]:
    dependent = next(iter(body.get("dependents", [])), None)
    parties = [(name, body.get(name, {})) for name in ("payer", "provider", "subscriber")]
    parties += [("dependent", dependent)] if dependent else []
    for name, entry in parties:
        yield segment("HL", "", "", fields.LEVELS[name])
        yield from _PARTIES[name](entry)
        if name == "subscriber":
            yield from _traces(body)
    plan = body.get("planInformation", {})
    yield from fields.references(plan, _REFERENCES)
    yield from _dates(body.get("planDateInformation", {}))
    for entry in body.get("benefitsInformation", []):
        yield from _benefit(entry)


def _payer(entry: Json) -> Iterator[Segment]:
    name = text(entry, "name") or text(entry, "lastName")
    yield segment("NM1", "PR", "2", name, "", "", "", "", "PI", text(entry, "payorIdentification"))
    yield from _contacts(entry)


def _provider(entry: Json) -> Iterator[Segment]:
    yield segment("NM1", "1P", "2", text(entry, "providerName"))


def _subscriber(entry: Json) -> Iterator[Segment]:
    return _patient("IL", entry)


def _dependent(entry: Json) -> Iterator[Segment]:
    return _patient("03", entry)


_PARTIES = {
    "payer": _payer,
    "provider": _provider,
    "subscriber": _subscriber,
    "dependent": _dependent,
}


def _patient(role: str, entry: Json) -> Iterator[Segment]:
    names = (text(entry, name) for name in ("lastName", "firstName", "middleName"))
    member_id = text(entry, "memberId")
    yield segment("NM1", role, "1", *names, "", text(entry, "suffix"), "MI", member_id)
    yield segment("DMG", "D8", text(entry, "dateOfBirth"), text(entry, "gender"))
    changed = (text(entry, "maintenanceTypeCode"), text(entry, "maintenanceReasonCode"))
    yield segment("INS", "", text(entry, "relationToSubscriberCode"), *changed)


def _traces(body: Json) -> Iterator[Segment]:
    for one in body.get("subscriberTraceNumbers", []):
        yield segment("TRN", text(one, "traceTypeCode"), text(one, "referenceIdentification"))


def _contacts(entry: Json) -> Iterator[Segment]:
    for one in entry.get("contactInformation", {}).get("contacts", []):
        mode = text(one, "communicationMode")
        kind = _CONTACTS.get(fields.word(mode), mode)
        yield segment("PER", "IC", "", kind, text(one, "communicationNumber"))


def _dates(entry: Json) -> Iterator[Segment]:
    """Yield the DTPs: a field is named like its qualifier, and holds one day or two."""
    known = {name.replace(" ", "").lower(): c for c, name in codes.names(_DTP).items()}
    for name, value in entry.items():
        qualifier = known.get(name.lower(), name)
        for one in value if isinstance(value, list) else [value]:
            first, _, last = str(one).partition("-")
            yield fields.span(qualifier, first, last)


_DTP = "dtp01_date_qualifier"


def _benefit(entry: Json) -> Iterator[Segment]:
    yield fields.benefit(
        entry,
        kind=text(entry, "code"),
        level=text(entry, "coverageLevelCode"),
        types=fields.repeated(entry.get("serviceTypeCodes", [])),
        insurance=text(entry, "insuranceTypeCode"),
        plan=text(entry, "planCoverage"),
        period=text(entry, "timeQualifierCode"),
        amount=text(entry, "benefitAmount"),
        percent=text(entry, "benefitPercent"),
        unit=text(entry, "quantityQualifierCode"),
        quantity=text(entry, "benefitQuantity"),
        authorization=text(entry, "authOrCertIndicator"),
        network=text(entry, "inPlanNetworkIndicatorCode"),
        procedure=_procedure(entry.get("compositeMedicalProcedureIdentifier", {})),
    )
    for one in entry.get("benefitsServiceDelivery", []):
        yield segment("HSD", *(text(one, name) for name in _DELIVERY))
    yield from fields.references(entry.get("benefitsAdditionalInformation", {}), _REFERENCES)
    yield from _dates(entry.get("benefitsDateInformation", {}))
    for one in entry.get("additionalInformation", []):
        yield segment("MSG", text(one, "description"))
    for one in entry.get("eligibilityAdditionalInformationList", []):
        yield segment("III", text(one, "codeListQualifierCode"), text(one, "industryCode"), "",
                      text(one, "injuredBodyPartName"))  # fmt: skip
    yield from _entities(entry)


_DELIVERY = ("quantityQualifierCode", "quantity", "unitForMeasurementQualifierCode",
             "sampleSelectionModulus", "timePeriodQualifierCode", "numOfPeriods")  # fmt: skip


def _procedure(entry: Json) -> str:
    code = text(entry, "procedureCode")
    modifiers = entry.get("procedureModifiers", [])
    return fields.joined(text(entry, "productOrServiceIDQualifierCode"), code, *modifiers)


def _entities(entry: Json) -> Iterator[Segment]:
    single = entry.get("benefitsRelatedEntity")  # of older answers
    for one in entry.get("benefitsRelatedEntities", [single] if single else []):
        role = fields.coded("nm101_entity_identifier", text(one, "entityIdentifier"))
        is_person = text(one, "entityType") == "Person"
        names = [text(one, n) for n in ("entityName", "entityFirstname", "entityMiddleName")]
        yield segment(
            "NM1", role, "1" if is_person else "2", *names, "", text(one, "entitySuffix"),
            text(one, "entityIdentification"), text(one, "entityIdentificationValue"),
            text(one, "entityRelationshipCode"),
        )  # fmt: skip
        yield from _contacts(one)


def _rejects(body: Json) -> Iterator[Reject]:
    """Yield each AAA once: those of the parties, and those that are listed beside them."""
    dependents = body.get("dependents", [])
    parties = [(n, [body.get(n, {})]) for n in ("payer", "provider", "subscriber")]
    parties.append(("dependent", dependents))
    told: list[tuple[str, Any]] = [
        (_LOOPS[name], error) for name, entries in parties for one in entries
        for error in one.get("aaaErrors", [])
    ]  # fmt: skip
    told += [("", error) for error in body.get("errors", []) if text(error, "field") == "AAA"]
    found: dict[tuple[str, str], Reject] = {}
    for loop, error in told:
        if text(error, "code"):
            named = text(error, "location").removeprefix("Loop").strip() or loop
            one = fields.reject(named, text(error, "code"), text(error, "followupAction"))
            found.setdefault((named, one.reason), one)
    yield from found.values()
