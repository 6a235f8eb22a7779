"""Availity's Coverages: plans with benefits by service type, kind and network.

Limit, total and rest of one benefit stand side by side; each is a row of its own here, as in a
271. There is no X12 beside it. Source: the published definition of Coverages 1.0.0.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date

from bots.domain.eligibility import Answer, Inquiry, Person
from bots.shapes import fields
from bots.shapes.fields import Json, Shapeless, segment, text
from bots.x12 import eligibility_271
from bots.x12.syntax import Segment
from fhir_profiles import codes

PATH = "/v1/coverages"
REMAINING = "29"  # EB06
_NETWORKS = {"inNetwork": "Y", "outOfNetwork": "N", "noNetwork": "", "notApplicableNetwork": "W"}
_AMOUNTS = {"coInsurance": "A", "coPayment": "B", "deductibles": "C", "outOfPocket": "G"}
_DETAILS = {
    "coverageBasis": "CB",
    "benefitDescriptions": "D",
    "exclusions": "E",
    "limitations": "F",
    "nonCovered": "I",
    "costContainment": "J",
    "reserve": "K",
    "preexistingConditions": "M",
}
_FIGURES = (("amount", "amountTimePeriodCode", ""), ("total", "totalTimePeriodCode", ""),
            ("remaining", "remainingTimePeriodCode", REMAINING))  # fmt: skip
_PERIODS = (("coverage", "291", "346", "347"), ("plan", "291", "346", "347"),
            ("eligibility", "307", "356", "357"), ("benefit", "292", "348", "349"))  # fmt: skip
_DAYS = {
    "dischargeDate": "096",
    "issueDate": "102",
    "effectiveChangeDate": "152",
    "periodStartDate": "193",
    "periodEndDate": "194",
    "completionDate": "198",
    "coordinationOfBenefitsDate": "290",
    "primaryCareProviderDate": "295",
    "lastVisitDate": "304",
    "addedDate": "318",
    "cobraStartDate": "340",
    "cobraEndDate": "341",
    "premiumPaidToBeginDate": "342",
    "premiumPaidToEndDate": "343",
    "planEnrollmentDate": "382",
    "admissionDate": "435",
    "certificationDate": "458",
    "serviceDate": "472",
    "policyEffectiveDate": "539",
    "policyExpirationDate": "540",
    "lastUpdateDate": "636",
    "statusDate": "771",
}
_REFERENCES = {
    "groupNumber": ("6P", "groupName"),
    "planNumber": ("18", ""),
    "planNetworkId": ("N6", "planNetworkName"),
    "policyNumber": ("1L", ""),
    "insurancePolicyNumber": ("IG", ""),
    "memberIdentificationNumber": ("1W", ""),
    "insuredMemberId": ("1W", ""),
    "healthInsuranceClaimNumber": ("F6", ""),
    "medicaidRecipientIdentificationNumber": ("NQ", ""),
    "priorAuthorizationNumber": ("G1", ""),
    "referralNumber": ("9F", ""),
    "familyUnitNumber": ("49", ""),
    "contractNumber": ("CT", ""),
    "identityCardNumber": ("HJ", ""),
}
_PAYERS = {"primary": "PRP", "secondary": "SEP", "tertiary": "TTP"}
_CONTACTS = {"phone": "TE", "workPhone": "WP", "fax": "FX", "emailAddress": "EM", "url": "UR",
             "ediAccessNumber": "ED"}  # fmt: skip
_DELIVERY = ("quantityQualifierCode", "quantity", "perCode", "amount", "timePeriodCode",
             "timePeriods")  # fmt: skip
_PERCENT, _SHARE = ("percent", "%"), "A"
_REQUEST = {"memberId": "member_id", "patientLastName": "last", "patientFirstName": "first",
            "patientMiddleName": "middle", "patientSuffix": "suffix",
            "patientGender": "gender"}  # fmt: skip
_SELF = "18"  # INS02
_WHOLE_PLAN = "30"  # EB03


def ask(inquiry: Inquiry) -> Json:
    """Return the form of a question: its fields and their values, serviceType a list.

    The shape has one person: the patient, with the member id of the subscriber.
    """
    patient = inquiry.dependent or inquiry.subscriber
    form: Json = {name: getattr(patient, own) for name, own in _REQUEST.items()}
    form["memberId"] = patient.member_id or inquiry.subscriber.member_id
    form |= {
        "payerId": inquiry.payer_id,
        "providerLastName": inquiry.provider_name,
        "providerNpi": inquiry.provider_npi,
        "patientBirthDate": patient.birth_date.isoformat() if patient.birth_date else "",
        "subscriberRelationship": inquiry.relationship if inquiry.dependent else _SELF,
        "asOfDate": inquiry.service_date.isoformat(),
        "serviceType": list(inquiry.service_types),
    }
    return {name: value for name, value in form.items() if value}


def asked(form: Json) -> Inquiry:
    """Return the question that a form of ours holds. Raises Shapeless.

    Of a dependent's subscriber the form says the member id only.
    """
    try:
        born = text(form, "patientBirthDate")
        values: Json = {own: text(form, name) for name, own in _REQUEST.items()}
        patient = Person(**values, birth_date=date.fromisoformat(born) if born else None)
        relationship = text(form, "subscriberRelationship")
        is_self = relationship == _SELF
        return Inquiry(
            trace="",
            payer_name="",
            payer_id=text(form, "payerId"),
            provider_name=text(form, "providerLastName"),
            provider_npi=text(form, "providerNpi"),
            subscriber=patient if is_self else Person("", member_id=patient.member_id),
            service_date=date.fromisoformat(form["asOfDate"]),
            dependent=None if is_self else patient,
            relationship="" if is_self else relationship,
            service_types=tuple(form["serviceType"]),
        )
    except (KeyError, ValueError) as error:
        raise Shapeless("expected a question as we write it") from error


def read(body: Json) -> Answer | None:
    """Return the answer in a finished coverage, None where it holds neither plan nor reject."""
    reasons = codes.policy("aaa03_policy")
    rejects = tuple(
        fields.reject("", text(one, "code"), "")
        for one in body.get("validationMessages", [])
        if text(one, "code") in reasons
    )
    if not body.get("plans") and not rejects:
        return None
    return eligibility_271.of_segments(list(_segments(body)), fields.MARKS, rejects)


def _segments(body: Json) -> Iterator[Segment]:
    payer, patient = body.get("payer", {}), body.get("patient", {})
    yield segment("HL", "", "", fields.LEVELS["payer"])
    name = text(payer, "responseName") or text(payer, "name")
    number = text(payer, "responsePayerId") or text(payer, "payerId")
    yield segment("NM1", "PR", "2", name, "", "", "", "", "PI", number)
    yield from _contacts(payer.get("contactInformation", []))
    yield segment("HL", "", "", fields.LEVELS["subscriber"])
    relationship = text(patient, "subscriberRelationshipCode")
    is_self = relationship in ("", _SELF)
    yield from _patient("IL", {**body.get("subscriber", {}), **(patient if is_self else {})})
    if not is_self:
        yield segment("HL", "", "", fields.LEVELS["dependent"])
        yield from _patient("03", patient)
    if patient.get("updateYourRecords") is True:
        yield segment("INS", "", relationship, "001", "25")
    plans = body.get("plans", [])
    if len(plans) == 1:
        yield from _about(plans[0])
    for plan in plans:
        yield from _plan(plan, is_only=len(plans) == 1)


def _patient(role: str, entry: Json) -> Iterator[Segment]:
    names = (text(entry, one) for one in ("lastName", "firstName", "middleName"))
    member_id = text(entry, "memberId")
    yield segment("NM1", role, "1", *names, "", text(entry, "suffix"), "MI", member_id)
    born, gender = fields.ccyymmdd(text(entry, "birthDate")), text(entry, "genderCode")
    yield segment("DMG", "D8", born, gender)
    if text(entry, "deathDate"):
        yield fields.span("442", text(entry, "deathDate"), "")


def _about(entry: Json) -> Iterator[Segment]:
    """Yield the REFs and DTPs of an entry."""
    yield from fields.references(entry, _REFERENCES)
    for name, both, start, end in _PERIODS:
        first, last = text(entry, f"{name}StartDate"), text(entry, f"{name}EndDate")
        if name == "benefit":
            first = text(entry, "benefitBeginDate")
        if first and last:
            yield fields.span(both, first, last)
        elif first or last:
            yield fields.span(start if first else end, first, last)
    begin, finish = (text(entry, f"coordinationOfBenefits{n}Date") for n in ("Begin", "End"))
    if begin or finish:
        yield fields.span("290", begin, finish)
    for name, qualifier in _DAYS.items():
        if text(entry, name):
            yield fields.span(qualifier, text(entry, name), "")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a row stands: in which plan, and under which service type."""

    plan: str
    insurance: str
    types: str = ""

    def row(self, entry: Json, **values: str) -> Segment:
        """Return the EB of an entry at this place."""
        own_plan, own_insurance = text(entry, "planName"), text(entry, "insuranceTypeCode")
        at = {"plan": own_plan or self.plan, "insurance": own_insurance or self.insurance}
        return fields.benefit(entry, **({"types": self.types} | at | values))


