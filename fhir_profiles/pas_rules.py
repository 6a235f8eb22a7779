"""What a PAS request Bundle must be beyond its profiles' tables: the guide's narrative, as rules.

A pure reader of one Bundle; each breach names its element by a FHIRPath from the Bundle on. What
X12 will not carry is a warning, everything else an error. Source: Da Vinci PAS 2.2.1,
specification.html and the notes of its profiles.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from fhir_profiles import crosswalk, elements, pas
from fhir_profiles.pas_claim_rules import Breach, claim_rules, days

Resource = dict[str, Any]
_V4 = re.compile(r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_URL = re.compile(r"https?://\S+/[A-Z][A-Za-z]+/[A-Za-z0-9.\-]{1,64}")
# Resources that support a request rather than say who and what: supportingInfo points to each.
_SUPPORTING = frozenset(
    {"AllergyIntolerance", "Condition", "DiagnosticReport", "DocumentReference", "Immunization",
     "Observation", "Procedure", "QuestionnaireResponse"}
)  # fmt: skip


def check(bundle: Resource) -> list[Breach]:
    """Return every breach of the rules by a request Bundle that is structurally sound."""
    entries = [one for one in bundle.get("entry", []) if isinstance(one.get("resource"), dict)]
    found = [*_envelope(bundle)]
    if not entries or entries[0]["resource"].get("resourceType") != "Claim":
        return [*found, Breach("Bundle.entry[0].resource", "Expected the Claim first.")]
    found += _claims(entries)
    found += _addresses(entries)
    found += _closure(entries)
    for place, entry in enumerate(entries):
        resource, path = entry["resource"], f"Bundle.entry[{place}].resource"
        for rule in _RULES.get(str(resource.get("resourceType")), ()):
            found += rule(resource, path)
        found += _quantities(resource, path)
    return [*found, *_parties(entries)]


def references(node: Any, path: str = "") -> Iterator[tuple[str, Resource]]:
    """Yield each literal reference in a resource, with the path to it.

    Left out are contained resources' own and references to them, and what the closure spares: the
    request of a ClaimResponse. Source: PAS 2.2.1 specification.html, FHIR R4 references.html.
    """
    if isinstance(node, list):
        for place, one in enumerate(node):
            yield from references(one, f"{path}[{place}]")
    elif isinstance(node, dict):
        address = node.get("reference")
        if isinstance(address, str) and not address.startswith("#"):
            yield path, node
        spared = {"contained"} | (
            {"request"} if node.get("resourceType") == "ClaimResponse" else set()
        )
        for name, value in node.items():
            if name not in spared:
                yield from references(value, f"{path}.{name}" if path else name)


def _envelope(bundle: Resource) -> Iterator[Breach]:
    if bundle.get("type") != "collection":
        yield Breach("Bundle.type", "Expected collection.")
    identifier = bundle.get("identifier", {})
    for name in ("system", "value"):
        if not identifier.get(name):
            yield Breach(f"Bundle.identifier.{name}", "The transaction needs an identifier.")
    if not bundle.get("timestamp"):
        yield Breach("Bundle.timestamp", "Expected the moment of the request.")


def _claims(entries: list[Resource]) -> Iterator[Breach]:
    claim = entries[0]["resource"]
    count = sum(1 for one in entries if one["resource"].get("resourceType") == "Claim")
    related = claim.get("related", [])
    if count != 1 + len(related[:1]):
        text = "A new request has one Claim, an update itself and the Claim that it updates."
        yield Breach("Bundle.entry", text)
    for place, one in enumerate(related):
        if elements.code(one.get("relationship"), pas.RELATED) != "prior" or not one.get("claim"):
            path = f"Bundle.entry[0].resource.related[{place}]"
            yield Breach(path, "Expected the prior Claim.")


def _addresses(entries: list[Resource]) -> Iterator[Breach]:
    for place, entry in enumerate(entries):
        address = str(entry.get("fullUrl", ""))
        if not _V4.fullmatch(address):
            text = "Expected urn:uuid: and a UUID of version 4."
            is_url = bool(_URL.fullmatch(address))  # allowed; some payers lose the port of it
            yield Breach(f"Bundle.entry[{place}].fullUrl", text, is_error=not is_url)
    counted = Counter(str(entry.get("fullUrl")) for entry in entries)
    for address, count in counted.items():
        if count > 1:
            yield Breach("Bundle.entry.fullUrl", f"{count} entries are one resource ({address}).")
    same = Counter(
        (str(e["resource"].get("resourceType")), str(e["resource"].get("id")))
        for e in entries if e["resource"].get("id")
    )  # fmt: skip
    for (type_name, _), count in same.items():
        if count > 1:
            yield Breach("Bundle.entry.resource", f"A {type_name} stands {count} times.")


_UNHELD = {
    False: "{} is not held by the request: store it, or put it into the Bundle, first.",
    True: "The Bundle holds {} more than once.",
}


def _closure(entries: list[Resource]) -> Iterator[Breach]:
    """Yield each reference that is reached from the Claim and hits no entry, or several.

    A supporting resource that nothing reaches is told, too: the payer could not tell what for.
    """
    by_url: dict[str, list[int]] = {}
    for place, entry in enumerate(entries):
        by_url.setdefault(str(entry.get("fullUrl")), []).append(place)
    todo, seen = [0], {0}
    while todo:
        place = todo.pop()
        resource = entries[place]["resource"]
        for path, node in references(resource):
            if place and resource["resourceType"] == "Claim" and path.startswith("related"):
                continue  # what the updated Claim had updated itself stays out
            hits = by_url.get(node["reference"], [])
            if len(hits) != 1:
                where = f"Bundle.entry[{place}].resource.{path}.reference"
                yield Breach(where, _UNHELD[bool(hits)].format(node["reference"]))
            todo += [hit for hit in hits if hit not in seen]
            seen.update(hits)
    for place, entry in enumerate(entries):
        if place not in seen and entry["resource"].get("resourceType") in _SUPPORTING:
            text = "No supportingInfo of the Claim points to this supporting resource."
            yield Breach(f"Bundle.entry[{place}].resource", text)


def _parties(entries: list[Resource]) -> Iterator[Breach]:
    """Yield who provides and is neither an Organization nor a PractitionerRole."""
    types = {str(e.get("fullUrl")): e["resource"].get("resourceType") for e in entries}
    for place, entry in enumerate(entries):
        claim = entry["resource"]
        if claim.get("resourceType") != "Claim":
            continue
        path = f"Bundle.entry[{place}].resource"
        members = [(f"{path}.provider", claim.get("provider"))] + [
            (f"{path}.careTeam[{number}].provider", one.get("provider"))
            for number, one in enumerate(claim.get("careTeam", []))
        ]
        for where, node in members:
            found = types.get(elements.reference(node))
            if found not in (None, "Organization", "PractitionerRole"):
                yield Breach(where, f"Expected an Organization or PractitionerRole, got {found}.")


def _patient(patient: Resource, path: str) -> Iterator[Breach]:
    if not patient.get("identifier"):
        text = "Expected a number of the patient, such as the chart's, with its system."
        yield Breach(f"{path}.identifier", text)
    yield from days(patient, path, ("birthDate",))


def _coverage(coverage: Resource, path: str) -> Iterator[Breach]:
    if not [*crosswalk.member_identifiers(coverage)]:
        yield Breach(
            f"{path}.identifier", "Expected the member id: an identifier of type MB with a value."
        )
    if len(coverage.get("payor", [])) != 1:
        yield Breach(f"{path}.payor", "Expected exactly one payer.")
    if not coverage.get("relationship"):
        yield Breach(f"{path}.relationship", "Expected the relationship to the subscriber.")
    is_self = elements.code(coverage.get("relationship"), pas.RELATIONSHIP) == pas.SELF
    if not is_self and not elements.reference(coverage.get("subscriber")):
        text = "Expected the subscriber, or relationship 18 of X12 1069."
        yield Breach(f"{path}.subscriber", text)


def _organization(organization: Resource, path: str) -> Iterator[Breach]:
    if organization.get("active") is not True:
        yield Breach(f"{path}.active", "Expected true.")
    if not organization.get("name"):
        yield Breach(f"{path}.name", "Expected a name.")


def _role(role: Resource, path: str) -> Iterator[Breach]:
    if not elements.reference(role.get("practitioner")):
        yield Breach(f"{path}.practitioner", "Expected the practitioner.")


def _location(location: Resource, path: str) -> Iterator[Breach]:
    if not location.get("address"):
        yield Breach(f"{path}.address", "Expected an address.")


def _document(document: Resource, path: str) -> Iterator[Breach]:
    for place, content in enumerate(document.get("content", [])):
        attachment = content.get("attachment", {})
        if not attachment.get("data") or attachment.get("url"):
            where = f"{path}.content[{place}].attachment"
            yield Breach(where, "The document itself goes along as data, not as an address.")


def _quantities(resource: Resource, path: str) -> Iterator[Breach]:
    for name, node in _amounts(resource, path):
        if node.get("value") is None or not (node.get("unit") or node.get("code")):
            yield Breach(name, "A quantity has a value, and a unit or code.")
        if node.get("code") and node.get("system") != pas.QUANTITY_UNIT:
            yield Breach(name, f"The code of a quantity is of {pas.QUANTITY_UNIT}.")


def _amounts(resource: Resource, path: str) -> Iterator[tuple[str, Resource]]:
    if resource.get("resourceType") == "Claim":
        for place, item in enumerate(resource.get("item", [])):
            if "quantity" in item:
                yield f"{path}.item[{place}].quantity", item["quantity"]
    elif isinstance(resource.get("quantityQuantity"), dict):
        yield f"{path}.quantityQuantity", resource["quantityQuantity"]


def _order(order: Resource, path: str) -> Iterator[Breach]:
    timing = order.get("occurrenceTiming")
    if isinstance(timing, dict) and not _says_when(timing):
        text = (
            "Expected a count, frequency with period and unit, or a calendar or delivery pattern."
        )
        yield Breach(f"{path}.occurrenceTiming", text)


def _says_when(timing: Resource) -> bool:
    repeat = timing.get("repeat", {})
    if repeat.get("count") or {"frequency", "period", "periodUnit"} <= repeat.keys():
        return True
    return any(
        elements.has_extension(node, url)
        for node in (timing, repeat)
        for url in (pas.EXT_CALENDAR, pas.EXT_DELIVERY)
    )


Rule = Callable[[Resource, str], Iterator[Breach]]
_RULES: dict[str, tuple[Rule, ...]] = {
    "Claim": (claim_rules,),
    "Patient": (_patient,),
    "Coverage": (_coverage,),
    "Organization": (_organization,),
    "PractitionerRole": (_role,),
    "Location": (_location,),
    "DocumentReference": (_document,),
    "ServiceRequest": (_order,),
    "DeviceRequest": (_order,),
}
