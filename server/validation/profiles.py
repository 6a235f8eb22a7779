"""Profiles: what they ask of a resource beyond R4, from the tables in fhir_profiles.

A table is a tree of elements, each with min, max, fixed, pattern, codes (the pairs of a required
binding), types (of a choice), profiles (any of them, by URL), targets (profiles of what a reference
leads to), rules (key, FHIRPath, sentence and path of an invariant) and slices; a slice says in
`where` which values are its own.
Source: FHIR R4 profiling.html, elementdefinition.html.
"""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from fhir_profiles import loader
from server import fhirpath
from server.errors import Issue

Node = dict[str, Any]
_CODE, _SYSTEM = "code", "system"


def check(resource: dict[str, Any], url: str) -> list[Issue]:
    """Return where a structurally valid resource breaks the profile `url`; nothing if unknown."""
    profile = _profiles().get(_plain(url))
    if profile is None:
        return []
    kind = resource.get("resourceType", profile["type"])
    if kind != profile["type"]:
        return [Issue("structure", f"The profile is of {profile['type']}.", str(kind))]
    found = list(_node(profile["root"], resource, str(kind)))
    return [*found, *_led_to(profile["root"], resource)] if kind == "Bundle" else found


def is_known(url: str) -> bool:
    """Tell whether the profile is enforced here; a version in the URL does not matter."""
    return _plain(url) in _profiles()


def supported(resource_type: str) -> list[str]:
    """Return the URLs of the profiles of a resource type, sorted."""
    return sorted(url for url, one in _profiles().items() if one["type"] == resource_type)


@cache
def _profiles() -> dict[str, Node]:
    files = loader.artefacts("structure_definitions")
    return {one["url"]: one for file in files for one in file}


def _plain(url: str) -> str:
    return url.partition("|")[0]


def _node(node: Node, value: Any, path: str) -> Iterator[Issue]:
    """Yield where one value breaks what its element asks."""
    if "fixed" in node and value != node["fixed"]:
        yield Issue("value", "The profile fixes another value here.", path)
    if "pattern" in node and not _fits(node["pattern"], value):
        yield Issue("value", "The value does not fit the profile's pattern.", path)
    if "codes" in node and not _has_code(node["codes"], value):
        yield Issue("code-invalid", "Expected a code of the profile's value set.", path)
    for key, expression, human, place in node.get("rules", ()):
        if not fhirpath.holds(place, expression)(value, {}):
            yield Issue("invariant", f"{key}: {human}", path)
    yield from _any_profile(node.get("profiles", ()), value, path)
    if isinstance(value, dict):
        for name, child in node.get("children", {}).items():
            yield from _child(child, name, value, path)


def _led_to(root: Node, bundle: Node) -> Iterator[Issue]:
    """Yield where an entry breaks the profile that a reference inside the Bundle asks of it.

    What the Bundle does not hold is not looked for. Source: FHIR R4 references.html#contained, and
    profiling.html on target profiles.
    """
    there = {
        entry.get("fullUrl"): (f"Bundle.entry[{place}].resource", entry.get("resource"))
        for place, entry in enumerate(bundle.get("entry", []))
    }
    todo, seen = list(_targets(root, bundle)), set()
    while todo:
        address, urls = todo.pop(0)
        path, one = there.get(address, ("", None))
        asked = [url for url in urls if is_known(url) and _profiles()[url]["type"] == _type(one)]
        if one is None or not asked or (address, *asked) in seen:
            continue
        seen.add((address, *asked))
        yield from _any_profile(tuple(asked), one, path)
        todo += _targets(_profiles()[asked[0]]["root"], one)


def _targets(node: Node, value: Any) -> Iterator[tuple[str, list[str]]]:
    """Yield each reference in a value that is to lead to profiles, with their URLs."""
    if not isinstance(value, dict):
        return
    if "targets" in node and isinstance(value.get("reference"), str):
        yield value["reference"], node["targets"]
    known = (url for url in node.get("profiles", ()) if is_known(url))
    url = next(
        (url for url in known if _profiles()[url]["type"] in (_type(value), "Extension")), ""
    )
    if url:
        yield from _targets(_profiles()[url]["root"], value)
    for name, child in node.get("children", {}).items():
        for one in (one for key in _keys(name, value) for one in _listed(value[key])):
            yield from _targets(child, one)
            own = next((part for part in child.get("slices", ()) if _is_of(part, one)), None)
            if own is not None:
                yield from _targets(own, one)


def _type(resource: Any) -> str:
    return str(resource.get("resourceType", "")) if isinstance(resource, dict) else ""


