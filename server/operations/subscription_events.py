"""Subscription/[id]/$events and $resend: events that were, by their numbers, for who missed some.

Source: Subscriptions R5 Backport 1.1, OperationDefinition-backport-subscription-events, and 1.2
ballot, OperationDefinition-backport-subscription-resend.
"""

from typing import Any

from fhir_profiles import systems
from server.errors import BadRequest
from server.interactions import _write
from server.interactions._write import Writing
from server.operations.operation import DIGITS, INSTANCE, Answer, Call, Operation
from server.search.values import micros
from server.store import deliveries
from server.subscriptions import notification
from server.subscriptions.criteria import CONTENTS
from server.subscriptions.hook import FULL

LIMIT = 1000
_SINCE, _UNTIL = "eventsSinceNumber", "eventsUntilNumber"


def events(call: Call) -> Answer:
    """Return a history Bundle of events, both ends included, at most LIMIT of them.

    `content` is a hint: empty, id-only or full-resource instead of what the Subscription says.
    """
    content = call.first("content")
    if content not in ("", *CONTENTS):
        raise BadRequest(f"Expected {', '.join(CONTENTS)}.", expression="content")
    since, until = span(call)
    with call.engine.database.read() as connection:
        hook = call.hook(connection)
        count = deliveries.events_so_far(connection, hook.rid)
        found = deliveries.numbered(connection, hook.rid, since, until, LIMIT)
    call.origin.caller.demand(f"{due.type}.r" for due in found)
    body = notification.bundle(
        hook, call.engine.base, count, found, kind=notification.QUERY_EVENT,
        uid=call.engine.new_id(), at=micros(call.engine.now()),
        content=content or hook.content or FULL,
    )  # fmt: skip
    return Answer(body)


def span(call: Call) -> tuple[int, int]:
    """Return the first and last event number that a call names; from 1 to the end if it does not.

    Raises BadRequest where one is no number.
    """
    return call.number(_SINCE, 1), call.number(_UNTIL, 10**DIGITS - 1)


def resend(call: Call) -> dict[str, Any]:
    """Let events go out once more, as they were; return the `count` of them.

    By their numbers, `eventsSinceNumber` to `eventsUntilNumber`; one of them is needed.
    """
    if not call.first(_SINCE) and not call.first(_UNTIL):
        raise BadRequest("Expected eventsSinceNumber or eventsUntilNumber.", expression=_SINCE)
    since, until = span(call)

    def work(writing: Writing) -> int:
        hook = call.hook(writing.connection)
        found = deliveries.numbered(writing.connection, hook.rid, since, until, LIMIT)
        again = [due for due in found if due.is_over]
        writing.send_again(again)
        return len(again)

    count = _write.transact(call.engine, call.origin, work)
    parameter = {"name": "count", "valueUnsignedInt": count}
    return {"resourceType": "Parameters", "parameter": [parameter]}


OPERATION = Operation(
    "events",
    f"{systems.BACKPORT}/OperationDefinition/backport-subscription-events",
    (INSTANCE,),
    events,
    types=("Subscription",),
    methods=("GET", "POST"),
    parameters=(_SINCE, _UNTIL, "content"),
    needs=("Subscription.r",),
)
RESEND = Operation(
    "resend",
    f"{systems.BACKPORT}/OperationDefinition/backport-subscription-resend",
    (INSTANCE,),
    resend,
    types=("Subscription",),
    parameters=(_SINCE, _UNTIL),
    needs=("Subscription.u",),
)
