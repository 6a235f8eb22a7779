"""The bytes of an exchange with a payer, kept as FHIR: a DocumentReference over sealed Binaries.

What is in them only the holder of the payload key reads; when, by which route and under which
trace number they went is for everybody who may read the patient. Source: FHIR R4
documentreference.html, binary.html.
"""

import base64
import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Any

from bots.mapping.request import trace_of
from fhir_profiles import elements, systems

Resource = dict[str, Any]
X12, JSON, ANY = "application/edi-x12", "application/json", "application/octet-stream"
SEALED = "application/jose"
SENT, RECEIVED = "Question as sent", "Answer as received"
EXCHANGE = "eligibility-exchange"
_KINDS = {
    "CoverageEligibilityRequest": (EXCHANGE, "Exchange with a payer about eligibility"),
    "ServiceRequest": ("order-exchange", "Exchange with a payer about an order"),
    "Claim": ("prior-auth-exchange", "Exchange with a payer about a prior authorization"),
}
_RESTRICTED = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality",
    "code": "R",
    "display": "restricted",
}


def resources(  # noqa: PLR0913 what is known of an exchange
    request: Resource,
    trace: str,
    route: str,
    parts: tuple[str, bytes],
    *,
    moment: datetime,
    seal: Callable[[bytes, str], bytes],
) -> list[Resource]:
    """Return the DocumentReference and its Binaries; `parts` are the question and what came back.

    The same exchange gives the same ids, so that it is kept once however often it is told.
    """
    sent, received = parts
    code, text = _KINDS[request["resourceType"]]
    digest = hashlib.sha256(sent.encode() + b"\0" + received).hexdigest()
    fhir_id = trace_of(f"{trace}|{route}|{digest}").lower()
    told = [
        ("sent", SENT, sent.encode(), JSON if sent.startswith("{") else X12),
        ("received", RECEIVED, received, ANY),
    ]
    binaries = {
        title: _binary(f"{fhir_id}-{name}", f"DocumentReference/{fhir_id}", seal(content, kind))
        for name, title, content, kind in told
        if content
    }
    document: Resource = {
        "resourceType": "DocumentReference",
        "id": fhir_id,
        "identifier": [{"system": systems.TRACE, "value": trace}],
        "status": "current",
        "type": {
            "coding": [{"system": systems.DOCUMENT_TYPE, "code": code}],
            "text": text,
        },
        "date": moment.isoformat(timespec="milliseconds"),
        "description": f"Question and its answer by route {route}",
        "securityLabel": [{"coding": [_RESTRICTED]}],
        "content": [{"attachment": _attachment(t, b)} for t, b in binaries.items()],
        "context": {
            "related": [{"reference": f"{request['resourceType']}/{request['id']}"}],
        },
    }
    if elements.reference(request.get("patient"))[:1] not in ("", "#"):
        document["subject"] = request["patient"]
    return [*binaries.values(), document]


def _binary(fhir_id: str, document: str, sealed: bytes) -> Resource:
    return {
        "resourceType": "Binary",
        "id": fhir_id,
        "contentType": SEALED,
        "securityContext": {"reference": document},
        "data": base64.b64encode(sealed).decode(),
    }


def _attachment(title: str, binary: Resource) -> Resource:
    return {
        "contentType": SEALED,
        "url": f"Binary/{binary['id']}",
        "size": len(base64.b64decode(binary["data"])),
        "title": title,
    }


def part(document: Resource, title: str) -> str:
    """Return the address of one part of an exchange, "" where there is none."""
    attachments = (content["attachment"] for content in document.get("content", []))
    return next((str(one["url"]) for one in attachments if one.get("title") == title), "")


def content(binary: Resource) -> bytes:
    """Return the sealed bytes of a Binary."""
    return base64.b64decode(binary.get("data", ""))
