"""How prior authorizations are told to people: states, persons, services, codes."""

from typing import Any

from fhir_profiles import pas, payer_asks
from fhir_profiles.prior_auth import Status
from server.web.states import Word

Resource = dict[str, Any]
WORDS = {
    Status.DRAFT: Word("Draft", "✎", "look", "It is not sent: do what the reason says."),
    Status.NEEDS_DOCUMENTS: Word("Needs documents", "!", "look", "Add what the payer asks for."),
    Status.READY: Word("Ready", "…", "open", "It is being sent."),
    Status.SENT: Word("Sent", "→", "open", "Wait for the payer, or ask now."),
    Status.PENDED: Word("In review", "…", "open", "Wait for the payer, or ask now."),
    Status.MORE_INFORMATION: Word("More information asked", "!", "look", "Send what is asked for."),
    Status.APPROVED: Word("Approved", "✓", "good", "The visit may go ahead as approved."),
    Status.MODIFIED: Word("Approved with changes", "✓!", "look", "Compare what was approved."),
    Status.PARTIAL: Word("Partly approved", "✓!", "look", "Look at each service."),
    Status.DENIED: Word("Denied", "✕", "bad", "Read the reason; appeal, or ask anew."),
    Status.CANCELLED: Word("Cancelled", "–", "open", "Nothing is left to do."),
    Status.EXPIRED: Word("Expired", "–", "bad", "Ask anew before the next visit."),
    Status.SEND_FAILED: Word(
        "Send failed", "✕", "bad", "Correct what the reason names, or send again."
    ),
    Status.UNREADABLE: Word(
        "Could not read the answer", "?", "bad", "Call the payer; its answer is kept."
    ),
}
_KINDS = {payer_asks.REPORT: "document of X12 755"}
NO_WORD = Word("Not answered yet", "…", "open", "")


def known(status: str) -> Status:
    """Return a business status; what is none of ours is a draft: nothing is known to be sent."""
    return Status(status) if status in set(Status) else Status.DRAFT


def service(item: Resource) -> str:
    """Return what an item asks for, and how much of it."""
    what = words(item.get("productOrService", {}))
    quantity = item.get("quantity", {})
    if "value" not in quantity:
        return what
    return f"{what} × {quantity['value']} {quantity.get('unit', '')}".strip()


def words(concept: Resource) -> str:
    """Return what a CodeableConcept says to people: its text or a display, and its first code."""
    codings = concept.get("coding", [])
    shown = concept.get("text") or next((c["display"] for c in codings if "display" in c), "")
    code = next((str(c["code"]) for c in codings if "code" in c), "")
    return " ".join(text for text in (code, str(shown)) if text) or "not stated"


def asked(ask: Resource) -> str:
    """Return what a payer asks for (a CommunicationRequest) in words; the codes are its."""
    told = [
        f"{_KINDS.get(system, 'document of LOINC')} {code}"
        for system, code in payer_asks.codes(ask) if code != pas.QUESTIONNAIRE
    ]  # fmt: skip
    told += ["a questionnaire to fill in"] if payer_asks.is_questionnaire(ask) else []
    return ", ".join(told) or "not stated"
