"""What a person does on the page of a coverage: ask the payer again, report a wrong reading."""

from typing import Any

from fhir_profiles import elements, systems
from fhir_profiles.codes import Reason
from server.errors import NotFound
from server.interactions import create
from server.interactions._write import Origin
from server.interactions.engine import Engine
from server.web import lines, records

Resource = dict[str, Any]
READING = "reading-error"
_REQUEST = "CoverageEligibilityRequest"
_OF_ONE_CHECK = ("id", "meta", "text", "identifier", "created", "servicedPeriod")


def ask_again(engine: Engine, coverage_id: str, today: str) -> None:
    """Store the newest question about a coverage once more, for its day or for today if it is past.

    While an answer is awaited nothing is stored, and however often the form of one page is sent
    there is one question: it carries which one it follows. Raises NotFound where nothing was asked.
    """
    record = records.record(engine, coverage_id)
    if record.open_request is not None:
        return
    last = elements.reference((record.response or {}).get("request"))
    asked = records.resource(engine, _REQUEST, last)
    if asked is None:
        raise NotFound("Nothing was asked about this coverage yet.")
    cause = f"again-{asked['id']}"
    body = {name: value for name, value in asked.items() if name not in _OF_ONE_CHECK}
    body |= {
        "meta": {"tag": [{"system": systems.CHECK_REASON, "code": Reason.MANUAL.value}]},
        "identifier": [{"system": systems.CAUSE, "value": cause}],
        "created": engine.now().isoformat(timespec="milliseconds"),
        "servicedDate": max(str(asked.get("servicedDate", today)), today),
    }
    _once(engine, _REQUEST, body, cause)


def report(engine: Engine, coverage_id: str, place: int) -> None:
    """Store a Task that a person finds line `place` read wrongly, with the segments it rests on.

    Raises NotFound where there is no such line.
    """
    response = records.record(engine, coverage_id).response or {}
    items = (response.get("insurance") or [{}])[0].get("item", [])
    if not 0 <= place < len(items):
        raise NotFound("There is no such benefit.")
    focus = f"CoverageEligibilityResponse/{response['id']}"
    cause = f"{READING}-{response['id']}-{response['meta']['versionId']}-{place}"
    body = {
        "resourceType": "Task",
        "identifier": [{"system": systems.CAUSE, "value": cause}],
        "status": "requested",
        "intent": "order",
        "code": {
            "coding": [{"system": systems.TASK_CODE, "code": READING}],
            "text": "A benefit was read wrongly, a person says",
        },
        "description": "Compare what is shown with what the payer sent.",
        "focus": {"reference": focus},
        "for": response["patient"],
        "authoredOn": engine.now().isoformat(timespec="milliseconds"),
        "input": [
            {"type": {"text": "Segment as sent"}, "valueString": text}
            for text in lines.sent(items[place])
        ],
    }
    _once(engine, "Task", body, cause)


def _once(engine: Engine, type_name: str, body: Resource, cause: str) -> None:
    create.create(
        engine, type_name, body, if_none_exist=f"identifier={systems.CAUSE}|{cause}",
        origin=Origin(engine.new_id()),
    )  # fmt: skip
