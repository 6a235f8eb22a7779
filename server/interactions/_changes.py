"""The three patch formats, read into a function of the resource's JSON.

Sources: RFC 6902 (by the library jsonpatch), RFC 7386, FHIR R4 fhirpatch.html.
"""

import copy
import re
from collections.abc import Callable, Iterator
from typing import Any

import jsonpatch
import jsonpointer

from fhir_profiles import codec
from server import definitions
from server.errors import BadRequest, Issue, Unprocessable, UnsupportedMediaType

Change = Callable[[Any], Any]
OPERATIONS_LIMIT, SIZE_LIMIT = 1000, 10 * 1024 * 1024
JSON_PATCH = "application/json-patch+json"
MERGE_PATCHES = ("application/merge-patch+json", "application/json")
FHIR_PATCH = "application/fhir+json"
_OPERATIONS = ("add", "remove", "replace", "move", "copy", "test")
_STEP = re.compile(
    r"where\((?P<key>\w+)\s*=\s*(?:'(?P<text>[^']*)'|(?P<word>\w+))\)|(?P<first>first)\(\)"
    r"|(?:ofType|as)\((?P<type>\w+)\)|(?P<name>[A-Za-z]\w*)(?:\[(?P<index>\d{1,6})\])?"
)


def read(content_type: str, body: Any) -> Change:
    """Return the change that `body` asks for. Raises BadRequest where it is malformed."""
    if content_type == JSON_PATCH:
        return _json_patch(body)
    if content_type == FHIR_PATCH:
        return _fhir_patch(body)
    if content_type in MERGE_PATCHES:
        if not isinstance(body, dict):
            raise BadRequest("A merge patch is a JSON object.")
        if body.get("resourceType") == "Parameters":
            return _fhir_patch(body)
        return lambda resource: _merged(resource, body)
    raise UnsupportedMediaType(
        f"Expected {JSON_PATCH}, {MERGE_PATCHES[0]} or {FHIR_PATCH} with Parameters."
    )


def _merged(target: Any, wish: Any) -> Any:
    """Return `target` merged with `wish`; null takes a member away (RFC 7386)."""
    if not isinstance(wish, dict):
        return wish
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in wish.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merged(merged.get(key), value)
    return merged


def _json_patch(body: Any) -> Change:
    if not isinstance(body, list) or len(body) > OPERATIONS_LIMIT:
        raise BadRequest(f"A JSON Patch is a list of up to {OPERATIONS_LIMIT} operations.")
    for place, operation in enumerate(body):
        _check_operation(operation, f"[{place}]")
    try:
        steps = [jsonpatch.JsonPatch([operation]) for operation in body]
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException) as error:
        raise BadRequest("A path is no JSON Pointer.") from error

    def change(resource: Any) -> Any:
        try:
            for step in steps:
                resource = step.apply(resource)
                _check_growth(step, resource)
        except jsonpatch.JsonPatchTestFailed as error:
            raise Unprocessable("A test of the patch failed.", expression="test") from error
        except (
            jsonpatch.JsonPatchException,
            jsonpointer.JsonPointerException,
            KeyError,
            IndexError,
            TypeError,
            ValueError,
        ) as error:
            raise Unprocessable(
                "An operation of the patch names a place that is not there."
            ) from error
        return resource

    return change


def _check_growth(step: jsonpatch.JsonPatch, resource: Any) -> None:
    """Refuse a patch that copies a resource into itself again and again."""
    if step.patch[0]["op"] == "copy" and len(codec.encode(resource)) > SIZE_LIMIT:
        raise Unprocessable("The patch makes the resource too large.", expression="copy")


def _check_operation(operation: Any, place: str) -> None:
    if not isinstance(operation, dict) or operation.get("op") not in _OPERATIONS:
        raise BadRequest(f"Expected op of {', '.join(_OPERATIONS)}.", expression=place)
    needed = ["path"]
    if operation["op"] in ("move", "copy"):
        needed.append("from")
    for name in needed:
        text = operation.get(name)
        if not isinstance(text, str) or (text and not text.startswith("/")):
            raise BadRequest(f"{name} must be a JSON Pointer.", expression=f"{place}.{name}")
    if operation["op"] in ("add", "replace", "test") and "value" not in operation:
        raise BadRequest("value is required.", expression=f"{place}.value")


# FHIRPath Patch: a Parameters of operations, each with type, path and what it needs.


