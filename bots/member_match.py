"""Who a patient is to a payer: asked by HRex `$member-match`, kept on the Patient."""

from bots import payer_address, wishes
from bots.errors import RetryLater
from bots.mapping import member_match
from bots.ports import Resource, Tools
from fhir_profiles import elements, prior_auth_route

TIMEOUT_S = 15.0
FOUND = "The payer knows the patient; its identifier is kept."


def match(wish: Resource, tools: Tools) -> None:
    """Ask the payer of the Coverage in focus, and complete the wish with what came of it.

    Raises RetryLater where it may work later.
    """
    (coverage,) = tools.fhir.read_all([elements.reference(wish.get("focus"))])
    if coverage is None or coverage["resourceType"] != "Coverage":
        wishes.end(wish, "rejected", "The Coverage is not on this server.", tools)
        return
    insurer = (coverage.get("payor") or [{}])[0]
    payer = payer_address.payer_of({"insurer": insurer}, tools)
    endpoint = payer_address.endpoint_of({}, payer, tools)
    (patient,) = tools.fhir.read_all([elements.reference(coverage.get("beneficiary"))])
    if endpoint is not None and prior_auth_route.review_of(endpoint):
        endpoint = None
    if patient is None or endpoint is None:
        words = "The patient is not on this server." if endpoint else "The payer has no endpoint."
        wishes.end(wish, "rejected", words, tools)
        return
    question = member_match.parameters(patient, coverage, payer)
    submission = tools.prior_auth.match(str(endpoint["address"]), question, timeout_s=TIMEOUT_S)
    failure = submission.failure
    if failure is not None and failure.again:
        raise RetryLater(failure.code, after_s=failure.after_s)
    made = member_match.identifier(submission.answer, insurer) if failure is None else None
    if made is None:
        told = failure.text if failure else "The payer's answer has no identifier of the member."
        wishes.end(wish, "rejected", told, tools)
        return
    if tools.fhir.update(member_match.with_identifier(patient, made)) is None:
        raise RetryLater("another delivery changed the Patient")
    wishes.end(wish, "completed", FOUND, tools)
