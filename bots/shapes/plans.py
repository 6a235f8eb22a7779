"""Stedi's eligibility check of 2026-06-01: benefits by plan and kind, codes spelled out.

What it tells is less than the 271: a missing coverage level is INDIVIDUAL, and an empty EB12 is
left out. So the X12 beside it goes first. Source: the published request and response schemas.
"""

from collections.abc import Iterator
from datetime import date

from bots.domain.eligibility import Answer, Inquiry, Person
from bots.shapes import fields
from bots.shapes.fields import Json, Shapeless, segment, text
from bots.x12 import eligibility_271
from bots.x12.syntax import Segment

PATH = "/2026-06-01/eligibility-check"
_GENDERS = {"F": "FEMALE", "M": "MALE"}
_RELATIONS = {"01": "SPOUSE", "19": "CHILD", "34": "OTHER_ADULT"}
_KINDS = {
    "coInsurance": "A",
    "coPayment": "B",
    "deductible": "C",
    "coverageBasis": "CB",
    "benefitDescription": "D",
    "exclusions": "E",
    "limitations": "F",
    "outOfPocket": "G",
    "unlimited": "H",
    "nonCovered": "I",
    "costContainment": "J",
    "reserve": "K",
    "primaryCareProvider": "L",
    "preExistingCondition": "M",
    "managedCareCoordinator": "MC",
    "servicesRestrictedToFollowingProvider": "N",
    "notDeemedMedicalNecessity": "O",
    "benefitDisclaimer": "P",
    "secondSurgicalOpinionRequired": "Q",
    "otherOrAdditionalPayer": "R",
    "priorYearsHistory": "S",
    "cardReportedStolen": "T",
    "contactFollowingEntityForInformation": "U",
    "cannotProcess": "V",
    "otherSourceOfData": "W",
    "healthCareFacility": "X",
    "spendDown": "Y",
}
_STATUSES = {
    "ACTIVE_COVERAGE": "1",
    "ACTIVE_FULL_RISK_CAPITATION": "2",
    "ACTIVE_SERVICES_CAPITATED": "3",
    "ACTIVE_SERVICES_CAPITATED_TO_PRIMARY_CARE_PROVIDER": "4",
    "ACTIVE_PENDING_INVESTIGATION": "5",
    "INACTIVE": "6",
    "INACTIVE_PENDING_ELIGIBILITY_UPDATE": "7",
    "INACTIVE_PENDING_INVESTIGATION": "8",
}
_NETWORKS = {"IN_NETWORK": "Y", "OUT_OF_NETWORK": "N", "IN_AND_OUT_OF_NETWORK": "W"}
_AUTHORIZATION = {"REQUIRED": "Y", "NOT_REQUIRED": "N"}
_PROCEDURES = {"CPT": "HC", "HCPCS": "HC", "CDT": "AD", "NDC": "N4", "ICD-10-PCS": "ZZ"}
_LOOPS = {
    "ENVELOPE": "2000A",
    "PAYER": "2100A",
    "PROVIDER": "2100B",
    "SUBSCRIBER": "2100C",
    "SUBSCRIBER_BENEFITS": "2110C",
    "DEPENDENT": "2100D",
    "DEPENDENT_BENEFITS": "2110D",
}
# Spelled out otherwise than in our lists.
_INSURANCE = {
    "CONSOLIDATED_OMNIBUS_BUDGET_RECONCILIATION_ACT_COBRA": "CO",
    "MEDICARE_SECONDARY_WORKING_AGED_BENEFICIARY_OR_SPOUSE_WITH_EMPLOYER_GROUP_HEALTH_PLAN": "12",
    "MEDICARE_SECONDARY_ENDSTAGE_RENAL_DISEASE_BENEFICIARY_IN_THE_MANDATED_COORDINATION_PERIOD_"
    "WITH_AN_EMPLOYERS_GROUP_HEALTH_PLAN": "13",
    "MEDICARE_SECONDARY_NOFAULT_INSURANCE_INCLUDING_AUTO_IS_PRIMARY": "14",
    "MEDICARE_SECONDARY_WORKERS_COMPENSATION": "15",
    "MEDICARE_SECONDARY_PUBLIC_HEALTH_SERVICE_PHS_OR_OTHER_FEDERAL_AGENCY": "16",
    "MEDICARE_SECONDARY_BLACK_LUNG": "41",
    "MEDICARE_SECONDARY_VETERANS_ADMINISTRATION": "42",
    "MEDICARE_SECONDARY_DISABLED_BENEFICIARY_UNDER_AGE_65_WITH_LARGE_GROUP_HEALTH_PLAN_LGHP": "43",
    "MEDICARE_SECONDARY_OTHER_LIABILITY_INSURANCE_IS_PRIMARY": "47",
    "WORKERS_COMPENSATION": "WC",
}
_ENTITIES = {
    "THIRD_PARTY_ADMINISTRATOR": "2B",
    "PREFERRED_PROVIDER_ORGANIZATION": "1I",
    "INDEPENDENT_PHYSICIANS_ASSOCIATION": "I3",
}
_DATES = {
    "plan": ("291", "291"),
    "benefit": ("292", "292"),
    "eligibility": ("307", "307"),
    "period": ("193", "194"),
    "cobra": ("340", "341"),
    "premiumPaidToDate": ("342", "343"),
    "policy": ("539", "540"),
    "discharge": ("096", ""),
    "issue": ("102", ""),
    "effectiveDateOfChange": ("152", ""),
    "completion": ("198", ""),
    "coordinationOfBenefits": ("290", ""),
    "primaryCareProvider": ("295", ""),
    "latestVisit": ("304", ""),
    "added": ("318", ""),
    "enrollment": ("382", ""),
    "admission": ("435", ""),
    "dateOfDeath": ("442", ""),
    "certification": ("458", ""),
    "service": ("472", ""),
    "dateOfLastUpdate": ("636", ""),
    "status": ("771", ""),
}
_NAMED = {"plan": "18", "group": "6P", "planNetwork": "N6"}
_REFERENCES = {
    "groupOrPolicyNumber": ("1L", ""),
    "memberId": ("1W", ""),
    "familyUnitNumber": ("49", ""),
    "referralNumber": ("9F", ""),
    "alternativeListId": ("ALS", ""),
    "coverageListId": ("CLI", ""),
    "mbi": ("F6", ""),
    "drugFormularyNumber": ("FO", ""),
    "priorAuthNumber": ("G1", ""),
    "insurancePolicyNumber": ("IG", ""),
    "medicalAssistanceCategory": ("M7", ""),
    "medicaidRecipientId": ("NQ", ""),
    "contractNumber": ("CT", ""),
    "caseNumber": ("3H", ""),
    "priorIdentifierNumber": ("Q4", ""),
    "eligibilityCategory": ("MRC", ""),
}
_IDS = {"npi": "XX", "payerId": "PI", "naicId": "NI", "memberId": "MI", "ein": "24", "tin": "FI",
        "etin": "46", "serviceProviderNumber": "SV", "facilityId": "FA"}  # fmt: skip
