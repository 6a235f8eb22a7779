"""The index rows of a resource: a pure function of its body, diffed by the store on update.

A row is a plain tuple whose first two members are its kind and its parameter:
  ("token", code, system, value)            ("string", code, folded, as it stands)
  ("reference", code, base, type, id)       ("date", code, lo, hi)       microseconds since 1970
  ("quantity", code, lo, hi, system, unit)  ("uri", code, value)
  ("composite", code, element, part, (kind, ...))  one part of the element with that number
A modifier that asks for other words than the code has a parameter of its own: `code:text`,
`code:of-type`, `code:identifier`.
"""

import unicodedata
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from server.search.parameters import NATIVE, Parameter, Parameters
from server.search.paths import compile_paths
from server.search.values import Reference, parse_reference, time_range

STRING_LIMIT = 200
CURRENCY = "urn:iso:std:iso:4217"
Row = tuple[Any, ...]
Extractor = Callable[[str, str, Any, str], Iterator[tuple[Any, ...]]]

# Ends of open periods and of numbers with a comparator: beyond all that FHIR can write.
EARLIEST, LATEST = -(2**62), 2**62
LEAST, GREATEST = -1e300, 1e300


def extract(resource: dict[str, Any], parameters: Parameters, base: str) -> frozenset[Row]:
    """Return every index row of `resource`; `base` is our FHIR base URL, to know own references."""
    rows: set[Row] = set()
    for parameter in parameters.of_type(resource["resourceType"]).values():
        if parameter.code in NATIVE:
            continue
        if parameter.parts:
            rows.update(_composite(parameter, resource, base))
            continue
        make = _EXTRACTORS[parameter.type]
        for path in parameter.paths:
            for type_name, value in path.values(resource):
                rows.update(_made(make, parameter.code, type_name, value, base))
    return frozenset(rows)


def _made(make: Extractor, *given: Any) -> list[Row]:
    """Return the rows of one value; none where a stored parameter's type does not fit it."""
    try:
        return list(make(*given))
    except (ValueError, OverflowError, AttributeError, TypeError):
        return []


def fold(text: str) -> str:
    """Return `text` as string search compares it, at most STRING_LIMIT characters."""
    return fold_all(text)[:STRING_LIMIT]


def fold_all(text: str) -> str:
    """Return `text` without case and accents (search.html#string)."""
    if text.isascii():
        return text.casefold()
    plain = unicodedata.normalize("NFKD", text)
    return "".join(c for c in plain if not unicodedata.combining(c)).casefold()


def _composite(parameter: Parameter, resource: dict[str, Any], base: str) -> Iterator[Row]:
    number = 0
    for path in parameter.paths:
        for type_name, node in path.values(resource):
            parts = []
            for part in parameter.parts:
                root, start = (path.root, resource) if part.from_root else (type_name, node)
                parts.append(_part_rows(part.kind, part.expression, root, start, base))
            if all(parts):
                for place, rows in enumerate(parts):
                    for row in rows:
                        yield "composite", parameter.code, number, place, row
            number += 1


def _part_rows(kind: str, expression: str, root: str, node: Any, base: str) -> list[Row]:
    rows = (
        row
        for path in compile_paths(expression, root)
        for type_name, value in path.values(node)
        for row in _EXTRACTORS[kind]("", type_name, value, base)
    )
    return [(kind, *rest) for row_kind, code, *rest in rows if (row_kind, code) == (kind, "")]


def _token(code: str, type_name: str, value: Any, _base: str) -> Iterator[Row]:
    make = _TOKENS.get(type_name)
    if make is not None:
        yield from make(code, value)
    elif type_name == "boolean":
        yield "token", code, "", "true" if value else "false"
    elif isinstance(value, str):
        yield "token", code, type_name.partition("|")[2], value


def _concept(code: str, value: dict[str, Any]) -> Iterator[Row]:
    for coding in value.get("coding", ()):
        yield from _coding(code, coding)
    yield from _texts(code, value.get("text"))


def _coding(code: str, value: dict[str, Any]) -> Iterator[Row]:
    if value.get("code") is not None:
        yield "token", code, value.get("system", ""), value["code"]
    yield from _texts(code, value.get("display"))


def _contact_point(code: str, value: dict[str, Any]) -> Iterator[Row]:
    if value.get("value") is not None:
        for system in {value.get("use", ""), value.get("system", "")}:
            yield "token", code, system, value["value"]


def _identifier(code: str, value: dict[str, Any]) -> Iterator[Row]:
    text = value.get("value")
    if text is not None:
        yield "token", code, value.get("system", ""), text
    kind = value.get("type")
    if not isinstance(kind, dict):
        return
    yield from _texts(code, kind.get("text"))
    for coding in kind.get("coding", ()):
        if text is not None and coding.get("code") is not None:
            yield "token", f"{code}:of-type", coding.get("system", ""), f"{coding['code']}|{text}"


