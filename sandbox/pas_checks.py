"""What the payer asks of a request Bundle, written from the guide; it names what it refuses.

Only what the guide makes mandatory is asked for: an optional element that is left out is never a
reason. Source: Da Vinci PAS 2.2.1, profiles and specification.html.
"""

import re
from collections.abc import Iterator
from typing import Any

from sandbox.pas_json import Json, by_url, code, is_cancelled, reference, references, value

_UUID = re.compile(r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_HTTP = re.compile(r"https?://\S+/[A-Za-z]+/[A-Za-z0-9.\-]{1,64}")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
FIRST = "Bundle.entry[0].resource"
Wrong = tuple[str, str]  # the element, and what is wrong with it
_CLAIM = ("identifier", "status", "type", "use", "patient", "created", "insurer", "provider",
          "priority", "insurance", "item")  # fmt: skip
_ITEM = ("sequence", "category", "productOrService", "locationCodeableConcept")
_NEEDED = {
    "Patient": ("identifier", "name", "gender"),
    "Organization": ("active", "name"),
    "PractitionerRole": ("practitioner",),
    "Location": ("name", "address"),
    "Coverage": ("status", "beneficiary", "payor", "relationship"),
    "ServiceRequest": ("status", "intent", "subject"),
    "DeviceRequest": ("intent", "codeCodeableConcept", "subject"),
    "MedicationRequest": ("status", "intent", "subject"),
}


def submitted(bundle: Any, edition: str) -> Wrong | None:
    """Return the first thing that is wrong with a request Bundle, None if nothing is."""
    return next(_submitted(bundle, edition), None)


def inquired(bundle: Any) -> Wrong | None:
    """Return the first thing that is wrong with an inquiry Bundle, None if nothing is."""
    return next(_inquired(bundle), None)


def attached(parameters: Any) -> Wrong | None:
    """Return the first thing that is wrong with a document (CDex 2.1.0), None if nothing is."""
    return next(_attached(parameters), None)


def _attached(parameters: Any) -> Iterator[Wrong]:
    if not isinstance(parameters, dict) or parameters.get("resourceType") != "Parameters":
        yield "Parameters", "is expected as the body"
        return
    told = {one.get("name"): one for one in parameters.get("parameter", [])}
    for name in ("TrackingId", "MemberId"):
        if not told.get(name, {}).get("valueIdentifier", {}).get("value"):
            yield f"Parameters.parameter[{name}]", "is mandatory"
    if told.get("AttachTo", {}).get("valueCode") != "preauthorization":
        yield "Parameters.parameter[AttachTo]", "must be preauthorization"
    parts = {one.get("name"): one for one in told.get("Attachment", {}).get("part", [])}
    if not isinstance(parts.get("Content", {}).get("resource"), dict):
        yield "Parameters.parameter[Attachment].part[Content]", "is mandatory"


def _submitted(bundle: Any, edition: str) -> Iterator[Wrong]:
    yield from _envelope(bundle)
    entries = bundle["entry"]
    for name in ("system", "value"):
        if not bundle.get("identifier", {}).get(name):
            yield f"Bundle.identifier.{name}", "is mandatory"
    if not bundle.get("timestamp"):
        yield "Bundle.timestamp", "is mandatory"
    yield from _urls(entries)
    yield from _closure(entries)
    yield from _claim(entries[0]["resource"], edition)
    yield from _team(entries[0]["resource"], by_url(bundle))
    yield from (
        _single(entries) if edition == "2.0.1" else _update(entries[0]["resource"], by_url(bundle))
    )
    for place, entry in enumerate(entries):
        for name in _NEEDED.get(entry["resource"]["resourceType"], ()):
            if not entry["resource"].get(name):
                yield f"Bundle.entry[{place}].resource.{name}", "is mandatory"


def _single(entries: list[Json]) -> Iterator[Wrong]:
    """Hold a Bundle of 2.0.1 to its one Claim."""
    if sum(entry["resource"]["resourceType"] == "Claim" for entry in entries) > 1:
        yield "Bundle.entry", "has more than one Claim"


def _inquired(bundle: Any) -> Iterator[Wrong]:
    yield from _envelope(bundle)
    claim, known = bundle["entry"][0]["resource"], by_url(bundle)
    for name in ("patient", "insurer", "provider"):
        if reference(claim.get(name)) not in known:
            yield f"{FIRST}.{name}", "is mandatory, and in the Bundle"


def _envelope(bundle: Any) -> Iterator[Wrong]:
    if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
        yield "Bundle", "is expected as the body"
        return
    if bundle.get("type") != "collection":
        yield "Bundle.type", "must be collection"
    if not bundle.get("entry"):
        yield "Bundle.entry", "is empty"
        return
    for place, entry in enumerate(bundle["entry"]):
        if not isinstance(entry, dict) or not isinstance(entry.get("resource"), dict):
            yield f"Bundle.entry[{place}].resource", "is mandatory"
        elif not entry.get("fullUrl"):
            yield f"Bundle.entry[{place}].fullUrl", "is mandatory"
    if bundle["entry"][0]["resource"].get("resourceType") != "Claim":
        yield FIRST, "must be a Claim"


def _urls(entries: list[Json]) -> Iterator[Wrong]:
    seen = set()
    for place, entry in enumerate(entries):
        address = str(entry["fullUrl"])
        if not _UUID.fullmatch(address) and not _HTTP.fullmatch(address):
            yield f"Bundle.entry[{place}].fullUrl", "must be a URL or a urn:uuid of version 4"
        if address in seen:
            yield f"Bundle.entry[{place}].fullUrl", "stands twice"
        seen.add(address)


def _closure(entries: list[Json]) -> Iterator[Wrong]:
    """Every reference reached from the Claim hits an entry; a prior Claim's prior is spared."""
    known = {entry["fullUrl"]: (place, entry["resource"]) for place, entry in enumerate(entries)}
    todo, seen = [entries[0]["fullUrl"]], {entries[0]["fullUrl"]}
    while todo:
        place, resource = known[todo.pop()]
        if place and resource["resourceType"] == "Claim":
            resource = {k: v for k, v in resource.items() if k != "related"}
        for address in references(resource):
            if address not in known:
                yield f"Bundle.entry[{place}].resource", f"refers to {address}, which is missing"
            elif address not in seen:
                seen.add(address)
                todo.append(address)


def _claim(claim: Json, edition: str) -> Iterator[Wrong]:
    for name in _CLAIM:
        if not claim.get(name):
            yield f"{FIRST}.{name}", "is mandatory"
    for name, fixed in (("status", "active"), ("use", "preauthorization")):
        if claim.get(name) != fixed:
            yield f"{FIRST}.{name}", f"must be {fixed}"
    for place, item in enumerate(claim["item"]):
        yield from _item(item, f"{FIRST}.item[{place}]", edition)
    numbers = [info.get("sequence") for info in claim.get("supportingInfo", [])]
    if len(set(numbers)) < len(numbers):
        yield f"{FIRST}.supportingInfo.sequence", "must be unique"


def _team(claim: Json, known: dict[str, Json]) -> Iterator[Wrong]:
    for place, member in enumerate(claim.get("careTeam", [])):
        if value(member, "careTeamClaimScope") is None:
            yield f"{FIRST}.careTeam[{place}].extension", "needs careTeamClaimScope"
        if known.get(reference(member.get("provider")), {}).get("resourceType") == "Practitioner":
            yield f"{FIRST}.careTeam[{place}].provider", "must not be a Practitioner"


def _item(item: Json, path: str, edition: str) -> Iterator[Wrong]:
    is_old = edition == "2.0.1"  # it leaves place and X12 types to the sender
    for name in _ITEM[:3] if is_old else _ITEM:
        if not item.get(name):
            yield f"{path}.{name}", "is mandatory"
    for name in () if is_old else ("serviceItemRequestType", "certificationType"):
        if value(item, name) is None:
            yield f"{path}.extension", f"needs {name}"
    served = item.get("servicedDate")
    if served is not None and not _DAY.fullmatch(str(served)):
        yield f"{path}.servicedDate", "must be a full date"


def _update(claim: Json, known: dict[str, Json]) -> Iterator[Wrong]:
    """Hold an update against the Claim that it updates."""
    for related in claim.get("related", []):
        prior = known.get(reference(related.get("claim")))
        if prior is None or code(related.get("relationship")) != "prior":
            yield f"{FIRST}.related", "must be the prior Claim, in the Bundle"
            continue
        for name in ("item", "supportingInfo"):
            before = {one["sequence"] for one in prior.get(name, [])}
            now = {one["sequence"]: one for one in claim.get(name, [])}
            if before - now.keys():
                yield f"{FIRST}.{name}", "must hold every entry ever sent, with its sequence"
            yield from _changes(now, before, name)


def _changes(now: dict[int, Json], before: set[int], name: str) -> Iterator[Wrong]:
    for sequence, one in now.items():
        changed = value(one, "infoChanged")
        if sequence not in before and changed != "added":
            yield f"{FIRST}.{name}.where(sequence = {sequence}).extension", "must be added"
        if name == "item" and is_cancelled(one) and code(value(one, "certificationType")) != "3":
            path = f"{FIRST}.item.where(sequence = {sequence}).extension"
            yield path, "must have certification type 3: it is cancelled"