def _plan(plan: Json, *, is_only: bool) -> Iterator[Segment]:
    """Yield the rows of a plan; of several, each carries its own dates and ids on its status."""
    place = _Place(text(plan, "planName"), text(plan, "insuranceTypeCode"))
    benefits = plan.get("benefits", [])
    is_told = any(text(b, "type") == _WHOLE_PLAN and text(b, "statusCode") for b in benefits)
    if text(plan, "statusCode") and not (is_told and is_only):
        yield place.row(plan, kind=text(plan, "statusCode"))
        yield from () if is_only else _about(plan)
        yield from _notes(plan)
    yield from _details(plan, place)
    for benefit in benefits:
        yield from _benefit(benefit, replace(place, types=text(benefit, "type")))
    yield from _payers(plan.get("additionalPayers", []))
    if "primaryCareProvider" in plan:
        yield place.row(plan["primaryCareProvider"], kind="L")
        yield from _contact("P3", plan["primaryCareProvider"])


def _benefit(entry: Json, place: _Place) -> Iterator[Segment]:
    status = text(entry, "statusCode")
    if status and "statusDetails" not in entry:
        yield place.row(entry, kind=status)
        yield from _about(entry)
        yield from _notes(entry)
    yield from _rows(status, place, entry.get("statusDetails", {}), beside=entry)
    for name, kind in _AMOUNTS.items():
        yield from _rows(kind, place, entry.get("amounts", {}).get(name, {}))
    yield from _details(entry, place)
    yield from _payers(entry.get("additionalPayers", []))
    for contact in entry.get("contacts", []):
        yield place.row(contact, kind="U")
        yield from _contact(text(contact, "roleCode") or "1P", contact)