def _texts(code: str, text: Any) -> Iterator[Row]:
    if isinstance(text, str):
        yield "string", f"{code}:text", fold(text), text[:STRING_LIMIT]


def _reference(code: str, type_name: str, value: Any, base: str) -> Iterator[Row]:
    text = value
    if type_name == "Reference":
        text = value.get("reference")
        identifier = value.get("identifier")
        if isinstance(identifier, dict) and identifier.get("value") is not None:
            yield (
                "token", f"{code}:identifier", identifier.get("system", ""), identifier["value"],
            )  # fmt: skip
    if not isinstance(text, str) or text.startswith("#"):
        return
    if type_name in ("canonical", "uri"):
        yield "reference", code, "", "", text
        if "|" in text:
            yield "reference", code, "", "", text.partition("|")[0]
        return
    found: Reference = parse_reference(text, base)
    yield "reference", code, found.base, found.type, found.id


def _string(code: str, type_name: str, value: Any, _base: str) -> Iterator[Row]:
    if type_name == "HumanName":
        texts = [value.get("family"), value.get("text"), *value.get("given", ())]
        texts += [*value.get("prefix", ()), *value.get("suffix", ())]
    elif type_name == "Address":
        keys = ("text", "city", "district", "state", "postalCode", "country")
        texts = [*value.get("line", ()), *(value.get(key) for key in keys)]
    else:
        texts = [value]
    for text in texts:
        if isinstance(text, str):
            yield "string", code, fold(text), text[:STRING_LIMIT]


def _date(code: str, type_name: str, value: Any, _base: str) -> Iterator[Row]:
    if type_name == "Period":
        yield "date", code, *_period(value)
    elif type_name == "Timing":
        for moment in value.get("event", ()):
            if moment is not None:
                yield "date", code, *time_range(moment)
        bounds = value.get("repeat", {}).get("boundsPeriod")
        if bounds:
            yield "date", code, *_period(bounds)
    elif isinstance(value, str):
        yield "date", code, *time_range(value)


def _period(value: dict[str, Any]) -> tuple[int, int]:
    start, end = value.get("start"), value.get("end")
    return (
        time_range(start)[0] if start else EARLIEST,
        time_range(end)[1] if end else LATEST,
    )


def _quantity(code: str, type_name: str, value: Any, _base: str) -> Iterator[Row]:
    if isinstance(value, (int, Decimal)):
        number = float(value)
        yield "quantity", code, number, number, "", ""
    elif type_name == "Range":
        yield from _range(code, value)
    elif type_name == "Money" and "value" in value:
        number = float(value["value"])
        yield "quantity", code, number, number, CURRENCY, value.get("currency", "")
    elif isinstance(value, dict) and value.get("value") is not None:
        number = float(value["value"])
        low, high = number, number
        comparator = value.get("comparator", "")
        low = LEAST if comparator[:1] == "<" else low
        high = GREATEST if comparator[:1] == ">" else high
        yield from _units(code, (low, high), value)


def _range(code: str, value: dict[str, Any]) -> Iterator[Row]:
    low, high = value.get("low", {}), value.get("high", {})
    ends = (float(low.get("value", LEAST)), float(high.get("value", GREATEST)))
    yield from _units(code, ends, low or high)


def _units(code: str, ends: tuple[float, float], value: dict[str, Any]) -> Iterator[Row]:
    unit, name = value.get("code", ""), value.get("unit", "")
    yield "quantity", code, *ends, value.get("system", ""), unit or name
    if unit and name and unit != name:
        yield "quantity", code, *ends, "", name


def _uri(code: str, _type_name: str, value: Any, _base: str) -> Iterator[Row]:
    if isinstance(value, str):
        yield "uri", code, value


def _position(code: str, _type_name: str, value: Any, _base: str) -> Iterator[Row]:
    for name in ("latitude", "longitude"):
        if value.get(name) is not None:
            number = float(value[name])
            yield "quantity", f"{code}:{name}", number, number, "", ""


_TOKENS: dict[str, Callable[[str, dict[str, Any]], Iterator[Row]]] = {
    "CodeableConcept": _concept,
    "Coding": _coding,
    "ContactPoint": _contact_point,
    "Identifier": _identifier,
}
_EXTRACTORS: dict[str, Callable[[str, str, Any, str], Iterator[Row]]] = {
    "token": _token,
    "reference": _reference,
    "string": _string,
    "date": _date,
    "number": _quantity,
    "quantity": _quantity,
    "uri": _uri,
    "special": _position,
}
