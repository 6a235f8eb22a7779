"""What a PAS request Bundle must be beyond its profiles' tables: the guide's narrative, as rules.

A pure reader of one Bundle; each breach names its element by a FHIRPath from the Bundle on. What
X12 will not carry is a warning, everything else an error. Source: Da Vinci PAS 2.2.1,
specification.html and the notes of its profiles.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from fhir_profiles import crosswalk, elements, pas

Resource = dict[str, Any]
_V4 = re.compile(r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_URL = re.compile(r"https?://\S+/[A-Z][A-Za-z]+/[A-Za-z0-9.\-]{1,64}")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
DIAGNOSES, TEAM, ITEM_TEAM = 12, 14, 10  # that a 278 carries
_CATEGORIES = frozenset(
    {"patientEvent", "admissionDates", "dischargeDates", "additionalInformation",
     "freeFormMessage"}
)  # fmt: skip
# Resources that support a request rather than say who and what: supportingInfo points to each.
_SUPPORTING = frozenset(
    {"AllergyIntolerance", "Condition", "DiagnosticReport", "DocumentReference", "Immunization",
     "Observation", "Procedure", "QuestionnaireResponse"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Breach:
    """One rule that a Bundle breaks: where, in words, and whether that stops it."""

    path: str
    text: str
    is_error: bool = True


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
                yield Breach(where, "The Bundle does not hold what is referred to exactly once.")
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


def _claim(claim: Resource, path: str) -> Iterator[Breach]:
    if not [i for i in claim.get("identifier", []) if i.get("system") and i.get("value")]:
        yield Breach(f"{path}.identifier", "Expected the trace number, with its system.")
    for name, value in (("status", "active"), ("use", "preauthorization")):
        if claim.get(name) != value:
            yield Breach(f"{path}.{name}", f"Expected {value}.")
    for name in ("patient", "insurer", "provider"):
        if not elements.reference(claim.get(name)):
            yield Breach(f"{path}.{name}", "Expected a reference.")
    if not [one for one in claim.get("insurance", []) if one.get("focal") is True]:
        yield Breach(f"{path}.insurance", "Expected the focal coverage.")
    yield from _items(claim, path)
    yield from _urgent(claim, path)
    yield from _team(claim, path)
    yield from _info(claim, path)
    yield from _diagnoses(claim, path)
    yield from _days(claim.get("accident", {}), f"{path}.accident", ("date",))


def _items(claim: Resource, path: str) -> Iterator[Breach]:
    if not claim.get("item"):
        yield Breach(f"{path}.item", "Expected at least one item: every service is one.")
    for place, one in enumerate(claim.get("item", [])):
        yield from _item(one, f"{path}.item[{place}]")


def _item(item: Resource, path: str) -> Iterator[Breach]:
    for url, name in (
        (pas.EXT_REQUEST_TYPE, "request type"),
        (pas.EXT_CERTIFICATION, "certification type"),
    ):
        if elements.extension_value(item, url) is None:
            yield Breach(f"{path}.extension", f"Expected the {name}.")
    for name in ("sequence", "category", "productOrService", "locationCodeableConcept"):
        if not item.get(name):
            yield Breach(f"{path}.{name}", "Every item has one.")
    yield from _days(item, path, ("servicedDate", "servicedPeriod"))


def _urgent(claim: Resource, path: str) -> Iterator[Breach]:
    """An immediate appeal needs a level of service; the guide's own invariant never fires."""
    if elements.extension_value(claim, pas.EXT_LEVEL_OF_SERVICE) is not None:
        return
    for place, item in enumerate(claim.get("item", [])):
        concept = elements.extension_value(item, pas.EXT_CERTIFICATION)
        if elements.code(concept, pas.CERTIFICATION_TYPE) == pas.IMMEDIATE_APPEAL:
            text = "An immediate appeal needs the level of service of the Claim."
            yield Breach(f"{path}.item[{place}].extension", text)


def _team(claim: Resource, path: str) -> Iterator[Breach]:
    team = claim.get("careTeam", [])
    for place, one in enumerate(team):
        where = f"{path}.careTeam[{place}]"
        if not isinstance(elements.extension_value(one, pas.EXT_SCOPE), bool):
            yield Breach(f"{where}.extension", "Expected whether it is of the whole claim.")
    overall = {one.get("sequence") for one in team if elements.extension_value(one, pas.EXT_SCOPE)}
    if len(overall) > TEAM:
        text = f"{len(overall)} members of the whole claim; X12 carries the first {TEAM}."
        yield Breach(f"{path}.careTeam", text, is_error=False)
    for place, item in enumerate(claim.get("item", [])):
        if len(item.get("careTeamSequence", [])) > ITEM_TEAM:
            text = f"X12 carries the first {ITEM_TEAM} members of an item."
            yield Breach(f"{path}.item[{place}].careTeamSequence", text, is_error=False)


def _info(claim: Resource, path: str) -> Iterator[Breach]:
    infos = claim.get("supportingInfo", [])
    numbers = Counter(one.get("sequence") for one in infos)
    for place, one in enumerate(infos):
        where, category = (
            f"{path}.supportingInfo[{place}]",
            elements.code(one.get("category"), pas.TEMP_CODES),
        )
        if numbers[one.get("sequence")] > 1:
            yield Breach(f"{where}.sequence", "Expected a number of its own.")
        if category not in _CATEGORIES:
            yield Breach(f"{where}.category", "Expected one of the guide's five categories.")
        if category == "freeFormMessage" and not one.get("valueString"):
            yield Breach(f"{where}.value", "A message is a string.")
        if category == "additionalInformation":
            if not elements.has_extension(one, pas.EXT_DOCUMENT):
                yield Breach(f"{where}.extension", "Expected what kind of document it is.")
            if not elements.reference(one.get("valueReference")):
                yield Breach(f"{where}.value", "Expected a reference.")
        yield from _days(one, where, ("timingDate", "timingPeriod"))


def _diagnoses(claim: Resource, path: str) -> Iterator[Breach]:
    listed = claim.get("diagnosis", [])
    if len(listed) > DIAGNOSES:
        text = f"{len(listed)} diagnoses; X12 carries the first {DIAGNOSES}."
        yield Breach(f"{path}.diagnosis", text, is_error=False)
    for place, one in enumerate(listed):
        recorded = elements.extension_value(one, pas.EXT_RECORDED)
        if recorded is not None and not _DAY.fullmatch(str(recorded)):
            yield Breach(f"{path}.diagnosis[{place}].extension", _FULL_DATE)


_FULL_DATE = "Expected a full date, YYYY-MM-DD."


def _days(node: Resource, path: str, names: tuple[str, ...]) -> Iterator[Breach]:
    for name in names:
        value = node.get(name)
        ends = (
            [(f".{end}", value[end]) for end in ("start", "end") if end in value]
            if isinstance(value, dict)
            else [("", value)]
        )
        for suffix, text in ends:
            if text is not None and not _DAY.fullmatch(str(text)):
                yield Breach(f"{path}.{name}{suffix}", _FULL_DATE)


def _patient(patient: Resource, path: str) -> Iterator[Breach]:
    yield from _days(patient, path, ("birthDate",))


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
            yield Breach(name, "The code of a quantity is of X12 673.")


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
    "Claim": (_claim,),
    "Patient": (_patient,),
    "Coverage": (_coverage,),
    "Organization": (_organization,),
    "PractitionerRole": (_role,),
    "Location": (_location,),
    "DocumentReference": (_document,),
    "ServiceRequest": (_order,),
    "DeviceRequest": (_order,),
}
