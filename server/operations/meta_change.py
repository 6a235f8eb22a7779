"""$meta-add and $meta-delete: profiles, tags and security labels of one resource.

Source: FHIR R4 resource-operation-meta-add.html, resource-operation-meta-delete.html.
"""

from collections.abc import Callable
from typing import Any

from fhir_profiles import codec
from server.errors import BadRequest
from server.interactions import patch
from server.operations.operation import INSTANCE, Call, Operation

_LABELS = ("profile", "tag", "security")
Combine = Callable[[list[Any], list[Any]], list[Any]]


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, dict) and isinstance(right, dict):
        return all(left.get(key) == right.get(key) for key in ("system", "code"))
    return bool(left == right)


def _add(there: list[Any], given: list[Any]) -> list[Any]:
    return there + [one for one in given if not any(_same(one, other) for other in there)]


def _remove(there: list[Any], given: list[Any]) -> list[Any]:
    return [one for one in there if not any(_same(one, other) for other in given)]


def _changer(combine: Combine) -> Callable[[Call], dict[str, Any]]:
    def run(call: Call) -> dict[str, Any]:
        given = next(iter(call.parts("meta")), None)
        if not isinstance(given, dict):
            raise BadRequest("Expected Parameters with meta as valueMeta.", expression="meta")

        def change(resource: dict[str, Any]) -> dict[str, Any]:
            meta = dict(resource["meta"])
            for label in _LABELS:
                wish = given.get(label, [])
                if not isinstance(wish, list):
                    raise BadRequest("Expected a list.", expression=f"meta.{label}")
                meta[label] = combine(meta.get(label, []), wish)
            return {**resource, "meta": {k: v for k, v in meta.items() if v != []}}

        saved = patch.patch(
            call.engine, call.type, call.id, change, if_match=None, origin=call.origin
        )
        changed = codec.decode(saved.body or b"{}")
        parameter = {"name": "return", "valueMeta": changed["meta"]}
        return {"resourceType": "Parameters", "parameter": [parameter]}

    return run


ADD = Operation(
    "meta-add",
    "http://hl7.org/fhir/OperationDefinition/Resource-meta-add",
    (INSTANCE,),
    _changer(_add),
    needs=("this.ru",),
)
DELETE = Operation(
    "meta-delete",
    "http://hl7.org/fhir/OperationDefinition/Resource-meta-delete",
    (INSTANCE,),
    _changer(_remove),
    needs=("this.ru",),
)
