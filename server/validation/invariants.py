"""Rules between the elements of one object, beyond shape: the invariants of FHIR R4 we enforce.

Each rule gets the object and yields the standard's key with a sentence where it is broken. Rules
meet objects of any shape: the walker reports shape, so a rule passes over what it cannot read.
"""

from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import pairwise
from typing import Any

from server.search.values import time_range

Node = dict[str, Any]
Rule = Callable[[Node], Iterator[str]]
UCUM = "http://unitsofmeasure.org"


def _objects(node: Node, key: str) -> list[Node]:
    value = node.get(key)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _has(node: Node, key: str) -> bool:
    return key in node or f"_{key}" in node


def _number(value: Any) -> Decimal | None:
    return Decimal(value) if isinstance(value, (int, Decimal)) else None


def _extension(node: Node) -> Iterator[str]:
    values = {key.removeprefix("_") for key in node if key.startswith(("value", "_value"))}
    if len(values) + bool(node.get("extension")) != 1:
        yield "ext-1: an extension must have exactly one of value[x] and nested extensions."


def _in_order(key: str, first: str, second: str) -> Rule:
    """Return the rule that one time is not after another, as precisely as both are given."""

    def rule(node: Node) -> Iterator[str]:
        start, end = node.get(first), node.get(second)
        try:
            known = isinstance(start, str) and isinstance(end, str)
            if known and time_range(str(start))[0] > time_range(str(end))[1]:
                yield f"{key}: {first} must not be after {second}."
        except (ValueError, OverflowError):
            return

    return rule


def _quantity(node: Node) -> Iterator[str]:
    if _has(node, "code") and not _has(node, "system"):
        yield "qty-3: a unit's code needs its system."


def _count(node: Node) -> Iterator[str]:
    yield from _quantity(node)
    if _has(node, "value") and node.get("code") != "1":
        yield "cnt-3: a count has the code 1."
    if node.get("system", UCUM) != UCUM:
        yield "cnt-3: the system of a count is UCUM."
    value = _number(node.get("value"))
    if value is not None and value != value.to_integral_value():
        yield "cnt-3: a count is a whole number."


def _measure(node: Node) -> Iterator[str]:
    """Check age-1, dis-1 and drt-1 as far as they agree: a value has a UCUM code."""
    yield from _quantity(node)
    if _has(node, "value") and not _has(node, "code"):
        yield "age-1, dis-1, drt-1: the value needs a code."
    if node.get("system", UCUM) != UCUM:
        yield "age-1, dis-1, drt-1: the system is UCUM."


def _range(node: Node) -> Iterator[str]:
    ends = [node.get(key) for key in ("low", "high")]
    values = [_number(end.get("value")) for end in ends if isinstance(end, dict)]
    low, high = (*values, None, None)[:2]
    if low is not None and high is not None and low > high:
        yield "rng-2: low must not be above high."


def _contact_point(node: Node) -> Iterator[str]:
    if _has(node, "value") and not _has(node, "system"):
        yield "cpt-2: a contact point with a value needs its system."


def _attachment(node: Node) -> Iterator[str]:
    if _has(node, "data") and not _has(node, "contentType"):
        yield "att-1: data needs contentType."


_REPEAT_NEEDS = (
    ("tim-1", "duration", "durationUnit"),
    ("tim-2", "period", "periodUnit"),
    ("tim-6", "periodMax", "period"),
    ("tim-7", "durationMax", "duration"),
    ("tim-8", "countMax", "count"),
)
_WITHOUT_OFFSET = frozenset({"C", "CM", "CD", "CV"})


def _repeat(node: Node) -> Iterator[str]:
    for key, given, needed in _REPEAT_NEEDS:
        if _has(node, given) and not _has(node, needed):
            yield f"{key}: {given} needs {needed}."
    for key, name in (("tim-4", "duration"), ("tim-5", "period")):
        value = _number(node.get(name))
        if value is not None and value < 0:
            yield f"{key}: {name} must not be negative."
    when = node.get("when")
    codes = {code for code in when if isinstance(code, str)} if isinstance(when, list) else set()
    if _has(node, "offset") and (not _has(node, "when") or codes & _WITHOUT_OFFSET):
        yield "tim-9: an offset needs when, and none of C, CM, CD, CV."
    if _has(node, "timeOfDay") and _has(node, "when"):
        yield "tim-10: only one of timeOfDay and when."


