"""Opkit's eligibility inquiries, as they were: flat benefits, currency in cents.

The answer names no person: it is taken to be about the one who was asked about, and flagged, so
that it is never more than an answer to review. Source: the vendor's published examples.
"""

from collections.abc import Iterator
from decimal import Decimal

from msgspec import structs

from bots.domain.eligibility import Answer, Inquiry, Person
from bots.shapes import fields
from bots.shapes.fields import Json, Shapeless, segment, text
from bots.x12 import elements, eligibility_271
from bots.x12.syntax import Segment

PATH = "/v1/eligibility_inquiries"
UNNAMED = "differs:unnamed"
_KINDS = {
    "active_coverage": "1",
    "inactive": "6",
    "coinsurance": "A",
    "co_insurance": "A",
    "copay": "B",
    "copayment": "B",
    "deductible": "C",
    "out_of_pocket": "G",
    "out_of_pocket_max": "G",
    "non_covered": "I",
}
_NETWORKS = {"in_network": "Y", "out_of_network": "N"}
_LEVELS = {"individual": "IND", "family": "FAM"}
_CENTS = 100


def ask(inquiry: Inquiry) -> Json:
    """Return the request body of a question; the shape has one person, the patient."""
    patient = inquiry.dependent or inquiry.subscriber
    return {
        "provider_npi": inquiry.provider_npi,
        "payer_id": inquiry.payer_id,
        "subscriber": {
            "first_name": patient.first,
            "last_name": patient.last,
            "member_id": patient.member_id or inquiry.subscriber.member_id,
            "date_of_birth": patient.birth_date.isoformat() if patient.birth_date else "",
        },
        "services": list(inquiry.service_types),
    }


def asked(body: Json, question: Inquiry) -> Inquiry:
    """Return `question` with what a request body of ours says. Raises Shapeless."""
    try:
        told = body["subscriber"]
        patient = Person(
            text(told, "last_name"),
            text(told, "first_name"),
            member_id=text(told, "member_id"),
            birth_date=elements.day(text(told, "date_of_birth").replace("-", "")),
        )
        return structs.replace(
            question,
            payer_id=text(body, "payer_id"),
            provider_npi=text(body, "provider_npi"),
            subscriber=patient,
            service_types=tuple(body["services"]),
        )
    except (KeyError, AttributeError) as error:
        raise Shapeless("expected a question as we write it") from error


def read(body: Json, inquiry: Inquiry) -> Answer | None:
    """Return the answer in a response body, None where it holds no plan."""
    plan = body.get("plan")
    if not isinstance(plan, dict):
        return None
    told = eligibility_271.of_segments(list(_segments(plan, inquiry)), fields.MARKS)
    return structs.replace(told, flags=(*told.flags, UNNAMED))


def _segments(plan: Json, inquiry: Inquiry) -> Iterator[Segment]:
    patient = inquiry.dependent or inquiry.subscriber
    yield segment("HL", "", "", fields.LEVELS["payer"])
    yield segment("NM1", "PR", "2", inquiry.payer_name, "", "", "", "", "PI", inquiry.payer_id)
    yield segment("HL", "", "", fields.LEVELS["subscriber"])
    member_id = patient.member_id or inquiry.subscriber.member_id
    yield segment("NM1", "IL", "1", patient.last, patient.first, "", "", "", "MI", member_id)
    for entry in plan.get("benefits", []):
        for value in entry.get("values") or [{}]:
            yield _benefit(entry, value)


def _benefit(entry: Json, value: Json) -> Segment:
    kind, network, level = (text(entry, name) for name in ("type", "network", "coverage"))
    written, is_share = text(value, "value"), text(value, "type") == "percent"
    return fields.benefit(
        entry,
        kind=_KINDS.get(kind) or fields.coded("eb01_benefit_information", kind),
        level=_LEVELS.get(level, level),
        types=fields.coded("service_type_codes", text(entry, "service")),
        period=fields.coded("eb06_time_period", text(entry, "period")),
        amount="" if is_share else _dollars(written),
        percent=fields.share(written) if is_share else "",
        network=_NETWORKS.get(network, network),
    )


def _dollars(cents: str) -> str:
    """Return cents as dollars; what is no number stays as it is, to be flagged."""
    value = elements.number(cents)
    return str(Decimal(value) / _CENTS) if value is not None else cents
