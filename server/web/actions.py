"""What a person does on the page of a coverage: ask the payer again, report a wrong reading."""

from typing import Any

from fhir_profiles import systems
from server.errors import NotFound
from server.interactions import answers, create
from server.interactions._write import Origin
from server.interactions.engine import Engine
from server.web import lines, records

Resource = dict[str, Any]
READING = "reading-error"


def ask_again(engine: Engine, coverage_id: str) -> None:
    """Have the payer asked about a coverage once more, for today.

    However often the form of one page is sent there is one question: it carries which answer it
    follows. Raises NotFound where there is no such coverage.
    """
    record = records.record(engine, coverage_id)
    if record.open_request is not None:
        return
    last = (record.response or {}).get("meta", {}).get("versionId", "")
    cause = f"again-{coverage_id}-{(record.response or {}).get('id', '')}-{last}"
    body = answers.demand(engine, coverage_id) | {
        "identifier": [{"system": systems.CAUSE, "value": cause}]
    }
    _once(engine, "Task", body, cause)


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
