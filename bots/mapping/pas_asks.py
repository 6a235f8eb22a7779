"""What a payer asks for in a pended answer -> the Tasks of Da Vinci PAS that gather it.

One Task for each kind: reports by X12 755 (PWK01), documents by LOINC, questionnaires. Source: Da
Vinci PAS 2.2.1, profile-task and additionalinfo.html.
"""

from collections.abc import Iterator
from typing import Any

from bots.mapping.request import trace_of
from fhir_profiles import elements, pas, payer_asks, systems

Resource = dict[str, Any]
PWK, LOINC, QUESTIONNAIRE = "report", "document", "questionnaire"
_ITEM_TRACE = f"{pas.PROFILES}/extension-itemTraceNumber"
_CODES = {
    PWK: "attachment-request-code",
    LOINC: "attachment-request-code",
    QUESTIONNAIRE: "attachment-request-questionnaire",
}


def tasks(
    about: Resource, response: Resource, parties: tuple[Resource, Resource], address: str
) -> list[Resource]:
    """Return the Tasks of what a stored ClaimResponse asks for, one for each kind.

    `about` is the prior authorization's Task, `parties` are insurer and provider, `address` is the
    payer's base URL. The same answer asks for the same Tasks.
    """
    listed: dict[str, list[Resource]] = {}
    for kind, wanted in _inputs(response):
        listed.setdefault(kind, []).append(wanted)
    url = _input("payer-url", {"valueUrl": f"{address.rstrip('/')}/$submit-attachment"})
    return [
        _task(about, response, parties, kind, [url, *inputs]) for kind, inputs in listed.items()
    ]


def _inputs(response: Resource) -> Iterator[tuple[str, Resource]]:
    traces = {
        item.get("itemSequence"): elements.extension_value(item, _ITEM_TRACE) or {}
        for item in response.get("item", [])
    }
    for ask in payer_asks.asks(response).values():
        line = payer_asks.line(ask) or 1
        for system, code in payer_asks.codes(ask):
            kind = _kind(system, code)
            if kind == QUESTIONNAIRE:
                told = {"valueString": str(traces.get(line, {}).get("value") or _control(ask))}
                yield kind, _input("questionnaire-context", told, line)
            else:
                yield kind, _attachment(system, code, line)


def kind_of(ask: Resource) -> str:
    """Return the kind of what is asked for, by its first code."""
    return next((_kind(*one) for one in payer_asks.codes(ask)), LOINC)


def title(kind: str) -> str:
    """Return what the Task that gathers a kind is called."""
    return f"The payer asks for a {kind}"


def _kind(system: str, code: str) -> str:
    if system == payer_asks.REPORT:
        return PWK
    return QUESTIONNAIRE if code == pas.QUESTIONNAIRE else LOINC


def _control(ask: Resource) -> str:
    return next((str(i["value"]) for i in ask.get("identifier", []) if i.get("value")), "")


def _attachment(system: str, code: str, line: int) -> Resource:
    concept = {"coding": [{"system": system, "code": code}]}
    return _input("attachments-needed", {"valueCodeableConcept": concept}, line)


def _input(code: str, value: Resource, line: int | None = None) -> Resource:
    kind = {"coding": [{"system": pas.TEMP_CODES, "code": code}]}
    where = {"extension": [{"url": payer_asks.LINE, "valuePositiveInt": line}]} if line else {}
    return {**where, "type": kind, **value}


def _task(
    about: Resource,
    response: Resource,
    parties: tuple[Resource, Resource],
    kind: str,
    inputs: list[Resource],
) -> Resource:
    insurer, provider = parties
    cause = trace_of(f"{about['id']}|{kind}|{elements.identifier(response, systems.CAUSE)}")
    period = about.get("restriction", {}).get("period", {})
    made: Resource = {
        "resourceType": "Task",
        "identifier": [*response.get("identifier", [])[:1],
                       {"system": systems.CAUSE, "value": f"asked-{cause}"}],
        "status": "requested",
        "intent": "order",
        "code": {"coding": [{"system": pas.TEMP_CODES, "code": _CODES[kind]}],
                 "text": title(kind)},
        "focus": {"reference": f"Task/{about['id']}"},
        "for": about["for"],
        "authoredOn": response["created"],
        "requester": _named(insurer),
        "owner": _named(provider),
        "reasonCode": {"coding": [{"system": pas.TEMP_CODES, "code": "priorAuthorization"}]},
        "reasonReference": response["request"],
        "input": inputs,
    }  # fmt: skip
    return made | ({"restriction": {"period": {"end": period["end"]}}} if "end" in period else {})


def _named(party: Resource) -> Resource:
    """Return a party by its first identifier, which is what the payer knows it by."""
    first = next(iter(party.get("identifier", [])), None)
    return {"identifier": first} if first else {"display": str(party.get("name", "not stated"))}


def cause_of(task: Resource) -> str:
    """Return the search condition under which a Task of ours is made once."""
    return f"identifier={systems.CAUSE}|{elements.identifier(task, systems.CAUSE)}"
