"""A person's choice of a document that a payer asks for -> the payer has it."""

from bots import prior_auth_documents
from bots.ports import Bot, Resource, Tools
from fhir_profiles import payer_asks, systems


def handle(wish: Resource, tools: Tools) -> None:
    """Send it, unless that is done: then see that what follows from it is."""
    (current,) = tools.fhir.read_all([f"Task/{wish['id']}"])
    if current is not None and current["status"] == "requested":
        prior_auth_documents.send(current, tools)
    elif current is not None and current["status"] == "completed":
        prior_auth_documents.settle(current, tools)


BOT = Bot(
    "send-document",
    f"Task?code={systems.TASK_CODE}|{payer_asks.SEND_DOCUMENT}&status=requested",
    handle,
)
