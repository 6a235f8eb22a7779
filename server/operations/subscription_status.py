"""Subscription/$status: how Subscriptions stand, with the number of events each has had.

Source: Subscriptions R5 Backport 1.1, OperationDefinition-backport-subscription-status.
"""

from typing import Any

from fhir_profiles import systems
from server.errors import NotFound
from server.operations.operation import INSTANCE, TYPE, Call, Operation
from server.store import deliveries
from server.subscriptions import notification


def status(call: Call) -> dict[str, Any]:
    """Return a searchset Bundle with one SubscriptionStatus for each.

    On the type, `id` and `status` choose, each with several values; on an instance it is that one.
    """
    ids, statuses = ({call.id}, set()) if call.id else (call.all("id"), call.all("status"))
    entries = []
    with call.engine.database.read() as connection:
        for hook in call.engine.hooks.by_row(connection).values():
            if (ids and hook.id not in ids) or (statuses and hook.status not in statuses):
                continue
            count = deliveries.events_so_far(connection, hook.rid)
            entries.append(
                {
                    "fullUrl": f"{call.engine.base}/Subscription/{hook.id}/$status",
                    "resource": notification.status_parameters(
                        hook, call.engine.base, count, kind=notification.QUERY_STATUS,
                        content=hook.content, error=hook.error,
                    ),
                    "search": {"mode": "match"},
                }
            )  # fmt: skip
    if call.id and not entries:
        raise NotFound("There is no such Subscription.")
    found = {"resourceType": "Bundle", "type": "searchset", "total": len(entries)}
    return found | ({"entry": entries} if entries else {})


OPERATION = Operation(
    "status",
    f"{systems.BACKPORT}/OperationDefinition/backport-subscription-status",
    (TYPE, INSTANCE),
    status,
    types=("Subscription",),
    methods=("GET", "POST"),
    parameters=("id", "status"),
    needs=("Subscription.rs",),
)
