"""A document that a payer asks for -> the Parameters of CDex `$submit-attachment`.

Source: Da Vinci CDex 2.1.0, OperationDefinition submit-attachment; PAS 2.2.1, additionalinfo.html.
"""

from collections.abc import Iterator
from typing import Any

from bots.mapping import pas_request
from fhir_profiles import crosswalk, elements, pas, payer_asks, systems

Resource = dict[str, Any]
PROFILE = f"{pas.CDEX}/StructureDefinition/cdex-parameters-submit-attachment"


def parameters(sent: Resource, ask: Resource, content: Resource, *, is_final: bool) -> Resource:
    """Return what goes to the payer: `content` for what `ask`, a CommunicationRequest, asks for.

    `sent` is the request as it went out; `is_final` says that nothing else is asked for. The
    content names the member, and nobody else.
    """
    claim = sent["entry"][0]["resource"]
    held = {entry["fullUrl"]: entry["resource"] for entry in sent["entry"]}
    member = _member(claim, held)
    days = sorted(
        str(day)
        for item in claim.get("item", [])
        if (day := item.get("servicedDate") or item.get("servicedPeriod", {}).get("start"))
    )
    tracking = next(iter(ask.get("identifier", [])), None) or claim["identifier"][0]
    listed: list[tuple[str, str, Any]] = [
        ("TrackingId", "Identifier", tracking),
        ("AttachTo", "Code", "preauthorization"),
        ("PayerId", "Identifier", _identifier(held, claim.get("insurer"))),
        ("OrganizationId", "Identifier", _identifier(held, claim.get("provider"))),
        ("MemberId", "Identifier", member),
        ("ServiceDate", "Date", next(iter(days), None)),
    ]
    found = [{"name": name, f"value{kind}": value} for name, kind, value in listed if value]
    parts = [*_parts(ask), {"name": "Content", "resource": _content(content, member)}]
    return {
        "resourceType": "Parameters",
        "meta": {"profile": [PROFILE]},
        "parameter": [
            *found,
            {"name": "Attachment", "part": parts},
            {"name": "Final", "valueBoolean": is_final},
        ],
    }


def _parts(ask: Resource) -> Iterator[Resource]:
    line = payer_asks.line(ask)
    if line:
        yield {"name": "LineItem", "valueString": str(line)}
    for system, code in payer_asks.codes(ask)[:1]:
        concept = {"coding": [{"system": system, "code": code}]}
        yield {"name": "Code", "valueCodeableConcept": concept}


def _member(claim: Resource, held: dict[str, Resource]) -> Resource | None:
    for one in claim.get("insurance", []):
        coverage = held.get(elements.reference(one.get("coverage")), {})
        for identifier in crosswalk.member_identifiers(coverage):
            return identifier
    return None


def _identifier(held: dict[str, Resource], node: Any) -> Resource | None:
    """Return what a party is known by: its NPI, else its first identifier."""
    listed = held.get(elements.reference(node), {}).get("identifier", [])
    npi = [one for one in listed if one.get("system") == systems.NPI]
    return next(iter([*npi, *listed]), None)


def _content(content: Resource, member: Resource | None) -> Resource:
    """Return the document with the member in place of our patient, and no other reference."""
    about = elements.reference(content.get("subject"))

    def change(found: Resource) -> Resource:
        if found["reference"] == about and member:
            return {"identifier": member}
        return {"display": str(found.get("display", "not held here"))}

    changed: Resource = elements.with_references(pas_request.pruned(content), change)
    return {name: value for name, value in changed.items() if name != "id"}