def _notes(entry: Json) -> Iterator[Segment]:
    for note in entry.get("payerNotes", []):
        yield segment("MSG", text(note, "message") if isinstance(note, dict) else str(note))


def _details(entry: Json, place: _Place) -> Iterator[Segment]:
    for name, kind in _DETAILS.items():
        yield from _rows(kind, place, entry.get(name, {}))


def _rows(kind: str, place: _Place, detail: Json, beside: Json | None = None) -> Iterator[Segment]:
    """Yield the rows of a detail; those of a status carry the dates of what is `beside` it too."""
    for name, network in _NETWORKS.items():
        for one in detail.get(name, []):
            figures = [f for f in _FIGURES if text(one, f[0])] or [("", "amountTimePeriodCode", "")]
            for figure, period, role in figures:
                written = {"network": network, "period": text(one, period) or role}
                yield _row(text(one, "statusCode") or kind, place, one, text(one, figure), written)
                yield from _beside(one)
                yield from _about(beside or {})


def _row(kind: str, place: _Place, one: Json, figure: str, written: dict[str, str]) -> Segment:
    amount, percent = _amount(kind, figure, text(one, "units").lower())
    return place.row(
        one,
        kind=kind,
        level=text(one, "levelCode"),
        amount=amount,
        percent=percent,
        unit=text(one, "quantityQualifierCode"),
        quantity=text(one, "quantity"),
        authorization=_authorization(one),
        **written,
    )


def _amount(kind: str, written: str, units: str) -> tuple[str, str]:
    """Return EB07 and EB08; a share of no unit is not read."""
    if units in _PERCENT:
        return "", fields.share(written)
    if kind == _SHARE and not units:
        return "", f"{written} of no unit" if written else ""
    return written, ""


def _authorization(one: Json) -> str:
    if one.get("authorizationRequiredUnknown") is True:
        return "U"
    return {True: "Y", False: "N"}.get(one.get("authorizationRequired", ""), "")


def _beside(one: Json) -> Iterator[Segment]:
    """Yield what follows the EB of a row."""
    for delivery in one.get("deliveryInformation", []):
        yield segment("HSD", *(text(delivery, name) for name in _DELIVERY))
    yield from _about(one)
    if text(one, "description"):
        yield segment("MSG", text(one, "description"))
    yield from _notes(one)
    if text(one, "placeOfServiceCode"):
        yield segment("III", "ZZ", text(one, "placeOfServiceCode"))


def _payers(payers: list[Json]) -> Iterator[Segment]:
    """Yield other insurance of the person, with the order that the payer knows."""
    for one in payers:
        role = next((code for name, code in _PAYERS.items() if one.get(name) is True), "PR")
        yield fields.benefit(one, kind="R", types=text(one, "serviceTypeCode"))
        yield from _about(one)
        yield from _notes(one)
        number = text(one, "payerId")
        yield segment("NM1", role, "2", text(one, "name"), "", "", "", "", "PI", number)
        yield from _contacts(one.get("contactInformation", []))


def _contact(role: str, entry: Json) -> Iterator[Segment]:
    names = [text(entry, one) for one in ("lastName", "firstName", "middleName")]
    is_person = bool(names[1])
    if not names[0]:
        names = [text(entry, "name"), "", ""]
    kind = "1" if is_person else "2"
    yield segment("NM1", role, kind, *names, "", "", "XX", text(entry, "npi"))
    yield from _contacts(entry.get("contactInformation", []))


def _contacts(listed: list[Json]) -> Iterator[Segment]:
    for one in listed:
        for name, kind in _CONTACTS.items():
            if text(one, name):
                yield segment("PER", "IC", text(one, "name"), kind, text(one, name))
