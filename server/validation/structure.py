"""The table walker: holds a body against the R4 structure table and names every wrong element.

Pure: reads the compiled definitions, never the store. Source: FHIR R4 json.html, datatypes.html,
elementdefinition.html (cardinality, types, required bindings, reference targets).
"""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from server import definitions
from server.errors import Issue
from server.validation import xhtml
from server.validation.invariants import INVARIANTS, Rule, contained
from server.validation.primitives import PRIMITIVES

DEPTH_LIMIT = 64
ISSUE_LIMIT = 100
_REFERENCE = re.compile(
    r"#[A-Za-z0-9.\-]{0,64}|urn:(uuid|oid):\S+"
    r"|(?P<base>https?://\S+/)?(?P<type>[A-Z][A-Za-z]+)/[A-Za-z0-9.\-]{1,64}"
    r"(/_history/[A-Za-z0-9.\-]{1,64})?"
    r"|https?://\S+"
)


@dataclass(frozen=True, slots=True)
class Slot:
    """One JSON key of a type: what may stand there.

    `whole` tests all that is asked of a single primitive value, None where more is to be walked.
    """

    type_name: str
    many: bool
    targets: frozenset[str]
    code_set: frozenset[str] | None
    primitive: Callable[[Any], bool] | None
    expected: str
    whole: Callable[[Any], bool] | None


@dataclass(frozen=True, slots=True)
class Shape:
    """A complex type, ready to walk: its keys, and which keys satisfy each required element."""

    name: str
    slots: dict[str, Slot]
    required: tuple[tuple[str, tuple[str, ...]], ...]
    choices: dict[str, tuple[str, str]]  # key or _key -> the element of which key is one type, key
    rule: Rule | None
    has_rules: bool  # more is asked of an object than that each key is right
    is_element: bool


@dataclass(slots=True)
class _Walk:
    """What is known on the way: the issues, and the local references of the resource around."""

    issues: list[Issue] = field(default_factory=list)
    local_ids: frozenset[str] = frozenset()
    local_references: set[str] = field(default_factory=set)
    is_inside: bool = False

    def add(self, code: str, text: str, path: str) -> None:
        if len(self.issues) < ISSUE_LIMIT:
            self.issues.append(Issue(code, text, path))


def check(resource: Any) -> list[Issue]:
    """Return every structural problem of `resource`; an empty list means it is valid R4.

    The texts name elements and what was expected, never the values that were sent.
    """
    walk = _Walk()
    _resource(walk, resource, "", 0)
    return walk.issues


@cache
def shape(type_name: str) -> Shape | None:
    """Return the shape of a complex type, or None where the name is no complex type of R4."""
    elements = definitions.elements(type_name)
    if elements is None:
        return None
    slots: dict[str, Slot] = {}
    required: list[tuple[str, tuple[str, ...]]] = []
    choices: dict[str, tuple[str, str]] = {}
    for element in elements.values():
        keys = element.slots()
        for key, code, targets in keys:
            test, expected = PRIMITIVES.get(code, (None, "an object"))
            code_set = element.code_set if code == "code" else None
            whole = None if element.many or code == "xhtml" else _whole(test, code_set)
            slots[key] = Slot(code, element.many, targets, code_set, test, expected, whole)
        names = tuple(key for key, _, _ in keys)
        if element.required:
            required.append((element.name, names))
        if element.choice:
            choices |= {f"{mark}{key}": (element.name, key) for key in names for mark in ("", "_")}
    rule = INVARIANTS.get(type_name)
    return Shape(
        type_name,
        slots,
        tuple(required),
        choices,
        rule,
        bool(required or choices or rule),
        type_name not in definitions.type_numbers(),
    )


def _whole(
    test: Callable[[Any], bool] | None, code_set: frozenset[str] | None
) -> Callable[[Any], bool] | None:
    if test is None or code_set is None:
        return test
    return lambda value: test(value) and value in code_set


