"""R4's other invariants, by their own FHIRPath: for $validate, too slow for a write to wait for.

Source: FHIR R4 elementdefinition.html (ElementDefinition.constraint), fhirpath.html. Those that the
walker and its rules know are not asked again; best-practice warnings are not asked at all.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Any

from fhir_profiles import codec
from server import definitions, fhirpath
from server.errors import Issue
from server.fhirpath import Rule
from server.validation.structure import shape

# Rules that look through the whole resource for each of its parts cost the square of its size.
NODES_LIMIT, LIST_LIMIT, SQUARE_LIMIT = 10_000, 250, 500
_SQUARE = ("%resource", "%context", "descendants", "intersect", "combine")
# Enforced on every write, by structure.py, invariants.py and xhtml.py.
ENFORCED = frozenset(
    "age-1 att-1 bdl-1 bdl-10 bdl-11 bdl-12 bdl-2 bdl-3 bdl-4 bdl-5 bdl-7 bdl-8 bdl-9 ces-1 cnt-3"  # noqa: SIM905 one line each else
    " cpt-2 dis-1 dom-2 dom-3 dom-4 dom-5 drt-1 ele-1 ext-1 mdd-1 org-1 org-2 org-3 pat-1 per-1"
    " qty-3 ref-1 rng-2 tim-1 tim-10 tim-2 tim-4 tim-5 tim-6 tim-7 tim-8 tim-9 txt-1 txt-2"
    " Task.inv-1".split()
)
# What it asks of another resource can only be known where that is at hand.
UNDECIDABLE = frozenset({"ctm-1"})
# Where the standard's text says another thing than it means: FHIR's boolean is not
# System.Boolean, and a type is asked only of a value that is there.
_MEANT = {
    "que-7": ("is Boolean", "is boolean"),
    "ras-2": ("probability is decimal", "probability.exists() and probability is decimal"),
}
Node = dict[str, Any]


def check(resource: Node) -> list[Issue]:
    """Return where a structurally valid resource breaks an invariant of R4.

    Beyond NODES_LIMIT elements, or LIST_LIMIT entries of one list, nothing is asked, and beyond
    SQUARE_LIMIT elements nothing that costs the square of them; a warning tells so.
    """
    own = codec.decode(codec.encode(resource))  # the engine leaves marks in what it reads
    kind = own["resourceType"]
    if _longest(own) > LIST_LIMIT:
        return [_unasked(f"A list of more than {LIST_LIMIT} entries", kind)]
    nodes = list(islice(_nodes(kind, own, kind, (own, own)), NODES_LIMIT + 1))
    if len(nodes) > NODES_LIMIT:
        return [_unasked(f"A resource of more than {NODES_LIMIT} elements", kind)]
    is_small = len(nodes) <= SQUARE_LIMIT
    issues = [issue for node in nodes for issue in _broken(*node, is_small=is_small)]
    if not is_small and any(rule.is_square for node in nodes for rule in _rules(node[0])):
        issues.append(_unasked(f"A resource of more than {SQUARE_LIMIT} elements", kind))
    return issues


def _unasked(what: str, place: str) -> Issue:
    text = f"{what} is not held against all invariants of R4."
    return Issue("too-costly", text, place, severity="warning")


def _longest(node: Any) -> int:
    """Return the length of the longest list in a JSON value."""
    if isinstance(node, dict):
        return max(map(_longest, node.values()), default=0)
    if isinstance(node, list):
        return max(len(node), *map(_longest, node)) if node else 0
    return 0


def _nodes(
    type_name: str, node: Node, path: str, around: tuple[Node, Node]
) -> Iterator[tuple[str, Node, str, tuple[Node, Node]]]:
    """Yield (type, object, path, (its resource, the outermost one)) of a node and all in it."""
    yield type_name, node, path, around
    found = shape(type_name)
    for key, value in node.items():
        slot = found.slots.get(key) if found else None
        if slot is None or slot.primitive is not None:
            continue
        many = isinstance(value, list)
        for index, item in enumerate(value if many else [value]):
            here = f"{path}.{key}[{index}]" if many else f"{path}.{key}"
            if slot.type_name == "Resource":
                outer = around[1] if key == "contained" else item
                yield from _nodes(item["resourceType"], item, here, (item, outer))
            else:
                yield from _nodes(slot.type_name, item, here, around)


def _broken(
    type_name: str, node: Node, path: str, around: tuple[Node, Node], *, is_small: bool
) -> Iterator[Issue]:
    for rule in _rules(type_name):
        variables = {"resource": around[0], "rootResource": around[1]}
        if (is_small or not rule.is_square) and not rule.holds(node, variables):
            yield Issue("invariant", f"{rule.key}: {rule.human}", path)


@dataclass(frozen=True, slots=True)
class _Invariant:
    key: str
    human: str
    holds: Rule
    is_square: bool


@cache
def _rules(type_name: str) -> list[_Invariant]:
    found = []
    for key, expression, human in definitions.constraints(type_name):
        if not {key, f"{type_name}.{key}"} & (ENFORCED | UNDECIDABLE):
            meant = expression.replace(*_MEANT[key]) if key in _MEANT else expression
            is_square = any(word in expression for word in _SQUARE)
            found.append(_Invariant(key, human, fhirpath.holds(type_name, meant), is_square))
    return found
