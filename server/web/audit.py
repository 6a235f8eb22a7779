"""The AuditEvents of people on our pages: who came in, saw, did, or was refused what.

Source: FHIR R4 auditevent.html; DICOM PS3.15 A.5; 45 CFR 164.312(b), audit controls.
"""

import base64
from collections.abc import Mapping
from typing import Any

from server.access.people import Person
from server.interactions import _write
from server.interactions._write import Origin, Writing
from server.interactions.engine import Engine
from server.search.values import instant, micros

LOGIN, LOGOUT = ("110122", "Login"), ("110123", "Logout")
GOOD, REFUSED = "0", "4"
_DICOM = "http://dicom.nema.org/resources/ontology/DCM"
_OBJECT_ROLE = "http://terminology.hl7.org/CodeSystem/object-role"
_SIGN_IN, _RECORD, _LIST = "110114", "110110", "110112"
_NAMES = {
    _SIGN_IN: "User Authentication",
    _RECORD: "Patient Record",
    _LIST: "Query",
}  # fmt: skip
_TYPES = {"coverage_id": "Coverage", "task_id": "Task"}  # of what a page's address names


def signed(engine: Engine, person: Person, what: tuple[str, str], outcome: str = GOOD) -> None:
    """Record that somebody came in or left; `what` is LOGIN or LOGOUT."""
    subtype = {"system": _DICOM, "code": what[0], "display": what[1]}
    _keep(engine, person, _SIGN_IN, outcome, {"subtype": [subtype], "action": "E"})


def looked(
    engine: Engine, person: Person, place: Mapping[str, Any], asked: str, outcome: str
) -> None:
    """Record a page that is asked for, or a form that is sent.

    `asked` is its method and address with the query, `place` the ids that its address names.
    """
    named = [f"{_TYPES[key]}/{value}" for key, value in place.items() if key in _TYPES]
    method = asked.partition(" ")[0]
    action = "R" if named else "E"
    query = base64.b64encode(asked.encode()).decode()
    role = {"system": _OBJECT_ROLE, "code": "24", "display": "Query"}
    entities = [{"what": {"reference": one}} for one in named]
    body = {
        "action": action if method in ("GET", "HEAD") else "U",
        "entity": [*entities, {"role": role, "query": query}],
    }
    _keep(engine, person, _RECORD if named else _LIST, outcome, body)


def _keep(engine: Engine, person: Person, kind: str, outcome: str, more: Mapping[str, Any]) -> None:
    who = {"identifier": {"value": person.subject}, "display": person.name}
    body = {
        "resourceType": "AuditEvent",
        "type": {"system": _DICOM, "code": kind, "display": _NAMES[kind]},
        "recorded": instant(micros(engine.now())),
        "outcome": outcome,
        "agent": [
            {"who": who, "role": [{"text": role} for role in person.roles], "requestor": True}
        ],
        "source": {"observer": {"display": engine.base.removesuffix("/fhir")}},
        **more,
    }
    if not person.roles:
        del body["agent"][0]["role"]

    def work(writing: Writing) -> None:
        writing.note(_write.ready(engine, "AuditEvent", body))

    _write.transact(engine, Origin(engine.new_id()), work)
