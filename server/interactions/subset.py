"""Parts of a resource: _summary and _elements (FHIR R4 search.html#summary, #elements)."""

from fhir_profiles import codec
from server import definitions

SUBSETTED = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "SUBSETTED",
}
Known = dict[str, definitions.Element]
_ALWAYS = frozenset({"resourceType", "id", "meta"})


def subset(body: bytes, summary: str, elements: frozenset[str]) -> bytes:
    """Return the part of a stored body that was asked for; all of it as it stands.

    `summary` is a value of _summary, `elements` the names of _elements. What is left out is told
    by the tag SUBSETTED. Mandatory elements always stay.
    """
    if summary in ("false", "count") and not elements:
        return body
    resource = codec.decode(body)
    known = definitions.elements(resource["resourceType"]) or {}
    keep = _ALWAYS | _mandatory(known) | _chosen(summary, elements, known)
    part = {key: value for key, value in resource.items() if key.removeprefix("_") in keep}
    if len(part) == len(resource) and summary != "true":
        return body
    meta = {**part.get("meta", {})}
    meta["tag"] = [*meta.get("tag", []), SUBSETTED]
    return codec.encode({**part, "meta": meta})


def _mandatory(known: Known) -> set[str]:
    return {key for element in known.values() if element.required for key in _keys(element)}


def _chosen(summary: str, names: frozenset[str], known: Known) -> set[str]:
    if summary == "text":
        return {"text"}
    if summary == "data":
        return {key for name, e in known.items() if name != "text" for key in _keys(e)}
    if summary == "true":
        return {key for element in known.values() if element.in_summary for key in _keys(element)}
    return {key for name in names if name in known for key in _keys(known[name])} | set(names)


def _keys(element: definitions.Element) -> list[str]:
    return [key for key, _, _ in element.slots()]
