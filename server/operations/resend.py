"""[type]/[id]/$resend: tell Subscriptions of a resource once more, as if it had just been stored.

Ours, after Medplum's operation of this name. What goes out is a new event, with an id and a number
of its own; $redeliver and Subscription/[id]/$resend send events that were.
"""

from typing import Any

from fhir_profiles import systems
from server.errors import BadRequest, NotFound
from server.interactions import _write
from server.interactions._write import Writing
from server.operations.operation import INSTANCE, Call, Operation

_SUBSCRIPTION = "Subscription/"


def resend(call: Call) -> dict[str, Any]:
    """Make an event of the current version; return the `count` of Subscriptions that hear of it.

    `subscription` (Subscription/id) is the only one to hear.
    """
    only = call.first("subscription")
    if only and not only.startswith(_SUBSCRIPTION):
        raise BadRequest("Expected Subscription/id.", expression="subscription")

    def work(writing: Writing) -> int:
        name = only.removeprefix(_SUBSCRIPTION)
        if only and call.engine.hooks.named(writing.connection, name) is None:
            raise NotFound("There is no such Subscription.")
        return writing.tell_again(call.type, call.id, name)

    _write.known_type(call.type)
    count = _write.transact(call.engine, call.origin, work)
    parameter = {"name": "count", "valueUnsignedInt": count}
    return {"resourceType": "Parameters", "parameter": [parameter]}


OPERATION = Operation(
    "resend",
    f"{systems.BASE}/OperationDefinition/resource-resend",
    (INSTANCE,),
    resend,
    parameters=("subscription",),
    needs=("this.r", "Subscription.u"),
)
