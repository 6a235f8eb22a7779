"""What a request needs to be allowed: read from its method, its address and its query.

Source: SMART App Launch 2.2, scopes-and-launch-context.html: `r` is read, vread and the history of
an instance, `s` search and the history of types. A search that looks at other types, by a chain, by
_has, _include or _revinclude, needs them, too; a condition finds and shows what is there, so that
it needs to search and read. What is not known here needs everything.
"""

from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import parse_qsl

from server import definitions
from server.search import parameters
from server.search.request import IGNORED

EVERYTHING = "*.cruds"
THIS = "this"  # in what an operation needs: the type that it is called on
CHAIN_LIMIT, PAIRS_LIMIT = 8, 1000  # beyond them everything is needed: nothing is walked for long
Pairs = Iterable[tuple[str, str]]
Operations = Mapping[tuple[str, str], tuple[str, ...]]
_NEEDED = {"POST": "c", "PUT": "u", "PATCH": "ru", "DELETE": "d"}


def of_request(method: str, path: str, pairs: Pairs, operations: Operations) -> set[str]:
    """Return what a request to `path`, below our FHIR base and without a slash in front, needs.

    `pairs` are those of its query, or of the form of a search. What its headers say comes by
    `of_condition`; the entries of a Bundle are requests of their own. `operations` are what each
    needs, by name and type ("" for all types).
    """
    parts, pairs = [part for part in path.split("/") if part], list(pairs)
    if len(pairs) > PAIRS_LIMIT:
        return {EVERYTHING}
    if any(part.startswith("$") for part in parts):
        return _of_operation(parts, operations)
    if not parts or parts[0] in ("_search", "_history"):
        is_bundle = not parts and method == "POST"
        return set() if is_bundle else set(_of_system(parts, pairs))
    if parts[0] not in definitions.type_numbers():
        return {EVERYTHING}
    return set(_of_type(method, parts, pairs))


def of_condition(kind: str, query: str) -> set[str]:
    """Return what a condition needs: `Type?query`, or the query alone, about resources of a type.

    So do If-None-Exist, conditional updates and conditional references.
    """
    pairs = parse_qsl(query.partition("?")[2] or query, keep_blank_values=True)
    return {f"{kind}.r", *_of_search(kind, pairs)}


def _of_operation(parts: list[str], operations: Operations) -> set[str]:
    *place, last = parts
    kind = place[0] if place else ""
    if kind == "$job" and not last.startswith("$"):
        return set()  # whose result it is says what it needs
    name = last.removeprefix("$")
    found = operations.get((name, kind), operations.get((name, "")))
    if found is None or (kind and kind not in definitions.type_numbers()):
        return {EVERYTHING}
    return {one.replace(THIS, kind or "*") for one in found}


def _of_system(parts: list[str], pairs: list[tuple[str, str]]) -> Iterator[str]:
    named = {kind for key, value in pairs if key == "_type" for kind in value.split(",")}
    is_known = named and named <= definitions.type_numbers().keys() and parts != ["_history"]
    for kind in named if is_known else ("*",):
        yield from _of_search(kind, pairs)


def _of_type(method: str, parts: list[str], pairs: list[tuple[str, str]]) -> Iterator[str]:
    kind, *rest = parts
    if rest and rest[-1] == "_search":
        method, rest = "GET", rest[:-1]
    if method not in ("GET", "HEAD"):
        yield f"{kind}.{_NEEDED.get(method, 'cruds')}"
        if not rest and any(key not in IGNORED for key, _ in pairs):
            yield f"{kind}.r"
            yield from _of_search(kind, pairs)
    elif rest in ([], ["_history"]):
        yield from _of_search(kind, pairs)
    elif len(rest) == 1 or rest[1] == "_history":
        yield f"{kind}.r"
    else:
        yield from _of_search(rest[1], pairs)


def _of_search(kind: str, pairs: Pairs, depth: int = 0) -> Iterator[str]:
    """Yield what a search of a type, "*" for all, needs with these parameters."""
    if depth > CHAIN_LIMIT:
        yield EVERYTHING
        return
    yield f"{kind}.s"
    for key, value in pairs:
        name, _, modifier = key.partition(":")
        if name in ("_include", "_revinclude"):
            yield from _of_include(value, is_reverse=name == "_revinclude")
        elif name == "_has":
            other, _, rest = modifier.partition(":")
            code = rest.partition(":")[2]
            yield from _of_search(other, [(code, value)], depth + 1)
        elif name == "_list":
            yield "List.r"
        elif "." in key:
            yield from _of_chain(kind, key, value, depth)
        elif modifier in ("in", "not-in"):
            yield "ValueSet.r"


def _of_include(value: str, *, is_reverse: bool) -> Iterator[str]:
    kind, _, rest = value.partition(":")
    code, _, target = rest.partition(":")
    if is_reverse or target:
        yield f"{kind if is_reverse else target}.r"
    else:
        yield from (f"{one}.r" for one in _targets(kind, code))


def _of_chain(kind: str, key: str, value: str, depth: int) -> Iterator[str]:
    link, _, rest = key.partition(".")
    code, _, named = link.partition(":")
    for one in [named] if named else _targets(kind, code):
        yield from _of_search(one, [(rest, value)], depth + 1)


def _targets(kind: str, code: str) -> tuple[str, ...]:
    """Return the types that a reference parameter may lead to: all, where that is not known."""
    if kind not in definitions.type_numbers():
        return ("*",)
    found = parameters.built_in(kind).get(code)
    return (found.targets if found is not None else ()) or ("*",)
