"""A document goes to the payer that asks for it; when all have gone, the payer decides.

Source: Da Vinci CDex 2.1.0, `$submit-attachment`.
"""

from bots import payer_address, wishes
from bots import prior_auth as room
from bots.errors import RetryLater
from bots.mapping import pas_attachment, pas_metric
from bots.mapping.pas_asks import kind_of, title
from bots.mapping.pas_metric import Exchanged, Kind
from bots.ports import Resource, Tools
from fhir_profiles import elements, payer_asks, prior_auth, prior_auth_route, systems
from fhir_profiles.prior_auth import Status

TIMEOUT_S = 30.0
_DOCUMENTS = ("DocumentReference", "QuestionnaireResponse")
SENT = "The documents are sent; the payer decides."


def send(wish: Resource, tools: Tools) -> None:
    """Send what a wish names, and complete it with what came of it.

    Raises RetryLater where it may work later.
    """
    address, ask_id, document = payer_asks.wished(wish)
    task, response, content = tools.fhir.read_all(
        [elements.reference(wish.get("focus")), address, document]
    )
    case = room.case_of(task, tools) if task is not None else None
    asks = payer_asks.asks(response or {})
    is_newest = case is not None and prior_auth.part(case.task, prior_auth.RESPONSE) == address
    if case is None or content is None or ask_id not in asks or not is_newest:
        wishes.end(wish, "rejected", "The request or the document is not on this server.", tools)
        return
    whose = elements.reference(content.get("subject"))
    if content["resourceType"] not in _DOCUMENTS or whose != elements.reference(case.task["for"]):
        wishes.end(wish, "rejected", "The document is not one of this patient.", tools)
        return
    endpoint = payer_address.endpoint_of(
        case.task, payer_address.payer_of(case.claim, tools), tools
    )
    if endpoint is None or prior_auth_route.review_of(endpoint):
        wishes.end(wish, "rejected", "The payer has no electronic way for documents.", tools)
        return
    left = asks.keys() - _done(case.task, address, tools) - {ask_id}
    body = pas_attachment.parameters(case.sent, asks[ask_id], content, is_final=not left)
    asked = tools.now()
    submission = tools.prior_auth.attach(str(endpoint["address"]), body, timeout_s=TIMEOUT_S)
    failure = submission.failure
    told = Exchanged(Kind.DOCUMENT, asked, tools.now(), failure.code if failure else "")
    tools.fhir.create(pas_metric.record(case.task, case.claim, case.sent, told, ()))
    if failure is not None and failure.again:
        raise RetryLater(failure.code, after_s=failure.after_s)
    if failure is not None:
        wishes.end(wish, "rejected", failure.text, tools)
        return
    wishes.end(wish, "completed", "The payer took it.", tools)
    settle(wish, tools)


def settle(wish: Resource, tools: Tools) -> None:
    """Turn what is complete, once a document has gone: several may go at the same time.

    Done twice it changes nothing, so that a delivery that was broken off is made up for.
    """
    address, _, _ = payer_asks.wished(wish)
    task, response = tools.fhir.read_all([elements.reference(wish.get("focus")), address])
    if task is None or response is None:
        return
    asks = payer_asks.asks(response)
    left = asks.keys() - _done(task, address, tools)
    waiting = {kind_of(asks[one]) for one in left}
    _gathered(task, {kind_of(one) for one in asks.values()} - waiting, tools)
    if not left and prior_auth.status(task) == Status.MORE_INFORMATION:
        _wait(task, tools)


def _done(task: Resource, address: str, tools: Tools) -> set[str]:
    """Return the ids of what the payer asked for in an answer and has by now."""
    wanted = [
        ("focus", f"Task/{task['id']}"),
        ("code", f"{systems.TASK_CODE}|{payer_asks.SEND_DOCUMENT}"), ("status", "completed"),
    ]  # fmt: skip
    found = (payer_asks.wished(one) for one in tools.fhir.search("Task", wanted))
    return {ask_id for response, ask_id, _ in found if response == address}


def _gathered(task: Resource, kinds: set[str], tools: Tools) -> None:
    """Complete the Tasks that gather these kinds: all of them has gone."""
    titles = {title(kind) for kind in kinds}
    wanted = [("focus", f"Task/{task['id']}"), ("status", "requested")]
    for one in tools.fhir.search("Task", wanted):
        if one.get("code", {}).get("text") in titles:
            tools.fhir.update({**one, "status": "completed"})


def _wait(task: Resource, tools: Tools) -> None:
    """Let the request wait for the payer again."""
    moved = prior_auth.moved(task, Status.PENDED, SENT)
    now = tools.now().isoformat(timespec="milliseconds")
    if tools.fhir.update({**moved, "lastModified": now}) is None:
        raise RetryLater("another delivery changed the Task")
