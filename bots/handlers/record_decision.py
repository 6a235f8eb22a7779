"""What a payer told a person about a prior authorization -> its answer, as if it had sent it."""

from bots import payer_address, wishes
from bots import prior_auth as room
from bots.mapping.pas_metric import Exchanged, Kind
from bots.ports import Bot, Resource, Tools
from fhir_profiles import elements, payer_word, prior_auth, systems


def handle(wish: Resource, tools: Tools) -> None:
    """Take the answer that the wish refers to; a second delivery finds the wish ended."""
    told = prior_auth.part(wish, prior_auth.ANSWER)
    addresses = [f"Task/{wish['id']}", elements.reference(wish.get("focus")), told]
    current, task, answer = tools.fhir.read_all(addresses)
    if current is None or current["status"] != "requested":
        return
    case = room.case_of(task, tools) if task is not None else None
    if case is None or answer is None:
        words = "Not recorded: the request was never made ready to send, or says nothing."
        wishes.end(current, "rejected", words, tools)
        return
    exchanged = Exchanged(Kind.SUBSEQUENT, tools.now(), tools.now(), method=payer_word.METHOD)
    room.take(case, answer, payer_address.payer_of(case.claim, tools), tools, exchanged)
    wishes.end(current, "completed", "What the payer told is recorded.", tools)


BOT = Bot(
    "record-decision",
    f"Task?code={systems.TASK_CODE}|{payer_word.CODE}&status=requested",
    handle,
)
