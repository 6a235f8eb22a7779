"""R4's other invariants, by their own FHIRPath: for $validate, too slow for a write to wait for.

Source: FHIR R4 elementdefinition.html (ElementDefinition.constraint), fhirpath.html. Those that the
walker and its rules know are not asked again; best-practice warnings are not asked at all.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any

from fhir_profiles import codec
from server import definitions
from server.errors import Issue
from server.validation import fhirpath
from server.validation.fhirpath import Rule
from server.validation.structure import shape

NODES_LIMIT = 2000
# Enforced on every write, by structure.py, invariants.py and xhtml.py.
ENFORCED = frozenset(
    "age-1 att-1 bdl-1 bdl-10 bdl-11 bdl-12 bdl-2 bdl-3 bdl-4 bdl-5 bdl-7 bdl-8 bdl-9 ces-1 cnt-3"  # noqa: SIM905 one line each else
    " cpt-2 dis-1 dom-2 dom-3 dom-4 dom-5 drt-1 ele-1 ext-1 org-1 org-2 org-3 pat-1 per-1 qty-3"
    " ref-1 rng-2 tim-1 tim-10 tim-2 tim-4 tim-5 tim-6 tim-7 tim-8 tim-9 txt-1 txt-2".split()
)
# What it asks of another resource can only be known where that is at hand.
UNDECIDABLE = frozenset({"ctm-1"})
# Where the standard's text says another thing than it means: FHIR's boolean is not System.Boolean.
_MEANT = {"que-7": ("is Boolean", "is boolean")}
Node = dict[str, Any]


def check(resource: Node) -> list[Issue]:
    """Return where a structurally valid resource breaks an invariant of R4.

    A resource of more than NODES_LIMIT elements that have any is not held against them, and told
    so.
    """
    own = codec.decode(codec.encode(resource))  # the engine leaves marks in what it reads
    nodes = []
    for found in _nodes(own["resourceType"], own, own["resourceType"], (own, own)):
        if _rules(found[0]):
            nodes.append(found)
        if len(nodes) > NODES_LIMIT:
            text = f"More than {NODES_LIMIT} elements are not held against R4's invariants."
            return [Issue("too-costly", text, own["resourceType"])]
    return [issue for node in nodes for issue in _broken(*node)]


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


def _broken(type_name: str, node: Node, path: str, around: tuple[Node, Node]) -> Iterator[Issue]:
    for key, rule, human in _rules(type_name):
        if not rule(node, {"resource": around[0], "rootResource": around[1]}):
            yield Issue("invariant", f"{key}: {human}", path)


@cache
def _rules(type_name: str) -> list[tuple[str, Rule, str]]:
    return [
        (key, fhirpath.holds(type_name, expression.replace(*_MEANT.get(key, ("\0", "")))), human)
        for key, expression, human in definitions.constraints(type_name)
        if key not in ENFORCED | UNDECIDABLE
    ]
