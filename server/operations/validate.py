"""$validate: says what is wrong with a resource without storing it.

Source: FHIR R4 resource-operation-validate.html. The answer is always 200 with an OperationOutcome.
"""

from typing import Any

from server.errors import FhirError, Issue, outcome
from server.interactions import _write
from server.interactions.engine import Engine
from server.operations.operation import Operation


def validate(engine: Engine, type_name: str, _fhir_id: str, body: Any) -> dict[str, Any]:
    """Return every problem of `body`, a resource or Parameters that hold one as `resource`."""
    resource = body
    if isinstance(body, dict) and body.get("resourceType") == "Parameters" != type_name:
        parts = body.get("parameter", [])
        resource = next((p.get("resource") for p in parts if p.get("name") == "resource"), None)
    try:
        _write.check(engine, type_name, resource)
    except FhirError as error:
        return outcome(error.issues)
    return outcome([Issue("informational", "The resource is valid.")], "information")


OPERATION = Operation(
    "validate", "http://hl7.org/fhir/OperationDefinition/Resource-validate", validate
)
