"""A Claim (use = preauthorization) and all that it reaches -> a PAS request Bundle.

Source: Da Vinci PAS 2.2.1, profile-pas-request-bundle and specification.html. Each resource stands
once under a urn:uuid, and each reference goes there; only what the profiles ask for is sent.
"""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from fhir_profiles import crosswalk, elements, loader, pas, pas_rules, systems

Resource = dict[str, Any]
TRANSACTION = f"{systems.BASE}/NamingSystem/prior-auth-transaction"
# By the place of the reference from the Claim on; of any other place, by the type alone.
_PROFILES = {
    "ServiceRequest": "servicerequest", "MedicationRequest": "medicationrequest",
    "DeviceRequest": "devicerequest", "NutritionOrder": "nutritionorder",
    "Encounter": "encounter", "Practitioner": "practitioner",
    "PractitionerRole": "practitionerrole",
    "Location": "location", "DocumentReference": "documentreference", "Coverage": "coverage",
    "Patient": "beneficiary", "Organization": "requestor",
}  # fmt: skip
_KEPT = frozenset({"resourceType", "id"})


def wanted(resource: Resource, *, is_first: bool) -> list[str]:
    """Return the addresses that a resource refers to in what is sent of it, each once.

    Of a Claim that was reached by reference, the one that it updated stays out.
    """
    type_name = str(resource["resourceType"])
    name = _claim_profile(resource) if type_name == "Claim" else _PROFILES.get(type_name, "")
    found = [
        node["reference"]
        for path, node in pas_rules.references(_sent(resource, name))
        if is_first or resource["resourceType"] != "Claim" or not path.startswith("related")
    ]
    return list(dict.fromkeys(found))


def bundle(
    claim: Resource, reached: Mapping[str, Resource], *, number: str, moment: datetime, server: str
) -> Resource:
    """Return the request Bundle about `claim`; `number` names the transaction (BHT03).

    `reached` has what each address in it stands for, read from `server`, our FHIR base URL; an
    address that it does not have stays as it is, which the rules then name.
    """
    urls = {address: full_url(one, server) for address, one in reached.items()}
    insurers = {_address(node) for node in (claim.get("insurer"), *_payors(reached.values()))}
    subscribers = {_address(one.get("subscriber")) for one in reached.values()}
    listed: dict[str, Resource] = {full_url(claim, server): _sent(claim, _claim_profile(claim))}
    for address, one in reached.items():
        name = _PROFILES.get(str(one["resourceType"]), "")
        if one["resourceType"] == "Claim":
            name = _claim_profile(one)
        elif address in insurers:
            name = "insurer"
        elif address in subscribers and address != _address(claim.get("patient")):
            name = "subscriber"
        listed.setdefault(urls[address], _sent(crosswalk.known_to(_filled(one), insurers), name))

    def to_entry(node: Resource) -> Resource:
        return {**node, "reference": urls.get(node["reference"], node["reference"])}

    entries = [
        {"fullUrl": url, "resource": elements.with_references(one, to_entry)}
        for url, one in listed.items()
    ]
    return {
        "resourceType": "Bundle",
        "identifier": {"system": TRANSACTION, "value": number},
        "type": "collection",
        "timestamp": moment.isoformat(timespec="milliseconds"),
        "entry": entries,
    }


def _filled(resource: Resource) -> Resource:
    """Return a Coverage or an order in the guide's words; any other resource as it is.

    Of a Coverage: the member id also as an identifier of type MB, and "self" also by its X12 code.
    """
    if resource["resourceType"] == "ServiceRequest":
        return _in_units(resource)
    if resource["resourceType"] != "Coverage":
        return resource
    found = dict(resource)
    if resource.get("subscriberId") and not [*crosswalk.member_identifiers(resource)]:
        listed = resource.get("identifier", [])
        found["identifier"] = [*listed, *crosswalk.member_numbers(resource)]
    told = resource.get("relationship", {})
    is_self = elements.code(told, systems.RELATIONSHIP) == "self"
    if is_self and not elements.code(told, pas.RELATIONSHIP):
        own = {"system": pas.RELATIONSHIP, "code": pas.SELF}
        found["relationship"] = {**told, "coding": [*told["coding"], own]}
    return found


def _in_units(order: Resource) -> Resource:
    """Return an order whose quantity is one of the guide: no code but of X12 673, or none at all.

    How much is asked for stands in the item of the Claim.
    """
    amount = order.get("quantityQuantity")
    if amount is None or amount.get("system") == pas.QUANTITY_UNIT:
        return order
    kept = {name: amount[name] for name in ("value", "unit") if name in amount}
    rest = {name: value for name, value in order.items() if name != "quantityQuantity"}
    return rest | ({"quantityQuantity": kept} if len(kept) > 1 else {})


def full_url(resource: Resource, server: str) -> str:
    """Return the urn:uuid of a resource: the same for each submission, another for each resource.

    It has the form of a random UUID (version 4), the only one that payers are tested to take.
    """
    name = f"{server}/{resource['resourceType']}/{resource['id']}"
    digest = hashlib.sha256(name.encode()).digest()
    return f"urn:uuid:{UUID(bytes=digest[:16], version=4)}"


def pruned(resource: Resource) -> Resource:
    """Return what is sent of a resource by itself."""
    return _sent(resource, _PROFILES.get(str(resource["resourceType"]), ""))


def _claim_profile(claim: Resource) -> str:
    return "claim-update" if claim.get("related") else "claim"


def _payors(resources: Iterable[Resource]) -> Iterable[Any]:
    return (node for one in resources for node in one.get("payor", []))


def _address(node: Any) -> str:
    return str(node.get("reference", "")) if isinstance(node, dict) else ""


def _sent(resource: Resource, name: str) -> Resource:
    """Return what of a resource is sent: all of it where the guide has no profile of its own."""
    tree = _trees().get(f"{pas.PROFILES}/profile-{name}")
    if tree is None:
        return {k: v for k, v in resource.items() if k not in ("meta", "text")}
    kept = {name: resource[name] for name in _KEPT if name in resource}
    return kept | _below_tree(resource, tree)


def _below_tree(node: Resource, tree: Mapping[str, Any]) -> Resource:
    found: Resource = {}
    for name, value in node.items():
        if name in ("extension", "modifierExtension"):
            found[name] = [one for one in value if one.get("url") in tree.get(name, ())]
        else:
            branch = _branch(name.removeprefix("_"), tree)
            if branch is not None:
                found[name] = _below(value, branch)
    return {name: value for name, value in found.items() if value not in ([], {})}


def _below(value: Any, branch: Mapping[str, Any]) -> Any:
    if not branch:
        return value
    if isinstance(value, list):
        return [_below(one, branch) for one in value]
    return _below_tree(value, branch) if isinstance(value, dict) else value


def _branch(name: str, tree: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return what the tree says below an element; a choice stands under its name with [x]."""
    if name in tree:
        branch: Mapping[str, Any] = tree[name]
        return branch
    choices = (
        below for key, below in tree.items()
        if key.endswith("[x]") and name.startswith(key[:-3]) and name[len(key) - 3 :][:1].isupper()
    )  # fmt: skip
    return next(choices, None)


@cache
def _trees() -> dict[str, Mapping[str, Any]]:
    files = loader.artefacts("structure_definitions")
    return {one["url"]: one["sent"] for file in files for one in file if "sent" in one}
