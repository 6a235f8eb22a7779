"""The part of FHIRPath that search parameters use, compiled to steps over JSON.

Union, `as`, `ofType`, `extension('u')`, `where(x='y')`, `where(resolve() is T)`, `[n]` and
`exists() and … != false` are read; anything else raises Unsupported. Types are followed through the
R4 table, so that a choice element finds its JSON key. Source: FHIR R4 searchparameter.html,
fhirpath.html.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from server import definitions

Typed = tuple[str, Any]
Step = Callable[[Iterable[Typed]], Iterator[Typed]]

_AS = re.compile(r"\((?P<path>[^()]+(?:\([^()]*\))?[^()]*) as (?P<type>\w+)\)(?P<rest>.*)")
_FLAG = re.compile(r"(?P<path>[\w.]+)\.exists\(\) and [\w.]+ != false")
_PART = re.compile(
    r"\.?(?:where\((?P<key>\w+)='(?P<value>[^']*)'\)|where\(resolve\(\) is (?P<target>\w+)\)"
    r"|extension\('(?P<url>[^']+)'\)|(?:as|ofType)\((?P<type>\w+)\)|\[(?P<index>\d+)\]|(?P<name>\w+))"
)


class Unsupported(Exception):
    """The expression uses FHIRPath beyond what search needs; the message quotes it."""


@dataclass(frozen=True, slots=True)
class Path:
    """One compiled branch: call `values` with a resource."""

    steps: tuple[Step, ...]
    root: str

    def values(self, node: dict[str, Any]) -> Iterator[Typed]:
        """Yield (type name, JSON value) for everything the branch selects, in document order.

        `node` is of the type that the path was compiled for. The type of a code whose system
        follows from its element is `code|system`.
        """
        found: Iterable[Typed] = [(self.root, node)]
        for step in self.steps:
            found = step(found)
        yield from found


@cache
def compile_paths(expression: str, resource_type: str) -> tuple[Path, ...]:
    """Return the branches of `expression` that apply to `resource_type`, or an element's type.

    Raises Unsupported where a branch for this type uses more than the subset.
    """
    branches = []
    for part in _split(expression):
        compiled = _branch(part.strip(), resource_type)
        if compiled is not None:
            branches.append(compiled)
    return tuple(branches)


def _split(expression: str) -> list[str]:
    parts, depth, start = [], 0, 0
    for place, char in enumerate(expression):
        depth += {"(": 1, ")": -1}.get(char, 0)
        if char == "|" and depth == 0:
            parts.append(expression[start:place])
            start = place + 1
    return [*parts, expression[start:]]


def _branch(text: str, resource_type: str) -> Path | None:
    tail: list[Step] = []
    flag = _FLAG.fullmatch(text)
    cast = _AS.fullmatch(text)
    if flag:
        text, tail = flag["path"], [_truth]
    elif cast:
        text = cast["path"]
        tail = [_only(cast["type"]), *_steps(cast["rest"])]
    elif " as " in text:
        text, _, wanted = text.partition(" as ")
        tail = [_only(wanted)]
    head, _, rest = text.partition(".")
    if head[:1].islower():
        rest = text
    elif head not in (resource_type, "Resource", "DomainResource"):
        return None
    return Path((*_steps(rest), *tail), resource_type)


def _steps(text: str) -> list[Step]:
    steps, place = [], 0
    while place < len(text):
        found = _PART.match(text, place)
        if found is None or (found["url"] and found.end() == len(text)):
            raise Unsupported(text)  # an extension by itself has nothing to search for
        steps.append(_step(found))
        place = found.end()
    return steps


def _step(found: re.Match[str]) -> Step:
    if found["key"]:
        return _where(found["key"], found["value"])
    if found["target"]:
        return _resolves_to(found["target"])
    if found["type"]:
        return _only(found["type"])
    if found["index"]:
        return _item(int(found["index"]))
    if found["url"]:
        return _extension(found["url"])
    return _child(found["name"])


def _child(name: str) -> Step:
    def step(nodes: Iterable[Typed]) -> Iterator[Typed]:
        for type_name, node in nodes:
            for key, code in _keys(_actual(type_name, node), name):
                value = node.get(key)
                if isinstance(value, list):
                    yield from ((code, item) for item in value if item is not None)
                elif value is not None:
                    yield code, value

    return step


def _extension(url: str) -> Step:
    children, wanted = _child("extension"), _where("url", url)
    return lambda nodes: wanted(children(nodes))


def _actual(type_name: str, node: Any) -> str:
    return str(node.get("resourceType")) if type_name == "Resource" else type_name


@cache
def _keys(type_name: str, name: str) -> tuple[tuple[str, str], ...]:
    element = (definitions.elements(type_name) or {}).get(name)
    if element is None:
        return ()
    system = f"|{element.code_system}" if element.code_system else ""
    return tuple(
        (key, f"code{system}" if code == "code" else code) for key, code, _ in element.slots()
    )


def _only(wanted: str) -> Step:
    return lambda nodes: (pair for pair in nodes if pair[0].partition("|")[0] == wanted)


def _where(key: str, value: str) -> Step:
    return lambda nodes: (
        pair for pair in nodes if isinstance(pair[1], dict) and pair[1].get(key) == value
    )


def _resolves_to(target: str) -> Step:
    def step(nodes: Iterable[Typed]) -> Iterator[Typed]:
        for type_name, node in nodes:
            text = node.get("reference", "") if isinstance(node, dict) else node
            kind = node.get("type") if isinstance(node, dict) else None
            if kind == target or f"{target}/" in str(text):
                yield type_name, node

    return step


def _item(index: int) -> Step:
    def step(nodes: Iterable[Typed]) -> Iterator[Typed]:
        yield from list(nodes)[index : index + 1]

    return step


def _truth(nodes: Iterable[Typed]) -> Iterator[Typed]:
    yield "boolean", any(value is not False for _, value in nodes)
