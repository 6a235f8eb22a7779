"""A wish to know who a patient is to a payer -> the payer's identifier on the Patient."""

from bots import member_match
from bots.ports import Bot, Resource, Tools
from fhir_profiles import systems

CODE = "match-member"  # of our task-code list; the focus is the Coverage


def handle(wish: Resource, tools: Tools) -> None:
    """Ask the payer, unless that is done."""
    (current,) = tools.fhir.read_all([f"Task/{wish['id']}"])
    if current is not None and current["status"] == "requested":
        member_match.match(current, tools)


BOT = Bot("match-member", f"Task?code={systems.TASK_CODE}|{CODE}&status=requested", handle)
