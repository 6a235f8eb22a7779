"""Compile the profiles of an implementation guide into the constraints that validation enforces.

Run by hand: `python tools/build_profiles.py FOLDER NAME`. FOLDER holds the guide's published
StructureDefinitions with snapshots and its ValueSets, as JSON; the result is
fhir_profiles/structure_definitions/NAME.json. Only what narrows R4 is kept: cardinality, fixed
values and patterns, required codes that can be listed, types, invariants, and slices that can be
told apart. Beside it, `sent` is the tree of elements that are must-support or mandatory, with the
URLs of such extensions: what a client sends when it sends no more than that.
"""

import argparse
import json
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from server import definitions

Json = dict[str, Any]
TARGET = Path(__file__).parent.parent / "fhir_profiles" / "structure_definitions"
FHIR = "http://hl7.org/fhir/StructureDefinition/"
TAKEN_APART = {"BackboneElement", "Element", "HumanName", "Address", "ContactPoint", "Attachment"}
_SEGMENT = re.compile(r"extension\('(?P<url>[^']+)'\)|ofType\(\w+\)|(?P<name>\$?\w+)")


def main() -> None:
    """Read the guide and write its constraints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="a folder of StructureDefinition-*.json")
    parser.add_argument("name", help="name of the file to write, such as davinci-pas-2.2.1")
    chosen = parser.parse_args()
    found = [json.loads(path.read_text("utf-8")) for path in sorted(chosen.folder.glob("*.json"))]
    sets = {item["url"]: item for item in found if item.get("resourceType") == "ValueSet"}
    profiles = [
        {"url": item["url"], "type": item["type"], "root": _tree(item, sets)}
        | ({"sent": _sent(item)} if item["kind"] == "resource" else {})
        for item in found
        if item.get("resourceType") == "StructureDefinition" and _is_profile(item)
    ]
    TARGET.mkdir(exist_ok=True)
    path = TARGET / f"{chosen.name}.json"
    lines = ",\n".join(json.dumps(one, sort_keys=True) for one in profiles)
    path.write_text(f"[\n{lines}\n]\n", "utf-8")
    print(f"{path.name}: {len(profiles)} profiles, {path.stat().st_size:,} bytes")


def _is_profile(item: Json) -> bool:
    return item.get("derivation") == "constraint" and "snapshot" in item


def _tree(item: Json, sets: dict[str, Json]) -> Json:
    first, *others = item["snapshot"]["element"]
    root: Json = _rules(first)
    for element in others:
        node = root
        for segment in element["id"].split(".")[1:]:
            node = _step(node, segment)
        node.update(_constraints(element, sets))
    _settle(root)
    return root


def _sent(item: Json) -> Json:
    """Return the tree of what is must-support, and of what is mandatory where that stands.

    A value of a type that is not taken apart here is sent as it is.
    """
    tree: Json = {}
    listed = item["snapshot"]["element"][1:]
    whole = {
        tuple(_plain_path(element)) for element in listed
        if not {entry["code"] for entry in element.get("type", [])} & TAKEN_APART
    }  # fmt: skip
    for element in listed:
        if element.get("mustSupport"):
            _plant(tree, element, listed, whole)
    for element in listed:
        path = _plain_path(element)
        if element["min"] and "xtension" not in element["id"] and _holds(tree, path[:-1]):
            _plant(tree, element, listed, whole)
    return tree


def _plant(tree: Json, element: Json, listed: list[Json], whole: set[tuple[str, ...]]) -> None:
    node, path = tree, _plain_path(element)
    for place, name in enumerate(path):
        if tuple(path[:place]) in whole:
            return
        if name in ("extension", "modifierExtension"):
            url = _extension_url(element, listed)
            if place == len(path) - 1 and url and url not in node.setdefault(name, []):
                node[name].append(url)
            return
        node = node.setdefault(name, {})


def _plain_path(element: Json) -> list[str]:
    """Return the names that lead to an element; a type of a choice stands for the choice."""
    return [segment.partition(":")[0] for segment in element["id"].split(".")[1:]]


def _holds(tree: Json, path: list[str]) -> bool:
    for name in path:
        if name not in tree:
            return False
        tree = tree[name]
    return True


def _extension_url(element: Json, listed: list[Json]) -> str:
    profiles = [url for one in element.get("type", []) for url in one.get("profile", [])]
    if profiles:
        return str(profiles[0]).partition("|")[0]
    own = f"{element['id']}.url"
    return next((str(e.get("fixedUri", "")) for e in listed if e["id"] == own), "")


def _step(node: Json, segment: str) -> Json:
    """Return the child, or the slice of a child, that one part of an element's id names."""
    name, _, slice_name = segment.partition(":")
    child: Json = node.setdefault("children", {}).setdefault(name, {})
    if not slice_name:
        return child
    for one in child.setdefault("slices", []):
        if one["name"] == slice_name:
            there: Json = one
            return there
    made: Json = {"name": slice_name}
    child["slices"].append(made)
    return made