def _organization(node: Node) -> Iterator[str]:
    if not _has(node, "name") and not _has(node, "identifier"):
        yield "org-1: an organization has a name or an identifier."
    if any(one.get("use") == "home" for one in _objects(node, "address")):
        yield "org-2: an organization has no home address."
    if any(one.get("use") == "home" for one in _objects(node, "telecom")):
        yield "org-3: an organization has no home telecom."


def _response_item(node: Node) -> Iterator[str]:
    if _has(node, "category") == _has(node, "productOrService"):
        yield "ces-1: an item has either a category or a productOrService."


def _patient_contact(node: Node) -> Iterator[str]:
    if not any(_has(node, key) for key in ("name", "telecom", "address", "organization")):
        yield "pat-1: a contact has a name, telecom, address or organization."


def _bundle(node: Node) -> Iterator[str]:
    kind, entries = node.get("type"), _objects(node, "entry")
    if _has(node, "total") and kind not in ("searchset", "history"):
        yield "bdl-1: total is for searchset and history only."
    if kind != "searchset" and any("search" in entry for entry in entries):
        yield "bdl-2: entry.search is for searchset only."
    yield from _every("bdl-3", "request", kind in ("batch", "transaction", "history"), entries)
    yield from _every(
        "bdl-4",
        "response",
        kind in ("batch-response", "transaction-response", "history"),
        entries,
    )
    for entry in entries:
        if not any(key in entry for key in ("resource", "request", "response")):
            yield "bdl-5: an entry has a resource, request or response."
    if kind != "history":
        yield from _unique(entries)
    if any("/_history/" in str(entry.get("fullUrl", "")) for entry in entries):
        yield "bdl-8: a fullUrl is not version specific."
    yield from _first(node, kind, entries)


def _every(key: str, name: str, wanted: bool, entries: list[Node]) -> Iterator[str]:  # noqa: FBT001 the two halves of one rule
    if wanted and not all(name in entry for entry in entries):
        yield f"{key}: every entry of such a Bundle needs {name}."
    if not wanted and any(name in entry for entry in entries):
        yield f"{key}: the entries of such a Bundle have no {name}."


def _unique(entries: list[Node]) -> Iterator[str]:
    keys = []
    for entry in entries:
        resource = entry.get("resource")
        meta = resource.get("meta") if isinstance(resource, dict) else None
        version = meta.get("versionId") if isinstance(meta, dict) else None
        if isinstance(entry.get("fullUrl"), str):
            keys.append((entry["fullUrl"], str(version)))
    if any(one == other for one, other in pairwise(sorted(keys))):
        yield "bdl-7: the fullUrls of a Bundle are unique."


def _first(node: Node, kind: Any, entries: list[Node]) -> Iterator[str]:
    resource = entries[0].get("resource") if entries else None
    first = resource.get("resourceType") if isinstance(resource, dict) else None
    if kind == "document":
        identifier = node.get("identifier")
        known = isinstance(identifier, dict) and {"system", "value"} <= identifier.keys()
        if not known:
            yield "bdl-9: a document has an identifier with system and value."
        if not _has(node, "timestamp"):
            yield "bdl-10: a document has a timestamp."
        if first != "Composition":
            yield "bdl-11: a document begins with a Composition."
    if kind == "message" and first != "MessageHeader":
        yield "bdl-12: a message begins with a MessageHeader."


def contained(node: Node) -> Iterator[str]:
    """Check dom-2, dom-4 and dom-5 on a resource that contains others (domainresource.html)."""
    for one in _objects(node, "contained"):
        if "contained" in one:
            yield "dom-2: a contained resource contains none."
        meta = one.get("meta")
        meta = meta if isinstance(meta, dict) else {}
        if {"versionId", "lastUpdated"} & meta.keys():
            yield "dom-4: a contained resource has no versionId and no lastUpdated."
        if "security" in meta:
            yield "dom-5: a contained resource has no security label."


INVARIANTS: dict[str, Rule] = {
    "Age": _measure,
    "Attachment": _attachment,
    "Bundle": _bundle,
    "ContactPoint": _contact_point,
    "Count": _count,
    "CoverageEligibilityResponse.insurance.item": _response_item,
    "Distance": _measure,
    "Duration": _measure,
    "Extension": _extension,
    "MedicationDispense": _in_order("mdd-1", "whenPrepared", "whenHandedOver"),
    "Organization": _organization,
    "Patient.contact": _patient_contact,
    "Period": _in_order("per-1", "start", "end"),
    "Quantity": _quantity,
    "Range": _range,
    "Task": _in_order("inv-1", "authoredOn", "lastModified"),
    "Timing.repeat": _repeat,
}
