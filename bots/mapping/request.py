"""The CoverageEligibilityRequest that asks about a Coverage, and what in a Coverage matters."""

import hashlib
import uuid
from datetime import date, datetime
from typing import Any

from fhir_profiles import elements, systems
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
_GENERAL = "30"


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


def to_request(
    coverage: Resource, *, provider: str, reason: Reason, service_date: date, created: datetime
) -> Resource:
    """Return the request that asks the payer of `coverage` about the plan as a whole.

    `provider` is a reference, "" where none is known: the check will then say so.
    """
    trace = trace_of(f"{version_address(coverage)}#{reason}")
    request: Resource = {
        "resourceType": "CoverageEligibilityRequest",
        "meta": {"tag": [{"system": systems.CHECK_REASON, "code": reason.value}]},
        "identifier": [{"system": systems.TRACE, "value": trace}],
        "status": "active",
        "purpose": ["benefits", "validation"],
        "patient": _plain(coverage["beneficiary"]),
        "servicedDate": service_date.isoformat(),
        "created": created.isoformat(timespec="milliseconds"),
        "insurer": insurer_of(coverage),
        "insurance": [{"focal": True, "coverage": {"reference": f"Coverage/{coverage['id']}"}}],
        "item": [
            {
                "category": {
                    "coding": [
                        {
                            "system": systems.X12_SERVICE_TYPE,
                            "code": _GENERAL,
                            "display": "Health Benefit Plan Coverage",
                        }
                    ]
                }
            }
        ],
    }
    if provider:
        request["provider"] = {"reference": provider}
    inside = [elements.reference(request[n]) for n in ("patient", "insurer")]
    kept = [c for c in coverage.get("contained", []) if f"#{c.get('id')}" in inside]
    return {**request, "contained": kept} if kept else request


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
