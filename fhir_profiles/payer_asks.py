"""What a payer asks for in a pended answer, and a person's wish to send a document for it.

Each is a CommunicationRequest inside the ClaimResponse: reports by X12 755 (PWK01), documents by
LOINC, or a questionnaire. Source: Da Vinci PAS 2.2.1, additionalinfo.html.
"""

from typing import Any

from fhir_profiles import elements, pas, systems, wishes

Resource = dict[str, Any]
SEND_DOCUMENT = "send-document"  # of our task-code list
LOINC, REPORT = "http://loinc.org", f"{pas.X12}/755"
LINE = f"{pas.PROFILES}/extension-serviceLineNumber"
_PART = f"{systems.BASE}/CodeSystem/prior-auth-part"
_RESPONSE, _ASK, _DOCUMENT = "claim-response", "ask", "document"


def asks(response: Resource) -> dict[str, Resource]:
    """Return what a stored ClaimResponse asks for, by the id inside it."""
    listed = response.get("contained", [])
    return {one["id"]: one for one in listed if one["resourceType"] == "CommunicationRequest"}


def codes(ask: Resource) -> list[tuple[str, str]]:
    """Return what kinds of document are asked for: code systems and codes."""
    reports = [elements.code(concept, REPORT) for concept in ask.get("category", [])]
    texts = [str(payload.get("contentString", "")) for payload in ask.get("payload", [])]
    return [(REPORT, code) for code in reports if code] + [(LOINC, code) for code in texts if code]


def is_questionnaire(ask: Resource) -> bool:
    """Tell whether a questionnaire is to be filled in."""
    return (LOINC, pas.QUESTIONNAIRE) in codes(ask)


def line(ask: Resource) -> int | None:
    """Return the item that it is asked for, None where it is about the whole request."""
    found: int | None = elements.extension_value(ask, LINE)
    return found


def wish(task: Resource, response: str, ask_id: str, document: str, authored: str) -> Resource:
    """Return the Task that has a document sent for what an answer asks for.

    `task` is that of the prior authorization; `response` and `document` are addresses. The same
    document for the same ask is one wish.
    """
    cause = f"{ask_id}-{response}-{document}".replace("/", "-")
    text = "Send a document that the payer asks for"
    return {
        **wishes.wish(SEND_DOCUMENT, text, f"Task/{task['id']}", authored),
        "identifier": [{"system": systems.CAUSE, "value": cause}],
        "for": task["for"],
        "input": [
            _input(_RESPONSE, {"valueReference": {"reference": response}}),
            _input(_ASK, {"valueString": ask_id}),
            _input(_DOCUMENT, {"valueReference": {"reference": document}}),
        ],
    }


def wished(task: Resource) -> tuple[str, str, str]:
    """Return the answer, the id of what it asks for, and the document of a wish; "" if unsaid."""
    found = {elements.code(one.get("type"), _PART): one for one in task.get("input", [])}
    response, document = (
        elements.reference(found.get(name, {}).get("valueReference"))
        for name in (_RESPONSE, _DOCUMENT)
    )
    return response, str(found.get(_ASK, {}).get("valueString", "")), document


def _input(code: str, value: Resource) -> Resource:
    return {"type": {"coding": [{"system": _PART, "code": code}]}, **value}
