"""The compiled FHIR R4 4.0.1 definitions: types, required code sets, search parameters.

Read once from server/data/r4.bin, which tools/build_r4.py makes from HL7's own package (CC0).
"""

import zlib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import msgspec

RECORDS = frozenset({"AuditEvent"})  # types whose resources are stored once and never changed


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a type: `name` without `[x]`, its types with allowed reference targets.

    `code_system` is what a bare code of the required value set stands for, "" if several.
    """

    name: str
    required: bool
    many: bool
    types: tuple[tuple[str, frozenset[str]], ...]
    code_set: frozenset[str] | None
    code_system: str
    choice: bool
    in_summary: bool

    def slots(self) -> list[tuple[str, str, frozenset[str]]]:
        """Return (JSON key, type, targets) for each type this element may have."""
        if not self.choice:
            code, targets = self.types[0]
            return [(self.name, code, targets)]
        return [
            (f"{self.name}{code[0].upper()}{code[1:]}", code, targets)
            for code, targets in self.types
        ]


@cache
def _table() -> dict[str, Any]:
    packed = resources.files("server").joinpath("data/r4.bin").read_bytes()
    table: dict[str, Any] = msgspec.msgpack.decode(zlib.decompress(packed))
    return table


@cache
def resource_types() -> tuple[str, ...]:
    """Return the 146 concrete R4 resource types, sorted; a type's place is its stored number."""
    return tuple(sorted(n for n, (kind, _) in _table()["types"].items() if kind == "resource"))


def types() -> list[str]:
    """Return every complex type, resources and their backbone elements included."""
    return list(_table()["types"])


@cache
def type_numbers() -> dict[str, int]:
    """Return resource type -> the number it is stored under, from 1."""
    return {name: number for number, name in enumerate(resource_types(), start=1)}


@cache
def elements(type_name: str) -> dict[str, Element] | None:
    """Return the elements of a complex type by name, or None if the type is primitive."""
    found = _table()["types"].get(type_name)
    if found is None:
        return None
    return {name: _element(name, entry) for name, entry in found[1].items()}


def _element(name: str, entry: list[Any]) -> Element:
    least, many, types, code_set_url, choice, in_summary = entry
    pairs = tuple((code, frozenset(targets)) for code, targets in types)
    system = system_of_set(code_set_url)
    return Element(name, least > 0, many, pairs, code_set(code_set_url), system, choice, in_summary)


def system_of_set(value_set: str) -> str:
    """Return the one code system of a required value set, "" if it has several or is unknown."""
    return str(_table()["systems"].get(value_set, ""))


@cache
def code_set(url: str | None) -> frozenset[str] | None:
    """Return the codes of a required value set, None if they cannot be listed."""
    if url == "http://hl7.org/fhir/ValueSet/currencies":  # ISO 4217, which the package leaves out
        listed = resources.files("server").joinpath("data/currencies.txt").read_text("utf-8")
        return frozenset(listed.split())
    codes = _table()["codes"].get(url)
    return frozenset(codes) if codes else None


def search_parameters() -> list[dict[str, Any]]:
    """Return the official search parameters: url, code, type, base, expression, target."""
    parameters: list[dict[str, Any]] = _table()["search"]
    return parameters


def compartments() -> dict[str, dict[str, list[str]]]:
    """Return compartment -> {resource type: [search parameters that put it there]}.

    Source: FHIR R4 compartmentdefinition.html.
    """
    found: dict[str, dict[str, list[str]]] = _table()["compartments"]
    return found


def constraints(type_name: str) -> list[tuple[str, str, str]]:
    """Return (key, FHIRPath, sentence) of R4's invariants of a type."""
    found = _table()["constraints"].get(type_name, ())
    return [(key, expression, human) for key, expression, human in found]


def type_name(number: int) -> str:
    """Return the resource type that is stored under `number`."""
    return resource_types()[number - 1]
