"""$meta: the profiles, tags and security labels in use, of the system, a type or an instance.

Source: FHIR R4 resource-operation-meta.html.
"""

from typing import Any

from fhir_profiles import codec
from server.interactions import read
from server.operations.operation import INSTANCE, SYSTEM, TYPE, Call, Operation
from server.store import labels


def meta(call: Call) -> dict[str, Any]:
    """Return a Parameters with one valueMeta."""
    if call.id:
        found = codec.decode(read.read(call.engine, call.type, call.id).body)["meta"]
    else:
        with call.engine.database.read() as connection:
            found = labels.in_use(connection, call.type)
    return answer(found)


def answer(found: dict[str, Any]) -> dict[str, Any]:
    """Return the Parameters that hold a Meta; an empty one where there is nothing."""
    parameter = {"name": "return", **({"valueMeta": found} if found else {})}
    return {"resourceType": "Parameters", "parameter": [parameter]}


OPERATION = Operation(
    "meta",
    "http://hl7.org/fhir/OperationDefinition/Resource-meta",
    (SYSTEM, TYPE, INSTANCE),
    meta,
    methods=("GET", "POST"),
    needs=("this.rs",),
)