def _resource(walk: _Walk, node: Any, path: str, depth: int) -> None:
    if not isinstance(node, dict):
        walk.add("structure", "Expected a resource, an object with resourceType.", path)
        return
    name = node.get("resourceType")
    if not isinstance(name, str) or name not in definitions.type_numbers():
        walk.add("structure", "resourceType must name an R4 resource type.", path or "resourceType")
        return
    found = shape(name)
    if found is None:
        raise LookupError(f"the R4 table has no {name}")
    path = path or name
    if walk.is_inside or "contained" not in node:
        _object(walk, found, node, path, depth)
    else:
        _container(walk, found, node, path, depth)


def _container(walk: _Walk, found: Shape, node: dict[str, Any], path: str, depth: int) -> None:
    """Walk a resource that contains others: their references among each other must meet."""
    parts = node["contained"] if isinstance(node["contained"], list) else []
    ids = [part.get("id") if isinstance(part, dict) else None for part in parts]
    inner = _Walk(walk.issues, frozenset(i for i in ids if isinstance(i, str)), is_inside=True)
    _object(inner, found, node, path, depth)
    for text in contained(node):
        walk.add("invariant", text, f"{path}.contained")
    for index, fhir_id in enumerate(ids):
        known = not isinstance(parts[index], dict) or fhir_id in inner.local_references
        if not known and not _refers_out(parts[index]):
            text = "dom-3: a contained resource is referred to, or refers to its container."
            walk.add("invariant", text, f"{path}.contained[{index}]")


def _refers_out(node: Any) -> bool:
    if isinstance(node, dict):
        return node.get("reference") == "#" or any(map(_refers_out, node.values()))
    return isinstance(node, list) and any(map(_refers_out, node))


def _object(walk: _Walk, found: Shape, node: dict[str, Any], path: str, depth: int) -> None:
    if depth > DEPTH_LIMIT:
        walk.add("structure", f"Nested deeper than {DEPTH_LIMIT} levels.", path)
        return
    slots = found.slots
    for key, value in node.items():
        slot = slots.get(key)
        if slot is None:
            _unlisted(walk, found, node, key, path)
        # Measured: half of a large response's walk, which needs no path while all is well.
        elif slot.whole is None or not slot.whole(value) or (walk.is_inside and _is_local(value)):
            _member(walk, slot, value, f"{path}.{key}", depth)
            if slot.many and slot.primitive is not None and isinstance(value, list):
                _paired(walk, value, node.get(f"_{key}"), f"{path}.{key}")
    if found.has_rules or len(node) < 2:  # noqa: PLR2004 empty, or an id alone
        _rules(walk, found, node, path)


def _is_local(value: Any) -> bool:
    """Tell whether a value refers to a contained resource."""
    return isinstance(value, str) and value.startswith("#")


def _rules(walk: _Walk, found: Shape, node: dict[str, Any], path: str) -> None:
    if not node:
        walk.add("structure", "An object must not be empty.", path)
    _presence(walk, found, node, path)
    if found.is_element and len(node) == 1 and "id" in node:
        walk.add("invariant", "ele-1: an element has a value or children.", path)
    if found.rule is not None:
        for text in found.rule(node):
            walk.add("invariant", text, path)


def _presence(walk: _Walk, found: Shape, node: dict[str, Any], path: str) -> None:
    for name, keys in found.required:
        if keys[0] not in node and not any(key in node or f"_{key}" in node for key in keys):
            walk.add("required", f"{name} is required.", f"{path}.{name}")
    there = found.choices.keys() & node.keys() if found.choices else ()
    if len(there) > 1:
        counted = Counter(name for name, _ in {found.choices[key] for key in there})
        for name in sorted(name for name, count in counted.items() if count > 1):
            walk.add("structure", f"Only one type of {name}[x] is allowed.", f"{path}.{name}")


def _unlisted(walk: _Walk, found: Shape, node: dict[str, Any], key: str, path: str) -> None:
    if key == "resourceType" and "." not in found.name:
        return
    slot = found.slots.get(key[1:]) if key.startswith("_") else None
    if slot is None or slot.primitive is None:
        walk.add("structure", "This element is not known in R4.", f"{path}.{key}")
        return
    _primitive_extension(walk, slot, node[key], f"{path}.{key[1:]}")


