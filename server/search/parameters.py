"""The search parameters of each resource type: HL7's official ones, ours, and stored ones.

A stored SearchParameter resource adds a code to the types of its `base`; it cannot replace one.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from fhir_profiles import loader
from server import definitions
from server.search.paths import Path, Unsupported, compile_paths

# Kept in columns of the resource table, not in index rows.
EXPRESSION_LIMIT = 2000
NATIVE = frozenset({"_id", "_lastUpdated"})
TYPES = frozenset({"token", "reference", "string", "date", "number", "quantity", "uri"})
_ABSTRACT = frozenset({"Resource", "DomainResource"})


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a composite: its search type, and its expression from the composite's element.

    With `from_root` the expression starts at the resource instead.
    """

    kind: str
    expression: str
    from_root: bool


@dataclass(frozen=True, slots=True)
class Parameter:
    """One search parameter of one resource type; `type` is a search type of FHIR, such as token.

    `ready` is False while resources wait to be indexed for it.
    """

    code: str
    type: str
    url: str
    targets: tuple[str, ...]
    paths: tuple[Path, ...]
    parts: tuple[Part, ...] = ()
    ready: bool = True

    @property
    def kind(self) -> str:
        """The index table that holds its values."""
        return "quantity" if self.type == "number" else self.type


class Parameters:
    """The parameters in force; `stored` are (SearchParameter, ready) beyond the built-in ones."""

    def __init__(self, stored: Iterable[tuple[dict[str, Any], bool]] = ()) -> None:
        """Compile nothing yet: each type when it is first asked for."""
        self._stored = tuple(stored)
        self._of_type: dict[str, dict[str, Parameter]] = {}

    def of_type(self, resource_type: str) -> dict[str, Parameter]:
        """Return the parameters of a resource type by code, sorted."""
        found = self._of_type.get(resource_type)
        if found is None:
            found = dict(built_in(resource_type))
            for item, ready in self._stored:
                if item["status"] == "active" and _applies(item, resource_type):
                    for code, parameter in _compiled(item, resource_type, ready=ready):
                        found.setdefault(code, parameter)
            found = dict(sorted(found.items()))
            self._of_type[resource_type] = found
        return found


@cache
def built_in(resource_type: str) -> dict[str, Parameter]:
    """Return HL7's parameters and ours for a resource type, by code."""
    found: dict[str, Parameter] = {}
    for item in [*definitions.search_parameters(), *loader.artefacts("search_parameters")]:
        if _applies(item, resource_type):
            found.update(_compiled(item, resource_type, ready=True))
    return found


def problems(item: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (element, sentence) for what keeps a SearchParameter resource from working here."""
    if item["type"] not in TYPES:
        yield "type", f"Expected one of {', '.join(sorted(TYPES))}."
    if "expression" not in item:
        yield "expression", "expression is required: without it nothing can be indexed."
        return
    if len(item["expression"]) > EXPRESSION_LIMIT:
        yield "expression", f"At most {EXPRESSION_LIMIT} characters."
        return
    if not item["code"].replace("-", "").replace("_", "").isalnum():
        yield "code", "Expected letters, digits, '-' and '_'."
    for base in item["base"]:
        types = definitions.resource_types() if base in _ABSTRACT else (base,)
        yield from _clashes(item, types)
        yield from _expression_problems(item["expression"], types[0])


def _clashes(item: dict[str, Any], types: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for resource_type in types:
        there = built_in(resource_type).get(item["code"])
        if there is not None and there.url != item["url"]:
            yield "code", f"{resource_type} has a search parameter of this code already."
            return


def _expression_problems(expression: str, resource_type: str) -> Iterator[tuple[str, str]]:
    try:
        paths = compile_paths(expression, resource_type)
    except Unsupported:
        yield "expression", "The expression uses FHIRPath beyond what can be indexed here."
    else:
        if not paths:
            yield "expression", f"The expression selects nothing in {resource_type}."


def _applies(item: dict[str, Any], resource_type: str) -> bool:
    return not ({resource_type} | _ABSTRACT).isdisjoint(item["base"])


def _compiled(
    item: dict[str, Any], resource_type: str, *, ready: bool
) -> Iterator[tuple[str, Parameter]]:
    if item["type"] not in TYPES and not _is_composite(item) and item["code"] != "near":
        return
    try:
        paths = compile_paths(item["expression"], resource_type)
    except Unsupported:
        return  # not advertised, and a search by it is refused: never silently wrong
    parts = tuple(
        _part(*component) for component in item.get("component", ()) if item["type"] == "composite"
    )
    targets = tuple(item.get("target", ()))
    code = item["code"]
    yield code, Parameter(code, item["type"], item["url"], targets, paths, parts, ready)


def _is_composite(item: dict[str, Any]) -> bool:
    return item["type"] == "composite" and isinstance(item.get("component", [{}])[0], list)


def _part(definition: str, expression: str) -> Part:
    kind = _types_by_url()[definition]
    root = "%resource."
    from_root = expression.startswith(root)
    return Part("quantity" if kind == "number" else kind, expression.removeprefix(root), from_root)


@cache
def _types_by_url() -> dict[str, str]:
    return {item["url"]: item["type"] for item in definitions.search_parameters()}
