"""The CoverageEligibilityRequest that asks about a Coverage, and what in a Coverage matters."""

import hashlib
import uuid
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from fhir_profiles import codec, codes, elements, systems
from fhir_profiles.codes import Reason

Resource = dict[str, Any]
TRACES = uuid.UUID("7d0f2a53-3b1c-5c57-9b1e-0c5f0f4d7a11")
MATERIAL = (
    "status",
    "beneficiary",
    "subscriber",
    "subscriberId",
    "identifier",
    "relationship",
    "period",
    "payor",
    "class",
    "type",
)
# The same as `is_material_change`, for the Subscription: FHIRPath that tells empty from a value.
MATERIAL_CHANGE = " or ".join(
    ["%previous.empty()", *(f"%previous.`{name}` != %current.`{name}`" for name in MATERIAL)]
)
GENERAL = "30"


def is_material_change(new: Resource, old: Resource | None) -> bool:
    """Tell whether two versions of a Coverage differ in a field that a payer's answer rests on.

    Empty counts as a value: a member id that was added is a change.
    """
    return old is None or any(new.get(name) != old.get(name) for name in MATERIAL)


def trace_of(cause: str) -> str:
    """Return the trace number of a check: 32 characters (TRN02), the same for the same cause."""
    return uuid.uuid5(TRACES, cause).hex.upper()


def version_address(resource: Resource) -> str:
    """Return Type/id and something that names this version, for servers without versions too."""
    meta = resource.get("meta", {})
    version = meta.get("versionId") or meta.get("lastUpdated")
    if not version:
        version = hashlib.sha256(repr(sorted(resource.items())).encode()).hexdigest()[:16]
    return f"{resource['resourceType']}/{resource['id']}/_history/{version}"


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be asked about a coverage, and why.

    `cause` names the event, the same however often it is told.
    """

    reason: Reason
    cause: str
    service_date: date
    service_types: tuple[str, ...] = (GENERAL,)


def inquiry_key(coverage: Resource, wish: Wish) -> str:
    """Return what is the same for the same question: coverage as far as it matters, day, types."""
    material = codec.encode([coverage.get(name) for name in MATERIAL]).decode()
    asked = [wish.service_date.isoformat(), *sorted(wish.service_types)]
    return trace_of("|".join([coverage["id"], material, *asked]))


def to_request(
    coverage: Resource, wish: Wish, provider: str, *, after: str, created: datetime
) -> Resource:
    """Return the request that asks the payer of `coverage`.

    `provider` is a reference, "" where none is known: the check will then say so.

    Its trace number is made of the question and of the request that it comes `after` ("" if it is
    the first), so that two triggers at once make one request.
    """
    key = inquiry_key(coverage, wish)
    request: Resource = {
        "resourceType": "CoverageEligibilityRequest",
        "meta": {"tag": [{"system": systems.CHECK_REASON, "code": wish.reason.value}]},
        "identifier": [
            {"system": systems.TRACE, "value": trace_of(f"{key}#{after}")},
            {"system": systems.INQUIRY, "value": key},
            {"system": systems.CAUSE, "value": cause_of(wish)},
        ],
        "status": "active",
        "purpose": ["benefits", "validation"],
        "patient": _plain(coverage["beneficiary"]),
        "servicedDate": wish.service_date.isoformat(),
        "created": created.isoformat(timespec="milliseconds"),
        "insurer": insurer_of(coverage),
        "insurance": [{"focal": True, "coverage": {"reference": f"Coverage/{coverage['id']}"}}],
        "item": [_item(code) for code in wish.service_types],
    }
    if provider:
        request["provider"] = {"reference": provider}
    inside = [elements.reference(request[n]) for n in ("patient", "insurer")]
    kept = [c for c in coverage.get("contained", []) if f"#{c.get('id')}" in inside]
    return {**request, "contained": kept} if kept else request


def cause_of(wish: Wish) -> str:
    """Return the identifier of the event that a request answers to."""
    return trace_of(f"{wish.cause}#{wish.reason}")


def _item(code: str) -> Resource:
    name = codes.names("service_type_codes").get(code, "")
    coding = {"system": systems.X12_SERVICE_TYPE, "code": code} | (
        {"display": name} if name else {}
    )
    return {"category": {"coding": [coding]}}


def insurer_of(coverage: Resource) -> Resource:
    """Return a Reference to the payer's Organization; with none, one that has only a display."""
    for payor in coverage.get("payor", []):
        inside = elements.contained(coverage, elements.reference(payor)) or {}
        is_organization = "Organization/" in elements.reference(payor)
        if is_organization or inside.get("resourceType") == "Organization":
            return _plain(payor)
    named = next((p["display"] for p in coverage.get("payor", []) if "display" in p), "")
    return {"display": named or "No payer organization on the coverage"}


def provider_of(patient: Resource, fallback: str) -> str:
    """Return the reference of who asks for a patient: the clinic, else the general practitioner."""
    candidates = [patient.get("managingOrganization"), *patient.get("generalPractitioner", [])]
    found = (elements.reference(c) for c in candidates)
    return next((address for address in found if address and address[0] != "#"), fallback)


def _plain(node: Resource) -> Resource:
    return {k: v for k, v in node.items() if k in ("reference", "display", "type", "identifier")}