def _constraints(element: Json, sets: dict[str, Json]) -> Json:
    base = element.get("base", {})
    found: Json = {}
    if element["min"] > base.get("min", 0) or ":" in element["id"].rsplit(".", 1)[-1]:
        found["min"] = element["min"]
    if element["max"] != base.get("max", "*"):
        found["max"] = element["max"]
    for key, value in element.items():
        if key.startswith(("fixed", "pattern")):
            found["fixed" if key.startswith("fixed") else "pattern"] = value
    types = element.get("type", [])
    codes = [entry["code"] for entry in types if "/" not in entry["code"]]
    profiles = [
        url.partition("|")[0]
        for entry in types
        for url in entry.get("profile", [])
        if not url.startswith(FHIR)
    ]
    listed = {
        "codes": _codes(element.get("binding", {}), sets),
        "types": [] if codes == ["Resource"] else codes,
        "profiles": profiles,
        "targets": _targets(types),
    }
    found |= {key: value for key, value in listed.items() if value}
    found |= _rules(element)
    if "slicing" in element:
        given = element["slicing"].get("discriminator", [])
        found["by"] = [[d["type"], _segments(d["path"])] for d in given]
        found["closed"] = element["slicing"].get("rules") == "closed"
    return found


def _targets(types: list[Json]) -> list[str]:
    """Return what a reference is to lead to, where the guide says more of it than its type."""
    found = [url.partition("|")[0] for one in types for url in one.get("targetProfile", [])]
    return found if any(not url.startswith(FHIR) for url in found) else []


def _rules(element: Json) -> Json:
    """Return the invariants of an element that are the guide's and can be asked."""
    place = element["path"].replace("[x]", "")
    rules = [
        [c["key"], c["expression"], c["human"], place]
        for c in element.get("constraint", [])
        if c["severity"] == "error" and c["key"] not in _own() and "memberOf" not in c["expression"]
    ]
    return {"rules": rules} if rules else {}


@cache
def _own() -> set[str]:
    """Return the keys of R4's own invariants, which are asked of every resource."""
    return {key for name in definitions.types() for key, _, _ in definitions.constraints(name)}


def _segments(path: str) -> list[str]:
    """Return the steps of a discriminator; "value" is the value[x] of an extension before it."""
    steps: list[str] = []
    for found in _SEGMENT.finditer(path):
        if found["url"]:
            steps.append(f"extension={found['url']}")
        elif found["name"] == "value" and steps and steps[-1].startswith("extension="):
            steps.append("value[x]")
        elif found["name"] and found["name"] != "$this":
            steps.append(found["name"])
    return steps


def _codes(binding: Json, sets: dict[str, Json]) -> list[list[str]] | None:
    """Return the (system, code) pairs of a required value set that lists them."""
    if binding.get("strength") != "required":
        return None
    found = sets.get(binding.get("valueSet", "").partition("|")[0], {})
    pairs: list[list[str]] = []
    for include in found.get("compose", {}).get("include", []):
        if "concept" not in include:
            return None
        pairs += [[include.get("system", ""), c["code"]] for c in include["concept"]]
    return pairs


def _settle(node: Json) -> None:
    """Turn discriminators into what each slice's values look like, and drop what says nothing."""
    _unfold(node)
    by = node.pop("by", None)
    slices = node.pop("slices", [])
    kept = [one for one in slices if by and _find(one, by)]
    if kept:
        node["slices"] = kept
    if len(kept) < len(slices) or not node.get("closed"):
        node.pop("closed", None)
    for one in node.get("slices", []):
        _settle(one)
        one.pop("types", None)
    for name, child in list(node.get("children", {}).items()):
        _settle(child)
        if not name.endswith("[x]"):
            child.pop("types", None)
        if not child:
            del node["children"][name]
    if not node.get("children", True):
        del node["children"]


def _unfold(node: Json) -> None:
    """Let slices of a choice that go by its type be children under the key of that type."""
    children = node.get("children", {})
    for name, child in list(children.items()):
        if name.endswith("[x]") and child.get("by") == [["type", []]]:
            for one in child.pop("slices", []):
                (code,) = one.pop("types")
                one.pop("name")
                children[name.removesuffix("[x]") + code[0].upper() + code[1:]] = one


def _find(one: Json, by: list[list[Any]]) -> bool:
    """Write down how the values of a slice are known; tell whether they can be."""
    where = []
    for kind, path in by:
        expected = _expected(one, kind, path)
        if expected is None:
            return False
        where.append([path, *expected])
    one["where"] = where
    return True


def _expected(one: Json, kind: str, path: list[str]) -> list[Any] | None:
    if path == ["url"] and one.get("profiles"):
        return ["fixed", one["profiles"][0]]
    node = _at(one, path)
    if node is None:
        return None
    if kind == "type":
        return ["types", node["types"]] if node.get("types") else None
    if kind == "exists":
        return ["exists", node.get("max") != "0"]
    for key in ("fixed", "pattern", "codes"):
        if key in node:
            return [key, node[key]]
    return None


def _at(node: Json, path: list[str]) -> Json | None:
    found: Json | None = node
    for step in path:
        name, _, url = step.partition("=")
        found = (found or {}).get("children", {}).get(name)
        if url:
            slices = (found or {}).get("slices", [])
            found = next((one for one in slices if url in one.get("profiles", ())), None)
    return found


if __name__ == "__main__":
    main()
