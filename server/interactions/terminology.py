"""What the stored ValueSets and CodeSystems, and those of R4 itself, say of codes."""

from collections.abc import Iterator
from typing import Any

from fhir_profiles import codec
from server import definitions
from server.errors import BadRequest, Issue
from server.store import references, resources
from server.store.connection import Connection
from server.store.database import Names

CODES_LIMIT, DEPTH_LIMIT = 1000, 10
Pair = tuple[str, str]


class StoredTerminology:
    """Reads value sets and code systems by their canonical URL on one connection."""

    def __init__(self, connection: Connection, names: Names) -> None:
        """Read nothing yet."""
        self._connection = connection
        self._names = names

    def members(self, value_set: str) -> list[Pair] | None:
        """Return the codes of a value set, None if it, or a part of it, is not known."""
        return self._members(value_set, frozenset())

    def relatives(self, system: str, code: str, *, above: bool) -> list[Pair] | None:
        """Return a code and all above or below it in a stored code system, None if unknown."""
        found = self._stored("CodeSystem", system)
        if found is None:
            return None
        for path in _paths(found.get("concept", []), ()):
            if path[-1]["code"] == code:
                below = _codes([path[-1]])
                codes = [one["code"] for one in path] if above else list(below)
                return _limited([(system, one) for one in codes])
        return []

    def _members(self, url: str, inside: frozenset[str]) -> list[Pair] | None:
        if url in inside or len(inside) > DEPTH_LIMIT:
            return None
        found = self._stored("ValueSet", url)
        if found is None:
            codes = definitions.code_set(url.partition("|")[0])
            system = definitions.system_of_set(url.partition("|")[0])
            return [(system, code) for code in sorted(codes)] if codes else None
        if "expansion" in found:
            return _limited(list(_contains(found["expansion"].get("contains", []))))
        compose = found.get("compose", {})
        members: list[Pair] = []
        for include in compose.get("include", []):
            part = self._included(include, inside | {url})
            if part is None:
                return None
            members = _limited([*members, *part])
        for exclude in compose.get("exclude", []):
            gone = self._included(exclude, inside | {url})
            if gone is None:
                return None
            without = set(gone)
            members = [pair for pair in members if pair not in without]
        return _limited(members)

    def _included(self, include: dict[str, Any], inside: frozenset[str]) -> list[Pair] | None:
        system = include.get("system", "")
        if "filter" in include:
            return None
        if "concept" in include:
            return [(system, concept["code"]) for concept in include["concept"]]
        parts = [self._members(url, inside) for url in include.get("valueSet", [])]
        if system:
            stored = self._stored("CodeSystem", system)
            whole = None if stored is None else list(_codes(stored.get("concept", [])))
            parts.append(None if whole is None else [(system, code) for code in whole])
        found = [part for part in parts if part is not None]
        if len(found) < len(parts) or not found:
            return None
        return [pair for pair in found[0] if all(pair in part for part in found[1:])]

    def _stored(self, type_name: str, canonical: str) -> dict[str, Any] | None:
        url, _, version = canonical.partition("|")
        number = definitions.type_numbers()[type_name]
        parameter = self._names.find(self._connection, number, "url")
        rows = references.versions_by_uri(self._connection, parameter, url)
        for body in resources.bodies(self._connection, rows):
            found: dict[str, Any] = codec.decode(body)
            if version in ("", found.get("version")):
                return found
        return None


def _limited(pairs: list[Pair]) -> list[Pair]:
    if len(pairs) > CODES_LIMIT:
        text = f"The value set holds more than {CODES_LIMIT} codes."
        raise BadRequest(issues=[Issue("too-costly", text)])
    return pairs


def _contains(items: list[dict[str, Any]]) -> Iterator[Pair]:
    for item in items:
        if "code" in item and not item.get("abstract"):
            yield item.get("system", ""), item["code"]
        yield from _contains(item.get("contains", []))


def _codes(concepts: list[dict[str, Any]]) -> Iterator[str]:
    for concept in concepts:
        yield concept["code"]
        yield from _codes(concept.get("concept", []))


def _paths(
    concepts: list[dict[str, Any]], above: tuple[dict[str, Any], ...]
) -> Iterator[tuple[dict[str, Any], ...]]:
    for concept in concepts:
        path = (*above, concept)
        yield path
        yield from _paths(concept.get("concept", []), path)
