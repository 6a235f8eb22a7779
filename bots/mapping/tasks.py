"""The Tasks that an answer asks of people: who pays first, who this is, what a code means.

Each has a cause as its identifier, so that however often it is told it stays one Task.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, tzinfo
from typing import Any

from bots.mapping import known
from bots.mapping.request import trace_of
from fhir_profiles import elements, systems

Resource = dict[str, Any]
SOURCE = f"{systems.BASE}/bot/check-eligibility"
MISMATCH = "person-mismatch"  # of our check-error list
UNKNOWN, FLIP = "unknown-code", "coverage-flip"
UNKNOWN_LIMIT = 20  # Tasks for one answer: more unknown codes mean that it is no 271 as we know it
_SEEN = "Times seen"


def of_answer(stored: Resource, moment: datetime) -> list[Resource]:
    """Return the Tasks of a stored CoverageEligibilityResponse."""
    found = [*_other_payers(stored), *_mismatch(stored), *_unknown_codes(stored)]
    return [{**task, "authoredOn": moment.isoformat(timespec="milliseconds")} for task in found]


def of_flip(
    stored: Resource, earlier: Iterable[Resource], moment: datetime, zone: tzinfo
) -> list[Resource]:
    """Return the Task and the Flag of an answer that says otherwise than the one before it.

    Of the `earlier` answers, the oldest first, those count that say whether the plan is in force.
    Answers about a day that was over in `zone` count on neither side.
    Source: FHIR R4 flag.html.
    """
    said = [word for one in earlier if (word := _inforce(one, zone)) is not None]
    word = _inforce(stored, zone)
    if not said or word in (None, said[-1]):
        return []
    cause = f"{FLIP}-{trace_of(elements.identifier(stored, systems.TRACE) or stored['id'])}"
    now = "in force" if word else "not in force"
    text = f"The payer's answer changed: the plan is {now} on {stored['servicedDate']}."
    at = moment.isoformat(timespec="milliseconds")
    task = _task(stored, FLIP, cause, "The plan's state changed", text)
    flag = {
        "resourceType": "Flag",
        "meta": {"source": SOURCE},
        "identifier": [{"system": systems.CAUSE, "value": cause}],
        "status": "active",
        "code": {"coding": [{"system": systems.TASK_CODE, "code": FLIP}], "text": text},
        "subject": stored["patient"],
        "period": {"start": at},
    }
    return [{**task, "for": stored["patient"], "authoredOn": at}, flag]


def of_ghost(stored: Resource, moment: datetime) -> list[Resource]:
    """Return the DetectedIssue of a person whom the payer has, and did not find at first.

    Its evidence is the rule that would have prevented it. Source: FHIR R4 detectedissue.html.
    """
    marks = (e.get("valueString", "") for e in elements.extensions(stored, systems.EXT_FLAG))
    rule = next((m.partition(":")[2] for m in marks if m.startswith(f"{systems.GHOST}:")), "")
    if not rule:
        return []
    cause = f"{systems.GHOST}-{trace_of(f'{_coverage(stored)}|{rule}')}"
    evidence = {"coding": [{"system": systems.ISSUE_CODE, "code": rule}]}
    issue = {
        "resourceType": "DetectedIssue",
        "meta": {"source": SOURCE},
        "identifier": [{"system": systems.CAUSE, "value": cause}],
        "status": "final",
        "code": {
            "coding": [{"system": systems.ISSUE_CODE, "code": "identifier-mismatch"}],
            "text": "The payer has this person, and did not find the member id as it was asked",
        },
        "severity": "moderate",
        "patient": stored["patient"],
        "identifiedDateTime": moment.isoformat(timespec="milliseconds"),
        "implicated": [
            {"reference": f"CoverageEligibilityResponse/{stored['id']}"},
            {"reference": _coverage(stored)},
            *([stored["insurer"]] if elements.reference(stored["insurer"]) else []),
        ],
        "evidence": [{"code": [evidence]}],
    }
    return [issue]


def _inforce(response: Resource, zone: tzinfo) -> bool | None:
    """Return what an answer says of the plan as it is now, None where it does not say."""
    found: bool | None = response["insurance"][0].get("inforce")
    return None if known.is_history(response, zone) else found


def seen_again(task: Resource, stored: Resource) -> Resource | None:
    """Return the Task of an unknown code counted once more, None where this answer is counted."""
    focus = f"CoverageEligibilityResponse/{stored['id']}"
    code = elements.code(task.get("code"), systems.TASK_CODE)
    if code != UNKNOWN or elements.reference(task.get("focus")) == focus:
        return None
    (counter,) = task["input"]
    more = {**counter, "valuePositiveInt": counter["valuePositiveInt"] + 1}
    return {**task, "focus": {"reference": focus}, "input": [more]}


def _task(stored: Resource, code: str, cause: str, title: str, text: str) -> Resource:
    found = made(f"CoverageEligibilityResponse/{stored['id']}", code, cause, title, text)
    return {**found, "meta": {"source": SOURCE}}


def made(focus: str, code: str, cause: str, title: str, text: str) -> Resource:
    """Return a Task for people about the resource at `focus`; its cause makes it one."""
    return {
        "resourceType": "Task",
        "identifier": [{"system": systems.CAUSE, "value": cause}],
        "status": "requested",
        "intent": "order",
        "code": {"coding": [{"system": systems.TASK_CODE, "code": code}], "text": title},
        "description": text,
        "focus": {"reference": focus},
    }


def _other_payers(stored: Resource) -> Iterator[Resource]:
    """Yield one Task where other payers are named; the same ones make the same Task."""
    found = list(elements.extensions(stored, systems.EXT_OTHER_PAYER))
    if not found:
        return
    named = sorted({
        part["valueString"]
        for payer in found
        for entity in elements.extensions(payer, systems.EXT_ENTITY)
        for part in entity["extension"]
        if part["url"] in ("name", "id")
    })  # fmt: skip
    cause = f"other-payer-{trace_of('|'.join([_coverage(stored), *named]))}"
    title = "Another payer was named: settle who pays first"
    text = "The payer names other insurance. Confirm it and add it as a coverage."
    yield {
        **_task(stored, "coordination-of-benefits", cause, title, text),
        "for": stored["patient"],
    }


def _mismatch(stored: Resource) -> Iterator[Resource]:
    """Yield one Task per coverage whose payer speaks of another person."""
    for error in stored.get("error", []):
        if elements.code(error["code"], systems.CHECK_ERROR) == MISMATCH:
            cause = f"{MISMATCH}-{trace_of(_coverage(stored))}"
            title = "The payer answered about another person"
            text = "Compare name, birth date and member id with the card, and correct them."
            yield {**_task(stored, MISMATCH, cause, title, text), "for": stored["patient"]}


def _unknown_codes(stored: Resource) -> Iterator[Resource]:
    """Yield one Task per payer, element and value; it counts how often it was seen."""
    payer = elements.reference(stored["insurer"])
    for flag in list(dict.fromkeys(_unknown_flags(stored)))[:UNKNOWN_LIMIT]:
        element, _, value = flag.removeprefix(f"{UNKNOWN}:").partition(":")
        cause = f"{UNKNOWN}-{trace_of(f'{payer}|{element}|{value}')}"
        title = f"A payer sent a code that is not described: {element} {value}"
        text = "Find out what the code means with this payer. Its value is kept as it came."
        counter = {"type": {"text": _SEEN}, "valuePositiveInt": 1}
        yield {**_task(stored, UNKNOWN, cause, title, text), "input": [counter]}


def _unknown_flags(stored: Resource) -> Iterator[str]:
    items = [item for entry in stored["insurance"] for item in entry.get("item", [])]
    for node in (stored, *items):
        for flag in elements.extensions(node, systems.EXT_FLAG):
            if flag["valueString"].startswith(f"{UNKNOWN}:"):
                yield flag["valueString"]


def _coverage(stored: Resource) -> str:
    return elements.reference(stored["insurance"][0]["coverage"])
