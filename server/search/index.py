"""The index rows of a resource: a pure function of its body, diffed by the store on update.

A row is a plain tuple whose first two members are its kind and its parameter:
  ("token", code, system, value)            ("string", code, folded, as it stands)
  ("reference", code, base, type, id)       ("date", code, lo, hi)       microseconds since 1970
  ("quantity", code, lo, hi, system, unit)  ("uri", code, value)
"""

import unicodedata
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from server.search import parameters
from server.search.values import Reference, number_range, parse_reference, time_range

STRING_LIMIT = 200
Row = tuple[Any, ...]

# Ends of open periods: before and after every date that FHIR can write.
EARLIEST, LATEST = -(2**62), 2**62


def extract(resource: dict[str, Any], base: str) -> frozenset[Row]:
    """Return every index row of `resource`; `base` is our FHIR base URL, to know own references."""
    rows: set[Row] = set()
    for parameter in parameters.of_type(resource["resourceType"]).values():
        if parameter.code in parameters.NATIVE:
            continue
        kind = "quantity" if parameter.type == "number" else parameter.type
        for path in parameter.paths:
            for type_name, value in path.values(resource):
                for parts in _parts(parameter.type, type_name, value, base):
                    rows.add((kind, parameter.code, *parts))
    return frozenset(rows)


def _parts(kind: str, type_name: str, value: Any, base: str) -> Iterator[Row]:
    if kind == "reference":
        yield from _reference(type_name, value, base)
    else:
        yield from _EXTRACTORS[kind](type_name, value)


def fold(text: str) -> str:
    """Return `text` without case and accents, as string search compares it (search.html#string)."""
    plain = unicodedata.normalize("NFKD", text)
    return "".join(c for c in plain if not unicodedata.combining(c)).casefold()[:STRING_LIMIT]


def _token(type_name: str, value: Any) -> Iterator[Row]:
    match type_name:
        case "CodeableConcept":
            for coding in value.get("coding", []):
                yield from _token("Coding", coding)
        case "Coding" | "Identifier":
            code = value.get("code" if type_name == "Coding" else "value")
            if code is not None:
                yield value.get("system", ""), str(code)
        case "ContactPoint" if "value" in value:
            yield "", str(value["value"])
        case "boolean":
            yield "", "true" if value else "false"
        case _ if isinstance(value, str):
            yield "", value


def _reference(type_name: str, value: Any, base: str) -> Iterator[Row]:
    text = value.get("reference") if type_name == "Reference" else value
    if isinstance(text, str) and not text.startswith("#"):
        found: Reference = parse_reference(text, base)
        yield found.base, found.type, found.id


def _string(type_name: str, value: Any) -> Iterator[Row]:
    if type_name == "HumanName":
        texts = [value.get("family"), value.get("text"), *value.get("given", [])]
        texts += [*value.get("prefix", []), *value.get("suffix", [])]
    elif type_name == "Address":
        keys = ("text", "city", "district", "state", "postalCode", "country")
        texts = [*value.get("line", []), *(value.get(key) for key in keys)]
    else:
        texts = [value]
    for text in texts:
        if isinstance(text, str):
            yield fold(text), text[:STRING_LIMIT]


def _date(type_name: str, value: Any) -> Iterator[Row]:
    if type_name == "Period":
        start, end = value.get("start"), value.get("end")
        low = time_range(start)[0] if start else EARLIEST
        high = time_range(end)[1] if end else LATEST
        yield low, high
    elif type_name == "Timing":
        for moment in value.get("event", []):
            yield time_range(moment)
    elif isinstance(value, str):
        yield time_range(value)


def _quantity(type_name: str, value: Any) -> Iterator[Row]:
    if isinstance(value, (int, Decimal)):
        yield (*number_range(Decimal(value)), "", "")
    elif type_name == "Money" and "value" in value:
        yield (*number_range(Decimal(value["value"])), "", value.get("currency", ""))
    elif isinstance(value, dict) and "value" in value:
        unit = str(value.get("code") or value.get("unit") or "")
        yield (*number_range(Decimal(value["value"])), value.get("system", ""), unit)


def _uri(_type_name: str, value: Any) -> Iterator[Row]:
    if isinstance(value, str):
        yield (value,)


_EXTRACTORS: dict[str, Callable[[str, Any], Iterator[Row]]] = {
    "token": _token,
    "string": _string,
    "date": _date,
    "number": _quantity,
    "quantity": _quantity,
    "uri": _uri,
}