def _primitive_extension(walk: _Walk, slot: Slot, value: Any, path: str) -> None:
    """Check `_name`, the id and extensions of a primitive (json.html#primitive)."""
    element = shape("Element")
    if element is None:
        raise LookupError("the R4 table has no Element")
    if isinstance(value, list) != slot.many:
        walk.add("structure", "Expected a list." if slot.many else "Expected one value.", path)
        return
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, dict):
            _object(walk, element, item, path, 0)
        elif item is not None or not slot.many:
            walk.add("structure", "Expected id or extensions of the primitive.", path)


def _paired(walk: _Walk, values: list[Any], extensions: Any, path: str) -> None:
    """Check that each null of a list has its extension at the same place (json.html#primitive)."""
    if all(value is None for value in values):
        return  # told by _member already
    there = extensions if isinstance(extensions, list) else []
    if there and len(there) != len(values):
        walk.add("structure", "Both lists of a primitive must be of one length.", path)
    for index, value in enumerate(values):
        if value is None and (index >= len(there) or there[index] is None):
            walk.add("structure", "A null needs an extension at its place.", f"{path}[{index}]")


def _member(walk: _Walk, slot: Slot, value: Any, path: str, depth: int) -> None:
    if not slot.many:
        _value(walk, slot, value, path, depth)
        return
    if not isinstance(value, list) or not value:
        walk.add("structure", "Expected a list with at least one entry.", path)
        return
    for index, item in enumerate(value):
        if item is None and slot.primitive is not None:
            continue  # its extension stands in `_name`
        _value(walk, slot, item, f"{path}[{index}]", depth)
    if value[0] is None and all(item is None for item in value):
        walk.add("structure", "A list must hold at least one value.", path)


def _value(walk: _Walk, slot: Slot, value: Any, path: str, depth: int) -> None:
    if slot.primitive is not None:
        _primitive(walk, slot, value, path)
    elif not isinstance(value, dict):
        walk.add("structure", f"Expected an object ({slot.type_name}).", path)
    elif slot.type_name == "Resource":
        _resource(walk, value, path, depth + 1)
    else:
        found = shape(slot.type_name)
        if found is not None:
            _object(walk, found, value, path, depth + 1)
        if slot.type_name == "Reference":
            _reference(walk, slot, value, path)


def _primitive(walk: _Walk, slot: Slot, value: Any, path: str) -> None:
    if slot.primitive is None or not slot.primitive(value):
        walk.add("value", f"Expected {slot.expected} ({slot.type_name}).", path)
    elif slot.code_set is not None and value not in slot.code_set:
        walk.add("code-invalid", "Expected a code of the required value set.", path)
    elif slot.type_name == "xhtml":
        wrong = xhtml.problem(value)
        if wrong:
            walk.add("invariant", wrong, path)
    elif walk.is_inside and _is_local(value):
        walk.local_references.add(value[1:])


def _reference(walk: _Walk, slot: Slot, value: dict[str, Any], path: str) -> None:
    text = value.get("reference")
    if not isinstance(text, str):
        return
    found = _REFERENCE.fullmatch(text)
    if found is None:
        walk.add("value", "Expected Type/id, an absolute URL, urn: or #id.", f"{path}.reference")
        return
    if text.startswith("#"):
        walk.local_references.add(text[1:])
        if text[1:] not in walk.local_ids and text != "#":
            said = "ref-1: the reference names no contained resource."
            walk.add("invariant", said, f"{path}.reference")
    kind = found["type"]
    if kind is None or not slot.targets or "Resource" in slot.targets:
        return
    if kind in definitions.type_numbers() and kind not in slot.targets:
        allowed = ", ".join(sorted(slot.targets))
        walk.add("value", f"Expected a reference to {allowed}.", f"{path}.reference")
    elif kind not in definitions.type_numbers() and found["base"] is None:
        walk.add("value", "The reference names no R4 resource type.", f"{path}.reference")