_CONTACTS = {"phoneNumbers": "TE", "faxNumbers": "FX", "emails": "EM", "urls": "UR",
             "ediNumbers": "ED"}  # fmt: skip


def ask(inquiry: Inquiry) -> Json:
    """Return the request body of a question."""
    body: Json = {
        "payerId": inquiry.payer_id,
        "payerName": inquiry.payer_name,
        "provider": {"name": {"organization": inquiry.provider_name}, "npi": inquiry.provider_npi},
        "subscriber": _person_out(inquiry.subscriber),
        "encounter": {
            "services": [{"system": "STC", "value": one} for one in inquiry.service_types],
            "dates": {"service": {"start": inquiry.service_date.isoformat()}},
        },
        "externalPatientId": inquiry.trace,
    }
    if inquiry.dependent is not None:
        body["dependent"] = _person_out(inquiry.dependent)
        body["dependent"]["relationToSubscriber"] = _RELATIONS[inquiry.relationship]
    return body


def asked(body: Json) -> Inquiry:
    """Return the question that a request body of ours holds. Raises Shapeless."""
    try:
        dependent, encounter = body.get("dependent"), body["encounter"]
        relation = text(dependent or {}, "relationToSubscriber")
        return Inquiry(
            trace=text(body, "externalPatientId"),
            payer_name=text(body, "payerName"),
            payer_id=text(body, "payerId"),
            provider_name=text(body["provider"]["name"], "organization"),
            provider_npi=text(body["provider"], "npi"),
            subscriber=_person_in(body["subscriber"]),
            service_date=date.fromisoformat(encounter["dates"]["service"]["start"]),
            dependent=_person_in(dependent) if dependent else None,
            relationship=next((c for c, name in _RELATIONS.items() if name == relation), ""),
            service_types=tuple(text(one, "value") for one in encounter["services"]),
        )
    except (KeyError, ValueError) as error:
        raise Shapeless("expected a question as we write it") from error


