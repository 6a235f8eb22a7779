"""The AuditEvents of people on our pages: who came in, saw, did, or was refused what.

Source: FHIR R4 auditevent.html; DICOM PS3.15 A.5; 45 CFR 164.312(b), audit controls.
"""

import base64
import re
from collections.abc import Iterable, Mapping
from typing import Any

from fhir_profiles import elements, systems
from server.access.people import Person
from server.interactions import _write, read
from server.interactions._write import Origin, Writing
from server.interactions.engine import Engine
from server.search.values import instant, micros
from server.subscriptions.audit import GOOD, MINOR, SERIOUS

LOGIN, LOGOUT = ("110122", "Login"), ("110123", "Logout")
CLIENT_ERROR, SERVER_ERROR = 400, 500
_QUERY = {
    "system": "http://terminology.hl7.org/CodeSystem/object-role", "code": "24", "display": "Query",
}  # fmt: skip
_SIGN_IN, _RECORD, _LIST = "110114", "110110", "110112"
_NAMES = {_SIGN_IN: "User Authentication", _RECORD: "Patient Record", _LIST: "Query"}
_OF = {"Coverage": "beneficiary", "Task": "for"}  # the element that names the patient
_ADDRESS = re.compile(r"(Coverage|Task)/[A-Za-z0-9\-.]{1,64}")


def signed(engine: Engine, person: Person, what: tuple[str, str], outcome: str = GOOD) -> None:
    """Record that somebody came in or left; `what` is LOGIN or LOGOUT."""
    subtype = {"system": systems.DICOM, "code": what[0], "display": what[1]}
    why = {} if outcome == GOOD else {"outcomeDesc": "none of the groups has a role"}
    _keep(engine, person, _SIGN_IN, outcome, {"subtype": [subtype], "action": "E", **why})


def looked(engine: Engine, person: Person, asked: str, named: Iterable[str], status: int) -> None:
    """Record a page that was asked for, or a form that was sent, and the HTTP status of the answer.

    `asked` is its method and address with the query; `named` are the Coverages and Tasks that it
    is about, whose patients are recorded, too. A list is recorded by its address alone.
    """
    found = [one for one in named if _ADDRESS.fullmatch(one)]
    is_read, is_one = asked.startswith(("GET ", "HEAD ")), bool(found)
    query = base64.b64encode(asked.encode()).decode()
    entities = [{"what": {"reference": one}} for one in (*found, *_patients(engine, found))]
    outcome = GOOD if status < CLIENT_ERROR else MINOR if status < SERVER_ERROR else SERIOUS
    body = {
        "action": ("R" if is_one else "E") if is_read else "U",
        "outcomeDesc": f"HTTP {status}",
        "entity": [*entities, {"role": _QUERY, "description": asked, "query": query}],
    }
    _keep(engine, person, _RECORD if is_one else _LIST, outcome, body)


def _patients(engine: Engine, named: Iterable[str]) -> Iterable[str]:
    """Return the patients of Coverages and Tasks that are here, each once."""
    found = {}
    for address in named:
        kind = address.partition("/")[0]
        there = read.referenced(engine, kind, address) or {}
        found[elements.reference(there.get(_OF[kind]))] = True
    return [one for one in found if one.startswith("Patient/")]


def _keep(engine: Engine, person: Person, kind: str, outcome: str, more: Mapping[str, Any]) -> None:
    identifier = {"system": person.issuer, "value": person.subject}
    agent: dict[str, Any] = {
        "who": {"identifier": identifier, "display": person.name},
        "altId": person.subject,
        "name": person.name,
        "requestor": True,
    }
    if person.roles:
        agent["role"] = [{"text": role} for role in person.roles]
    body = {
        "resourceType": "AuditEvent",
        "type": {"system": systems.DICOM, "code": kind, "display": _NAMES[kind]},
        "recorded": instant(micros(engine.now())),
        "outcome": outcome,
        "agent": [agent],
        "source": {"observer": {"display": engine.base.removesuffix("/fhir")}},
        **more,
    }

    def work(writing: Writing) -> None:
        writing.note(_write.ready(engine, "AuditEvent", body))

    _write.transact(engine, Origin(engine.new_id()), work)
