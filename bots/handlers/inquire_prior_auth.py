"""A person's wish to know how a prior authorization stands -> one inquiry to its payer."""

from bots import payer_notices, wishes
from bots import prior_auth as room
from bots.ports import Bot, Resource, Tools
from fhir_profiles import elements, prior_auth, systems


def handle(wish: Resource, tools: Tools) -> None:
    """Ask about the Task that is the focus, and complete the wish with what came of it."""
    addresses = [f"Task/{wish['id']}", elements.reference(wish.get("focus"))]
    current, task = tools.fhir.read_all(addresses)
    if current is None or current["status"] != "requested":
        return
    case = room.case_of(task, tools) if task is not None else None
    words = payer_notices.inquire(case, tools) if case else "It was not sent to a payer yet."
    wishes.end(current, "completed", words, tools)


BOT = Bot(
    "inquire-prior-auth",
    f"Task?code={systems.TASK_CODE}|{prior_auth.INQUIRE}&status=requested",
    handle,
)