def _person_out(person: Person) -> Json:
    names = {
        "firstName": person.first,
        "middleName": person.middle,
        "lastName": person.last,
        "suffix": person.suffix,
    }
    told: Json = {"name": {"person": {name: value for name, value in names.items() if value}}}
    if person.member_id:
        told["memberId"] = person.member_id
    if person.birth_date:
        told["dateOfBirth"] = person.birth_date.isoformat()
    if person.gender in _GENDERS:
        told["gender"] = _GENDERS[person.gender]
    return told


def _person_in(entry: Json) -> Person:
    name = entry["name"]["person"]
    born = text(entry, "dateOfBirth")
    return Person(
        last=text(name, "lastName"),
        first=text(name, "firstName"),
        middle=text(name, "middleName"),
        suffix=text(name, "suffix"),
        member_id=text(entry, "memberId"),
        birth_date=date.fromisoformat(born) if born else None,
        gender=text(entry, "gender")[:1],
    )


def read(body: Json) -> Answer | None:
    """Return the answer in a response body, None where it holds neither a person nor a reject."""
    rejects = tuple(
        fields.reject(
            _LOOPS.get(text(one, "location"), ""), text(one, "code"), text(one, "followupAction")
        )
        for one in body.get("errors", [])
    )
    if "subscriber" not in body and not rejects:
        return None
    return eligibility_271.of_segments(list(_segments(body)), fields.MARKS, rejects)


def _segments(body: Json) -> Iterator[Segment]:
    payer = body.get("payer", {})
    yield segment("HL", "", "", fields.LEVELS["payer"])
    yield from _party("PR", payer)
    yield segment("HL", "", "", fields.LEVELS["provider"])
    for name, role in (("subscriber", "IL"), ("dependent", "03")):
        if name in body:
            yield segment("HL", "", "", fields.LEVELS[name])
            yield from _patient(role, body[name])
    for plan in body.get("plans", []):
        yield from _plan(plan)


def _patient(role: str, entry: Json) -> Iterator[Segment]:
    name = entry.get("name", {})
    person = name.get("person", {"lastName": text(name, "organization")})
    names = (text(person, one) for one in ("lastName", "firstName", "middleName"))
    member_id = text(entry, "memberId")
    yield segment("NM1", role, "1", *names, "", text(person, "suffix"), "MI", member_id)
    gender = {"FEMALE": "F", "MALE": "M"}.get(text(entry, "gender"), "")
    yield segment("DMG", "D8", fields.ccyymmdd(text(entry, "dateOfBirth")), gender)
    if text(entry.get("maintenance", {}), "indicator") == "PAYER_INDICATED":
        yield segment("INS", "", "", "001", "25")
    yield from _references(entry.get("additionalInformation", {}))
    yield from _dates(entry.get("dates", {}))


def _references(entry: Json) -> Iterator[Segment]:
    for name, qualifier in _NAMED.items():
        if name in entry:
            number, named = (text(entry[name], one) for one in ("number", "name"))
            yield segment("REF", qualifier, number, named)
    yield from fields.references(entry, _REFERENCES)


def _dates(entry: Json) -> Iterator[Segment]:
    """Yield the DTPs; a field that X12 tells by two qualifiers gives two."""
    for name, days in entry.items():
        first, last = _DATES.get(name, (name, ""))
        start, end = text(days, "start"), text(days, "end")
        if last in ("", first):
            yield fields.span(first, start, end)
            continue
        yield from (fields.span(q, d, "") for q, d in ((first, start), (last, end)) if d)


def _plan(plan: Json) -> Iterator[Segment]:
    """Yield the rows of a plan, those that the vendor calls invalid among them."""
    benefits = plan.get("benefits", {})
    invalid = benefits.get("invalidEntries", {})
    for name, entries in (*benefits.items(), *invalid.items()):
        if name != "invalidEntries":
            for entry in entries:
                yield from _benefit(_kind(name, entry), text(plan, "name"), entry)