def _any_profile(urls: tuple[str, ...], value: Any, path: str) -> Iterator[Issue]:
    """Yield what is wrong where the value fits none of the profiles that are known."""
    known = [url for url in urls if is_known(url)]
    if not known or not isinstance(value, dict) or len(known) < len(urls):
        return
    roots = [_profiles()[url]["root"] for url in known]
    roots.sort(key=lambda root: _lacks(root, value))
    if all(any(True for _ in _node(root, value, path)) for root in roots):
        yield from min((list(_node(root, value, path)) for root in roots), key=len)


def _lacks(root: Node, value: Node) -> int:
    """Return how many elements a value lacks that a profile makes mandatory: a first look."""
    children = root.get("children", {}).items()
    return sum(1 for name, child in children if child.get("min") and not _keys(name, value))


def _child(node: Node, name: str, parent: Node, path: str) -> Iterator[Issue]:
    keys = _keys(name, parent)
    here = f"{path}.{name.removesuffix('[x]').lstrip('_')}"
    values = [value for key in keys for value in _listed(parent[key])]
    yield from _counted(node, len(values), here)
    types = node.get("types")
    if types and name.endswith("[x]"):
        allowed = {name.removesuffix("[x]") + code[0].upper() + code[1:] for code in types}
        if not allowed.issuperset(keys):
            yield Issue("structure", f"The profile takes {', '.join(types)} here.", here)
            return
    many = any(isinstance(parent[key], list) for key in keys)
    places = [f"{here}[{index}]" if many else here for index in range(len(values))]
    for value, place in zip(values, places, strict=True):
        yield from _node(node, value, place)
    if "slices" in node:
        yield from _slices(node, values, places, here)


def _keys(name: str, parent: Node) -> list[str]:
    if not name.endswith("[x]"):
        return [name] if name in parent else []
    stem = name.removesuffix("[x]")
    return [k for k in parent if k.startswith(stem) and k[len(stem) : len(stem) + 1].isupper()]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _counted(node: Node, count: int, path: str, what: str = "") -> Iterator[Issue]:
    least, most = node.get("min", 0), node.get("max", "*")
    if count < least:
        yield Issue("required", f"The profile asks for at least {least}{what}.", path)
    if most != "*" and count > int(most):
        yield Issue("structure", f"The profile takes at most {most}{what}.", path)


def _slices(node: Node, values: list[Any], places: list[str], path: str) -> Iterator[Issue]:
    counts = dict.fromkeys((one["name"] for one in node["slices"]), 0)
    for value, place in zip(values, places, strict=True):
        own = next((one for one in node["slices"] if _is_of(one, value)), None)
        if own is not None:
            counts[own["name"]] += 1
            yield from _node(own, value, place)
        elif node.get("closed"):
            yield Issue("structure", "The profile takes none but its own slices here.", place)
    for one in node["slices"]:
        yield from _counted(one, counts[one["name"]], path, f" of {one['name']}")


def _is_of(one: Node, value: Any) -> bool:
    return all(_TESTS[kind](expected, _at(path, value)) for path, kind, expected in one["where"])


def _at(path: list[str], value: Any) -> Any:
    for step in path:
        name, _, url = step.partition("=")
        if not isinstance(value, dict):
            return None
        if name.endswith("[x]"):
            value = next((value[key] for key in _keys(name, value)), None)
        else:
            value = value.get(name)
        if url:
            value = next((one for one in value or () if one.get("url") == url), None)
    return value


def _fits(pattern: Any, value: Any) -> bool:
    """Tell whether a value holds all that a pattern says (elementdefinition.html#pattern)."""
    if isinstance(pattern, dict):
        return isinstance(value, dict) and all(_fits(p, value.get(k)) for k, p in pattern.items())
    if isinstance(pattern, list):
        return isinstance(value, list) and all(any(_fits(p, v) for v in value) for p in pattern)
    return bool(pattern == value)


def _has_code(codes: list[list[str]], value: Any) -> bool:
    """Tell whether a code, Coding or CodeableConcept has one of the (system, code) pairs."""
    if isinstance(value, str):
        return any(code == value for _, code in codes)
    if not isinstance(value, dict):
        return False
    codings = value.get("coding", []) if "coding" in value else [value]
    return any([c.get(_SYSTEM, ""), c.get(_CODE)] in codes for c in codings)


def _is_type(types: list[str], value: Any) -> bool:
    return isinstance(value, dict) and value.get("resourceType") in types


_TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "fixed": lambda expected, value: bool(expected == value),
    "pattern": _fits,
    "codes": _has_code,
    "types": _is_type,
    "exists": lambda expected, value: expected == (value is not None),
}