def _fhir_patch(body: Any) -> Change:
    if not isinstance(body, dict) or body.get("resourceType") != "Parameters":
        raise BadRequest("A FHIRPath Patch is a Parameters.", expression="resourceType")
    parameters = body.get("parameter")
    if not isinstance(parameters, list) or len(parameters) > OPERATIONS_LIMIT:
        raise BadRequest("Expected operations.", expression="Parameters.parameter")
    steps = [_fhir_operation(p, f"Parameters.parameter[{n}]") for n, p in enumerate(parameters)]

    def change(resource: Any) -> Any:
        changed = codec.decode(codec.encode(resource))
        for step in steps:
            step(changed)
        return changed

    return change


def _fhir_operation(parameter: Any, place: str) -> Callable[[dict[str, Any]], None]:
    parts = parameter.get("part") if isinstance(parameter, dict) else None
    if not isinstance(parts, list) or parameter.get("name") != "operation":
        raise BadRequest("Expected a parameter operation with parts.", expression=place)
    values: dict[str, Any] = {}
    for part in parts:
        if not isinstance(part, dict) or not isinstance(part.get("name"), str):
            raise BadRequest("Expected a part with a name.", expression=place)
        values[part["name"]] = _part_value(part)
    kind, path = values.get("type"), values.get("path")
    action = _ACTIONS.get(kind) if isinstance(kind, str) else None
    if action is None:
        raise BadRequest(f"Expected type of {', '.join(_ACTIONS)}.", expression=place)
    if not isinstance(path, str):
        raise BadRequest("path is required.", expression=place)
    _check_needed(str(kind), values, place)
    steps = _read_path(path, place)
    return lambda resource: action(resource, steps, values, place)


def _check_needed(kind: str, values: dict[str, Any], place: str) -> None:
    for name, wanted in _NEEDED[kind].items():
        value = values.get(name)
        is_wrong = not isinstance(value, wanted) or (wanted is int and isinstance(value, bool))
        if name not in values or is_wrong:
            raise BadRequest(f"{name} is required.", expression=place)


_NEEDED: dict[str, dict[str, type]] = {
    "add": {"name": str, "value": object},
    "insert": {"index": int, "value": object},
    "delete": {},
    "replace": {"value": object},
    "move": {"source": int, "destination": int},
}


def _part_value(part: dict[str, Any]) -> Any:
    """Return value[x], or an object of nested parts (for values of backbone elements)."""
    for key, value in part.items():
        if key.startswith("value") or key == "resource":
            return value
    nested: dict[str, Any] = {}
    for one in part.get("part", ()):
        if isinstance(one, dict) and isinstance(one.get("name"), str):
            name, value = one["name"], _part_value(one)
            known = nested.get(name)
            nested[name] = value if known is None else [*_listed(known), value]
    return nested


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _read_path(path: str, place: str) -> list[re.Match[str]]:
    steps, start = [], 0
    while start < len(path):
        found = _STEP.match(path, start)
        if found is None or (found.end() < len(path) and path[found.end()] != "."):
            raise BadRequest(
                issues=[
                    Issue("not-supported", "The path is beyond what a patch takes here.", place)
                ]
            )
        steps.append(found)
        start = found.end() + 1
    if not steps or path.endswith("."):
        raise BadRequest("The path is empty.", expression=place)
    return steps


# A place is (container, key): container[key] is the value; the root's container is a list of one.
Place = tuple[Any, Any]


def _located(resource: dict[str, Any], steps: list[re.Match[str]]) -> list[tuple[Place, str]]:
    """Return every place that the steps lead to, with the type of what stands there."""
    found: list[tuple[Place, str]] = [(([resource], 0), resource["resourceType"])]
    if steps[0]["name"] in (resource["resourceType"], "Resource", "DomainResource"):
        steps = steps[1:]
    for step in steps:
        found = list(_stepped(found, step))
    return found


def _stepped(found: list[tuple[Place, str]], step: re.Match[str]) -> Iterator[tuple[Place, str]]:
    if step["first"]:
        yield from found[:1]
        return
    children = list(_narrowed(found, step))
    if step["index"] is not None:
        children = children[int(step["index"]) : int(step["index"]) + 1]
    yield from children