def _kind(name: str, entry: Json) -> str:
    if name == "statuses":
        return _STATUSES.get(text(entry, "status"), text(entry, "status"))
    return _KINDS.get(name, name)


def _benefit(kind: str, plan: str, entry: Json) -> Iterator[Segment]:
    service, network = entry.get("service", {}), entry.get("network", {})
    is_type = text(service, "system") == "STC"
    quantity = entry.get("quantity", {})
    insurance = text(entry, "insuranceType")
    indicator, needed = text(network, "indicator"), text(entry, "priorAuthIndicator")
    yield fields.benefit(
        entry,
        kind=kind,
        level=fields.coded("eb02_coverage_level", text(entry, "coverageLevel")),
        types=text(service, "value") if is_type else "",
        insurance=_INSURANCE.get(insurance) or fields.coded("eb04_insurance_type", insurance),
        plan=text(entry, "planCoverageDescription") or plan,
        period=fields.coded("eb06_time_period", text(entry, "timePeriod")),
        amount=text(entry, "amount"),
        percent=text(entry, "percent"),
        unit=fields.coded("eb09_quantity_qualifier", text(quantity, "qualifier")),
        quantity=text(quantity, "value"),
        authorization=_AUTHORIZATION.get(needed, needed),
        network=_NETWORKS.get(indicator, indicator),
        procedure="" if is_type else _procedure(service),
    )
    yield from _limits(entry)
    if text(network, "id"):
        yield segment("REF", "N6", text(network, "id"), text(network, "description"))
    yield from _references(entry.get("additionalInformation", {}))
    yield from _dates(entry.get("dates", {}))
    for message in entry.get("messages", []):
        yield segment("MSG", str(message))
    for place in entry.get("placesOfService", []):
        yield segment("III", "ZZ", text(place, "code"))
    for code in entry.get("diagnosis", {}).get("codes", []):
        yield segment("MSG", f"Diagnosis {text(code, 'value')} {text(code, 'definition')}".strip())
    for one in entry.get("relatedEntities", []):
        yield from _party(None, one)


def _procedure(service: Json) -> str:
    system, ends = text(service, "system"), service.get("range", {})
    first = text(ends.get("start", {}), "value") or text(service, "value")
    last = text(ends.get("end", {}), "value")
    if not system:
        return ""
    return fields.joined(_PROCEDURES.get(system, system), first, "", "", "", "", "", last)


def _limits(entry: Json) -> Iterator[Segment]:
    for limit in entry.get("serviceLimits", []):
        for name, words in (("ageMaximum", "Age at most"), ("ageMinimum", "Age at least")):
            if text(limit, name):
                yield segment("MSG", f"{words} {text(limit, name)}")
        delivery = limit.get("delivery")
        if delivery:
            quantity, period = delivery.get("quantity", {}), delivery.get("period", {})
            frequency = delivery.get("frequency", {})
            yield segment(
                "HSD",
                fields.coded("hsd01_quantity_qualifier", text(quantity, "qualifier")),
                text(quantity, "value"),
                fields.coded("hsd03_unit", text(frequency, "qualifier")),
                text(frequency, "value"),
                fields.coded("eb06_time_period", text(period, "qualifier")),
                text(period, "value"),
            )


def _party(role: str | None, entry: Json) -> Iterator[Segment]:
    """Yield the NM1 and PERs of a party; its first id is the one that NM109 holds."""
    kind = text(entry, "type")
    name = entry.get("name", {})
    person = name.get("person")
    names = [text(person or {}, one) for one in ("lastName", "firstName", "middleName")]
    if person is None:
        names = [text(name, "organization"), "", ""]
    qualifier, value = next(
        ((q, text(entry, n)) for n, q in _IDS.items() if text(entry, n)),
        ("PI", text(entry, "identification")),
    )
    yield segment(
        "NM1",
        role or _ENTITIES.get(kind) or fields.coded("nm101_entity_identifier", kind),
        "1" if person else "2", *names, "", text(person or {}, "suffix"), qualifier, value,
        text(entry, "relationship"),
    )  # fmt: skip
    for contact in entry.get("contacts", []):
        for field, kind in _CONTACTS.items():
            for number in contact.get(field, []):
                yield segment("PER", "IC", text(contact, "name"), kind, str(number))
