"""A prior authorization's Task that is ready -> the request to the payer, and its answer."""

from bots import payer_notices
from bots import prior_auth as room
from bots.ports import Bot, Resource, Tools
from fhir_profiles import prior_auth
from fhir_profiles.prior_auth import Status


def handle(task: Resource, tools: Tools) -> None:
    """Send it, as the Task stands now: a second delivery finds it sent, or refused.

    Our own writes come as deliveries, too: what the payer refused waits for a person.
    """
    (current,) = tools.fhir.read_all([f"Task/{task['id']}"])
    if current is not None and prior_auth.is_due(current):
        room.send(current, tools, payer_notices.subscribe)


BOT = Bot(
    "submit-prior-auth",
    f"Task?code={prior_auth.TOKEN}&business-status={prior_auth.STATUS}|{Status.READY}",
    handle,
)