def _narrowed(found: list[tuple[Place, str]], step: re.Match[str]) -> Iterator[tuple[Place, str]]:
    for (container, key), type_name in found:
        node = container[key]
        if step["key"]:
            wanted = {"true": True, "false": False}.get(step["word"] or "", step["word"])
            wanted = step["text"] if step["text"] is not None else wanted
            if isinstance(node, dict) and node.get(step["key"]) == wanted:
                yield (container, key), type_name
        elif step["type"]:
            if type_name == step["type"]:
                yield (container, key), type_name
        elif isinstance(node, dict):
            for name, code in _slots(type_name, step["name"]):
                yield from _children(node, name, code)


def _children(node: dict[str, Any], name: str, code: str) -> Iterator[tuple[Place, str]]:
    value = node.get(name)
    if isinstance(value, list):
        yield from (((value, index), code) for index in range(len(value)))
    elif value is not None:
        yield (node, name), code


def _slots(type_name: str, name: str) -> list[tuple[str, str]]:
    element = (definitions.elements(type_name) or {}).get(name)
    return [(key, code) for key, code, _ in element.slots()] if element else []


def _sole(resource: dict[str, Any], steps: list[re.Match[str]], place: str) -> tuple[Place, str]:
    found = _located(resource, steps)
    if len(found) != 1:
        raise Unprocessable("The path must name exactly one element.", expression=place)
    return found[0]


def _add(
    resource: dict[str, Any], steps: list[re.Match[str]], values: dict[str, Any], place: str
) -> None:
    (container, key), type_name = _sole(resource, steps, place)
    node, name = container[key], values["name"]
    if not isinstance(node, dict):
        raise Unprocessable("Only an element with children can be added to.", expression=place)
    element = (definitions.elements(type_name) or {}).get(name)
    if element is not None and element.many and isinstance(node.get(name, []), list):
        node.setdefault(name, []).append(copy.deepcopy(values["value"]))
    elif name in node:
        raise Unprocessable("The element is there already.", expression=place)
    else:
        node[name] = copy.deepcopy(values["value"])


def _list_of(resource: dict[str, Any], steps: list[re.Match[str]], place: str) -> list[Any]:
    """Return the list that a path to a repeating element names."""
    found = _located(resource, steps)
    if not found or not isinstance(found[0][0][0], list) or found[0][0][0] == [resource]:
        raise Unprocessable("The path must name a list that is there.", expression=place)
    items: list[Any] = found[0][0][0]
    return items


def _insert(
    resource: dict[str, Any], steps: list[re.Match[str]], values: dict[str, Any], place: str
) -> None:
    items, index = _list_of(resource, steps, place), values["index"]
    if not 0 <= index <= len(items):
        raise Unprocessable("The index is outside the list.", expression=place)
    items.insert(index, copy.deepcopy(values["value"]))


def _delete(
    resource: dict[str, Any], steps: list[re.Match[str]], _values: dict[str, Any], place: str
) -> None:
    if not _located(resource, steps):
        return  # nothing to delete is no error (fhirpatch.html)
    (container, key), _ = _sole(resource, steps, place)
    if key == 0 and container == [resource]:
        raise Unprocessable("A resource cannot be deleted by a patch.", expression=place)
    del container[key]
    if container == []:
        _drop_empty(resource)


def _drop_empty(node: Any) -> None:
    """Take away lists that became empty: FHIR has no empty arrays (json.html)."""
    if isinstance(node, dict):
        for key in [k for k, v in node.items() if v == []]:
            del node[key]
        for value in node.values():
            _drop_empty(value)
    elif isinstance(node, list):
        for value in node:
            _drop_empty(value)


def _replace(
    resource: dict[str, Any], steps: list[re.Match[str]], values: dict[str, Any], place: str
) -> None:
    (container, key), _ = _sole(resource, steps, place)
    if container == [resource]:
        raise Unprocessable("A resource cannot be replaced by a patch.", expression=place)
    container[key] = copy.deepcopy(values["value"])


def _move(
    resource: dict[str, Any], steps: list[re.Match[str]], values: dict[str, Any], place: str
) -> None:
    items = _list_of(resource, steps, place)
    source, destination = values["source"], values["destination"]
    if not (0 <= source < len(items) and 0 <= destination < len(items)):
        raise Unprocessable("The index is outside the list.", expression=place)
    items.insert(destination, items.pop(source))


_ACTIONS: dict[str, Callable[[dict[str, Any], list[re.Match[str]], dict[str, Any], str], None]] = {
    "add": _add,
    "insert": _insert,
    "delete": _delete,
    "replace": _replace,
    "move": _move,
}
