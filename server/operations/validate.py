"""$validate: says what is wrong with a resource without storing it.

Source: FHIR R4 resource-operation-validate.html. The answer is always 200 with an OperationOutcome.
"""

from typing import Any

from fhir_profiles import codec
from server.errors import BadRequest, FhirError, Issue, outcome
from server.interactions import _write, read
from server.operations.operation import INSTANCE, TYPE, Call, Operation
from server.validation import check as validation
from server.validation import constraints

_MODES = ("create", "update", "delete", "profile")


def validate(call: Call) -> dict[str, Any]:
    """Return every problem of the body, a resource or Parameters that hold one as `resource`.

    `mode` asks whether it could be created, updated or deleted; `profile` holds it against that
    profile, too. Raises BadRequest where no resource is given and none is addressed.
    """
    mode, profile = call.first("mode"), call.first("profile")
    if mode and mode not in _MODES:
        raise BadRequest(f"Expected mode of {', '.join(_MODES)}.", expression="mode")
    try:
        issues = list(_issues(call, mode, profile))
    except FhirError as error:
        issues = list(error.issues)
    if issues:
        return outcome(issues)
    return outcome([Issue("informational", "The resource is valid.")], "information")


def _issues(call: Call, mode: str, profile: str) -> list[Issue]:
    if mode == "delete":
        if call.id:
            read.read(call.engine, call.type, call.id)
        return []
    resource = _resource(call)
    issues = validation.against(resource, profile) if profile else []
    try:
        _write.check(call.engine, call.type, resource)
    except FhirError as error:
        issues = [*error.issues, *(one for one in issues if one not in error.issues)]
    if not issues:
        issues = constraints.check(resource)
    if isinstance(resource, dict):
        issues += _identity(call, mode, resource)
    return issues


def _resource(call: Call) -> Any:
    body = call.body
    wrapped = isinstance(body, dict) and body.get("resourceType") == "Parameters" != call.type
    resource = next(iter(call.parts("resource")), None) if wrapped else body
    if resource is None and call.id:
        return codec.decode(read.read(call.engine, call.type, call.id).body)
    return resource


def _identity(call: Call, mode: str, resource: dict[str, Any]) -> list[Issue]:
    given = resource.get("id")
    if mode == "update" and not given:
        return [Issue("required", "An update needs an id.", f"{call.type}.id")]
    if mode == "update" and call.id and given != call.id:
        return [Issue("invalid", "The id is not the one of the URL.", f"{call.type}.id")]
    return []


OPERATION = Operation(
    "validate",
    "http://hl7.org/fhir/OperationDefinition/Resource-validate",
    (TYPE, INSTANCE),
    validate,
    needs=("this.r",),
)
