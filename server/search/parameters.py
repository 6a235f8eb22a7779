"""The search parameters of each resource type: HL7's official ones and ours, compiled."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from fhir_profiles import loader
from server import definitions
from server.search.paths import Path, Unsupported, compile_paths

# Kept in columns of the resource table, not in index rows.
NATIVE = frozenset({"_id", "_lastUpdated"})
INDEXED_TYPES = frozenset({"token", "reference", "string", "date", "number", "quantity", "uri"})


@dataclass(frozen=True, slots=True)
class Parameter:
    """One search parameter of one resource type; `type` is a search type of FHIR, such as token."""

    code: str
    type: str
    url: str
    targets: tuple[str, ...]
    paths: tuple[Path, ...]


@cache
def of_type(resource_type: str) -> dict[str, Parameter]:
    """Return the parameters of a resource type by code, sorted; official first, then ours."""
    found: dict[str, Parameter] = {}
    for item in [*definitions.search_parameters(), *loader.artefacts("search_parameters")]:
        if {resource_type, "Resource", "DomainResource"}.isdisjoint(item["base"]):
            continue
        if item["type"] in INDEXED_TYPES:
            found.update(_compiled(item, resource_type))
    return dict(sorted(found.items()))


def _compiled(item: dict[str, Any], resource_type: str) -> Iterator[tuple[str, Parameter]]:
    try:
        paths = compile_paths(item["expression"], resource_type)
    except Unsupported:
        return  # not advertised, and a search by it is refused: never silently wrong
    targets = tuple(item.get("target", ()))
    yield item["code"], Parameter(item["code"], item["type"], item["url"], targets, paths)
