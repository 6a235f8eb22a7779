"""What a payer says about an order when it is signed: asked once, kept on the order.

Nobody waits: the order is there already, and a payer that is slow or away is passed over. Each call
and its answer are on record. Source: Da Vinci CRD 2.2.1.
"""

import logging

from bots import payer_address
from bots.errors import NeverRetry
from bots.mapping import order_sign, payload
from bots.mapping.order_sign import NotSound
from bots.mapping.request import trace_of
from bots.ports import Resource, Submission, Tools
from fhir_profiles import codec, elements, systems

HOOK_PAYLOAD = "davinci_crd_hook_endpoint"  # of Endpoint.payloadType
TIMEOUT_S = 5.0  # CRD: of most hooks
ROUTE, TRIES = "crd", 3
_log = logging.getLogger(__name__)


def check(order: Resource, tools: Tools) -> None:
    """Ask the payer of the patient's first active coverage, and keep what it says."""
    patient, coverage = _covered(order, tools)
    if patient is None or coverage is None:
        return
    payer = payer_address.payer_of({"insurer": (coverage.get("payor") or [{}])[0]}, tools)
    endpoint = payer_address.endpoint_for(HOOK_PAYLOAD, payer, tools)
    if endpoint is None:
        return
    body = order_sign.call(order, patient, coverage, tools.site.partition("@")[2])
    submission = tools.orders.call(str(endpoint["address"]), body, timeout_s=TIMEOUT_S)
    words = _kept(order, submission, tools)
    _log.info("order-sign of %s/%s: %s", order["resourceType"], order["id"], words)
    _record(order, body, submission, words, tools)


def _covered(order: Resource, tools: Tools) -> tuple[Resource | None, Resource | None]:
    """Return the patient and the one coverage to ask about: active, the first by its order."""
    address = elements.reference(order.get("subject"))
    (patient,) = tools.fhir.read_all([address])
    if patient is None or patient["resourceType"] != "Patient":
        return None, None
    wanted = [("beneficiary", address), ("status", "active")]
    today = tools.now().astimezone(tools.zone).date().isoformat()
    listed = [one for one in tools.fhir.search("Coverage", wanted)
              if elements.is_current(one, today) and one.get("payor")]  # fmt: skip
    return patient, min(listed, key=lambda one: int(one.get("order", 1)), default=None)


def _kept(order: Resource, submission: Submission, tools: Tools) -> str:
    """Keep what the payer said; return in words what came of it."""
    if submission.failure is not None:
        return submission.failure.text
    try:
        made = order_sign.annotated(order, submission.answer)
    except NotSound as error:
        return f"The answer is not stored: {error}."
    if made is None:
        return "The payer said nothing new."
    for _ in range(TRIES):
        if tools.fhir.update(made) is not None:
            return "What the payer said is on the order."
        (now,) = tools.fhir.read_all([f"{order['resourceType']}/{order['id']}"])
        try:
            again = order_sign.annotated(now, submission.answer) if now is not None else None
        except NotSound:
            again = None  # it is another order by now
        if again is None:
            break
        made = again
    return "The order was changed meanwhile: what the payer said is not about it as it is now."


def _record(
    order: Resource, body: Resource, submission: Submission, words: str, tools: Tools
) -> None:
    """Keep the call and its answer, sealed, and an AuditEvent that says what came of it."""
    sent = codec.encode(body).decode()
    trace = trace_of(str(body["hookInstance"]))
    made = payload.resources(
        order, trace, ROUTE, (sent, submission.received), moment=tools.now(), seal=tools.vault.seal
    )
    try:
        tools.fhir.put_all(made)
    except NeverRetry as error:
        _log.error("the call about %s is not kept: %s", order["id"], error)
    tools.fhir.create(
        {
            "resourceType": "AuditEvent",
            "type": {"system": systems.AUDIT_TYPE, "code": "rest"},
            "subtype": [{"system": systems.AUDIT_SUBTYPE, "code": "order-sign"}],
            "action": "E",
            "recorded": tools.now().isoformat(timespec="milliseconds"),
            "outcome": "4" if submission.failure else "0",
            "outcomeDesc": words,
            "agent": [{"altId": "inforce-bots", "requestor": True}],
            "source": {"observer": {"display": "inforce-bots"}},
            "entity": [{"what": {"reference": f"{order['resourceType']}/{order['id']}"}}],
        }
    )
