"""What a person does on the page of a coverage: ask again, record a call, report a reading."""

import hashlib
from dataclasses import dataclass
from datetime import date
from typing import Any

from fhir_profiles import systems
from fhir_profiles.codes import State
from server.errors import NotFound
from server.interactions import answers, create
from server.interactions._write import Origin
from server.interactions.engine import Engine
from server.web import lines, records

Resource = dict[str, Any]
READING = "reading-error"
_SAID = {
    "yes": (State.ACTIVE_REVIEW, "the plan is in force."),
    "no": (State.INACTIVE, "the plan is not in force."),
    "unknown": (State.COULD_NOT_CHECK, "they cannot tell."),
}


def ask_again(engine: Engine, coverage_id: str) -> str:
    """Have the payer asked about a coverage once more, for today.

    However often the form is sent, there is one question as long as it waits. Returns the id of
    the newest answer that is there before, "" where there is none. Raises NotFound where there is
    no such coverage.
    """
    record = records.record(engine, coverage_id)
    before = str((record.response or {}).get("id", ""))
    if record.open_request is not None:
        return before
    cause = f"again-{coverage_id}"
    body = answers.demand(engine, coverage_id) | {
        "identifier": [{"system": systems.CAUSE, "value": cause}]
    }
    _once(engine, "Task", body, cause, "&status=requested")
    return before


@dataclass(frozen=True, slots=True)
class Call:
    """What somebody at the payer said on the phone about a day (R003-52)."""

    answer: str
    day: str
    agent: str
    reference: str
    note: str = ""

    def lacks(self) -> list[str]:
        """Return the fields that are missing or make no sense."""
        wrong = [name for name in ("agent", "reference") if not getattr(self, name).strip()]
        wrong += [] if self.answer in _SAID else ["answer"]
        try:
            day = date.fromisoformat(self.day).isoformat()
        except ValueError:
            day = ""
        return wrong if day == self.day and day else [*wrong, "day"]


def record_call(engine: Engine, coverage_id: str, call: Call) -> None:
    """Store what the payer said by phone as an answer of its own, never as more than to review.

    Raises NotFound where nothing was asked yet: an answer answers a question.
    """
    record = records.record(engine, coverage_id)
    last = record.response
    if last is None or "request" not in last:
        raise NotFound("Nothing was asked about this coverage yet.")
    state, said = _SAID[call.answer]
    told = hashlib.sha256(f"{coverage_id}|{call}".encode()).hexdigest()
    cause = f"call-{told[:32]}"  # sent twice, it is one call
    moment = engine.now().isoformat(timespec="milliseconds")
    note = f" {call.note.strip()}" if call.note.strip() else ""
    insurance = {"coverage": {"reference": f"Coverage/{coverage_id}"}}
    body = {
        "resourceType": "CoverageEligibilityResponse",
        "meta": {"tag": [{"system": systems.ELIGIBILITY_STATE, "code": state.value}]},
        "extension": [{"url": systems.EXT_ROUTE, "valueString": systems.BY_PHONE}],
        "identifier": [
            {"system": systems.PAYER_TRACE, "value": call.reference.strip()},
            {"system": systems.CAUSE, "value": cause},
        ],
        "status": "active",
        "purpose": ["validation"],
        "patient": last["patient"],
        "servicedDate": call.day,
        "created": moment,
        "request": last["request"],
        "outcome": "complete",
        "disposition": f"By phone, {call.agent.strip()} said: {said}{note}",
        "insurer": last["insurer"],
        "insurance": [insurance | _inforce(call.answer)],
    }
    if "contained" in last:
        body["contained"] = last["contained"]
    _once(engine, "CoverageEligibilityResponse", body, cause)


def _inforce(answer: str) -> Resource:
    return {"inforce": answer == "yes"} if answer in ("yes", "no") else {}


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


def _once(engine: Engine, type_name: str, body: Resource, cause: str, more: str = "") -> None:
    create.create(
        engine, type_name, body, if_none_exist=f"identifier={systems.CAUSE}|{cause}{more}",
        origin=Origin(engine.new_id()),
    )  # fmt: skip
