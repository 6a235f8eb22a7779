"""Subscription/$deliveries and $redeliver: what was sent, what was given up, and sending it again.

Ours: no guide has them. A delivery keeps its id and its bytes however often it is sent.
"""

from typing import Any
from urllib.parse import urlencode

from fhir_profiles import systems
from server import definitions
from server.errors import BadRequest, NotFound
from server.interactions import _write
from server.interactions._write import Writing
from server.operations.operation import INSTANCE, TYPE, Call, Operation
from server.search.values import instant, time_range
from server.store import deliveries
from server.store.connection import Connection
from server.store.deliveries import Due

STATES = {"waiting": "due", "delivered": "done", "given-up": "dead", "held": "held"}
NAMES = {stored: name for name, stored in STATES.items()}
COUNT, COUNT_LIMIT = 50, 1000


def listed(call: Call) -> dict[str, Any]:
    """Return a searchset Bundle with Parameters for each delivery, newest first.

    `state` (waiting, delivered, given-up, held), `resource` (Type or Type/id), `since` and `until`
    (FHIR times) choose; `_count` and `before` (a row of the page before) page.
    """
    limit = min(call.number("_count", COUNT), COUNT_LIMIT)
    before = call.number("before", 0)
    with call.engine.database.read() as connection:
        wanted = _wanted(call, connection)
        found = deliveries.listed(connection, wanted, before=before or None, limit=limit + 1)
        hooks = call.engine.hooks.by_row(connection)
        names = {rid: hook.id for rid, hook in hooks.items()}
    entries = [
        {
            "fullUrl": f"urn:uuid:{due.uid}",
            "resource": _parameters(due, names.get(due.subscription, "")),
            "search": {"mode": "match"},
        }
        for due in found[:limit]
    ]
    bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset"}
    if len(found) > limit and limit:
        url = f"{call.url.partition('?')[0]}?{_query(call, found[limit - 1].did)}"
        bundle["link"] = [{"relation": "next", "url": url}]
    return bundle | ({"entry": entries} if entries else {})


def redeliver(call: Call) -> dict[str, Any]:
    """Let deliveries go out once more; return the `count` of them.

    Those named by `delivery`, as far as they are over; else the newest that were given up, at most
    COUNT_LIMIT, chosen by `resource`, `since` and `until` as for $deliveries. Raises NotFound where
    a named one is not there, or not of the Subscription that is called.
    """
    named = call.all("delivery")

    def work(writing: Writing) -> int:
        connection = writing.connection
        wanted = _wanted(call, connection)
        if named:
            chosen = [_named(connection, uid, wanted.get("sub")) for uid in sorted(named)]
            found = [due for due in chosen if due.is_over]
        else:
            wanted["state"] = "dead"
            found = deliveries.listed(connection, wanted, before=None, limit=COUNT_LIMIT)
        writing.send_again(sorted(found, key=lambda due: due.did))
        return len(found)

    count = _write.transact(call.engine, call.origin, work)
    return {
        "resourceType": "Parameters",
        "parameter": [{"name": "count", "valueUnsignedInt": count}],
    }


def _named(connection: Connection, uid: str, subscription: object) -> Due:
    found = deliveries.by_uid(connection, uid)
    if found is None or subscription not in (None, found.subscription):
        raise NotFound("There is no such delivery.")
    return found


def _wanted(call: Call, connection: Connection) -> dict[str, object]:
    """Return what deliveries.listed should choose by."""
    wanted: dict[str, object] = {"sub": call.hook(connection).rid} if call.id else {}
    state = call.first("state")
    if state and state not in STATES:
        raise BadRequest(f"Expected one of {', '.join(STATES)}.", expression="state")
    if state:
        wanted["state"] = STATES[state]
    for name, place in (("since", 0), ("until", 1)):
        if call.first(name):
            wanted[name] = _moment(call.first(name), name, place)
    return wanted | _resource(call.first("resource"))


def _moment(text: str, name: str, place: int) -> int:
    try:
        return time_range(text)[place]
    except ValueError as error:
        raise BadRequest("Expected a FHIR time.", expression=name) from error


def _resource(text: str) -> dict[str, object]:
    kind, _, fhir_id = text.partition("/")
    if not kind:
        return {}
    if kind not in definitions.type_numbers():
        raise BadRequest("Expected Type or Type/id.", expression="resource")
    return {"type": definitions.type_numbers()[kind]} | ({"fhir_id": fhir_id} if fhir_id else {})


def _query(call: Call, before: int) -> str:
    kept = [(k, v) for k, v in call.pairs if k != "before"]
    return urlencode([*kept, ("before", str(before))])


def _parameters(due: Due, subscription: str) -> dict[str, Any]:
    """Return one delivery; its id is what `delivery` of $redeliver takes."""
    known = [
        ("delivery", "valueUuid", f"urn:uuid:{due.uid}"),
        ("subscription", "valueReference", {"reference": f"Subscription/{subscription}"}
         if subscription else {"display": "a deleted Subscription"}),
        ("event-number", "valueString", str(due.event)),
        ("resource", "valueReference", {
            "reference": f"{due.type}/{due.id}/_history/{due.version}"}),
        ("state", "valueCode", NAMES[due.state]),
        ("attempts", "valueUnsignedInt", due.attempts),
        ("event", "valueInstant", instant(due.at)),
        ("next" if due.state == "due" else "last", "valueInstant", instant(due.due_at)),
        ("status", "valueUnsignedInt", due.status),
        ("reason", "valueString", due.reason),
    ]  # fmt: skip
    return {
        "resourceType": "Parameters",
        "id": due.uid,
        "parameter": [
            {"name": n, kind: value} for n, kind, value in known if value not in ("", None)
        ],
    }


LIST = Operation(
    "deliveries",
    f"{systems.BASE}/OperationDefinition/subscription-deliveries",
    (TYPE, INSTANCE),
    listed,
    types=("Subscription",),
    methods=("GET",),
    parameters=("state", "resource", "since", "until", "_count", "before"),
    needs=("*.rs",),
)
REDELIVER = Operation(
    "redeliver",
    f"{systems.BASE}/OperationDefinition/subscription-redeliver",
    (TYPE, INSTANCE),
    redeliver,
    types=("Subscription",),
    parameters=("delivery", "resource", "since", "until"),
    needs=("*.r", "Subscription.u"),
)
