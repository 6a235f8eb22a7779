"""References inside a Bundle: to its own entries, and conditional ones (http.html#trules)."""

import re
from collections.abc import Callable, Iterable
from typing import Any

from fhir_profiles import codec
from server import definitions
from server.access import needs
from server.access.caller import Caller
from server.errors import BadRequest, Issue, PreconditionFailed
from server.interactions import search
from server.interactions.engine import Engine

# Elements whose value may point to another entry of a Bundle.
_LINKING = frozenset({"reference", "valueUri", "valueUrl", "valueUuid", "valueOid"})
_CONDITIONAL = re.compile(rb'"reference":"[A-Za-z]+\?')
REFERENCES_LIMIT = 5000


def resolved(node: Any, named: dict[str, str], root: str) -> Any:
    """Return `node` with every reference to an entry of the Bundle put right.

    `named` leads from fullUrl to Type/id. References, URIs that stand for resources and links in
    narratives are changed, identifiers and texts never. `root` is the base of the entry's own
    fullUrl, against which relative references are read.
    """
    if not named or not (root or _mentions(node, named)):
        return node

    def change(key: str, text: str) -> str:
        if key in _LINKING:
            return named.get(text) or named.get(f"{root}/{text}") or text
        if key == "div":
            for full_url, address in named.items():
                text = text.replace(f'"{full_url}"', f'"{address}"')
        return text

    return _changed(node, change)


def found(engine: Engine, bundle: dict[str, Any], caller: Caller) -> dict[str, Any]:
    """Return the Bundle with every conditional reference replaced by what it finds.

    A conditional reference is Type?query. Raises PreconditionFailed where it does not find exactly
    one resource, Forbidden where the caller may not look. A Bundle without any is returned as is.
    """
    known: dict[str, str] = {}

    def change(key: str, text: str) -> str:
        type_name, mark, query = text.partition("?")
        if key != "reference" or not mark or type_name not in definitions.type_numbers():
            return text
        if text not in known:
            if len(known) >= REFERENCES_LIMIT:
                raise BadRequest(f"At most {REFERENCES_LIMIT} conditional references.")
            caller.demand(needs.of_condition(type_name, query))
            known[text] = _sole(engine, type_name, query)
        return known[text]

    if _CONDITIONAL.search(codec.encode(bundle)) is None:
        return bundle
    changed: dict[str, Any] = _changed(bundle, change)
    return changed if known else bundle


def _mentions(node: Any, named: Iterable[str]) -> bool:
    """Tell whether any of the names stands in a JSON value.

    Measured: a fifth of a transaction's time went into copies of entries that point to no other.
    """
    text = codec.encode(node)
    return any(codec.encode(name)[1:-1] in text for name in named)


def _sole(engine: Engine, type_name: str, query: str) -> str:
    with engine.database.read() as connection:
        there = search.sole_match(engine, connection, type_name, query)
    if there is None:
        raise PreconditionFailed(
            issues=[Issue("not-found", f"A conditional reference finds no {type_name}.")]
        )
    return f"{type_name}/{there}"


def refuse_crossing(entry: dict[str, Any], entries: list[Any]) -> None:
    """Raise BadRequest if an entry of a batch refers to another: they are independent."""
    found = [e.get("fullUrl") for e in entries if isinstance(e, dict)]
    urls = {url for url in found if isinstance(url, str)} - {entry.get("fullUrl")}

    def look(key: str, text: str) -> str:
        if key == "reference" and text in urls and text.startswith("urn:"):
            raise BadRequest("An entry of a batch must not refer to another entry.")
        return text

    _changed(entry.get("resource"), look)


def _changed(node: Any, change: Callable[[str, str], str], key: str = "") -> Any:
    if isinstance(node, dict):
        return {k: _changed(value, change, k) for k, value in node.items()}
    if isinstance(node, list):
        return [_changed(item, change, key) for item in node]
    return change(key, node) if isinstance(node, str) else node
