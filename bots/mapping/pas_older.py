"""A request Bundle of Da Vinci PAS 2.2.1 -> one that a payer of 2.0.1 takes.

What differs: one Claim in a Bundle, so that an update names the prior Claim by its identifier; a
cancellation stands on each item, not on the Claim; and extensions that came later are left out.
"""

from typing import Any

from fhir_profiles import elements, pas, pas_rules

Resource = dict[str, Any]
_LATER = frozenset({f"{pas.PROFILES}/extension-TransmissionIdentifiers", pas.EXT_CERTIFICATION})
_CANCEL = {
    "url": pas.EXT_CERTIFICATION,
    "valueCodeableConcept": {"coding": [{"system": pas.CERTIFICATION_TYPE, "code": pas.CANCEL}]},
}


def bundle(sent: Resource) -> Resource:
    """Return the same request for a payer of 2.0.1."""
    first, *others = sent["entry"]
    claims = {
        e["fullUrl"]: e["resource"] for e in others if e["resource"]["resourceType"] == "Claim"
    }
    claim = _claim(first["resource"], claims)
    held = {e["fullUrl"]: e for e in others if e["fullUrl"] not in claims}
    kept: dict[str, Resource] = {}
    todo = [node["reference"] for _, node in pas_rules.references(claim)]
    while todo:
        address = todo.pop(0)
        if address in held and address not in kept:
            kept[address] = held[address]
            todo += [n["reference"] for _, n in pas_rules.references(held[address]["resource"])]
    return {**sent, "entry": [{**first, "resource": claim}, *kept.values()]}


def _claim(claim: Resource, priors: dict[str, Resource]) -> Resource:
    concept = elements.extension_value(claim, pas.EXT_CERTIFICATION)
    is_gone = elements.code(concept, pas.CERTIFICATION_TYPE) == pas.CANCEL
    found = {
        **claim,
        "extension": [e for e in claim.get("extension", []) if e.get("url") not in _LATER],
        "related": [_related(one, priors) for one in claim.get("related", [])],
        "supportingInfo": [_without_kind(one) for one in claim.get("supportingInfo", [])],
        "item": [_gone(one) if is_gone else one for one in claim.get("item", [])],
    }
    return {name: value for name, value in found.items() if value != []}


def _related(related: Resource, priors: dict[str, Resource]) -> Resource:
    prior = priors.get(elements.reference(related.get("claim")))
    named = next(iter((prior or {}).get("identifier", [])), None)
    return {**related, "claim": {"identifier": named}} if named else related


def _without_kind(info: Resource) -> Resource:
    kept = [e for e in info.get("extension", []) if e.get("url") != pas.EXT_DOCUMENT]
    rest = {name: value for name, value in info.items() if name != "extension"}
    return rest | ({"extension": kept} if kept else {})


def _gone(item: Resource) -> Resource:
    kept = [e for e in item.get("extension", []) if e.get("url") != pas.EXT_CERTIFICATION]
    others = [e for e in item.get("modifierExtension", []) if e.get("url") != pas.EXT_CANCELLED]
    mark = {"url": pas.EXT_CANCELLED, "valueBoolean": True}
    return {**item, "extension": [*kept, _CANCEL], "modifierExtension": [*others, mark]}
