"""Waiting for a payer: a Subscription at it, its messages, and an inquiry where one was missed.

What waits is never polled while the Subscription lives. Messages may come late, twice and out of
order: only a newer answer changes anything.
"""

import hashlib
import hmac
import logging
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from bots import prior_auth as room
from bots.errors import RetryLater
from bots.mapping import pas_notice
from bots.mapping.pas_notice import Kept, Notice
from bots.mapping.request import trace_of
from bots.ports import Resource, Tools
from bots.prior_auth import Case
from fhir_profiles import elements, prior_auth, systems

PATH = "/payers/notifications"
EVENT = "event-notification"
ASK_AGAIN = timedelta(hours=1)  # after an inquiry about one request, before the next
EXT_ASKED = f"{systems.BASE}/StructureDefinition/prior-auth-asked"
TIMEOUT_S = 15.0
_log = logging.getLogger(__name__)


def token(secret: str) -> str:
    """Return what payers send us as proof; it tells nothing about our own secret."""
    return hmac.new(secret.encode(), b"notifications of payers", hashlib.sha256).hexdigest()


def subscribe(case: Case, endpoint: Resource, tools: Tools) -> None:
    """See that the payer tells us of its decisions on this request; without it people ask."""
    who, there = pas_notice.senders(case.sent), pas_notice.kept(endpoint)
    if not who or not tools.notices or who <= there.senders:
        return
    wish = pas_notice.subscription(who | there.senders, *tools.notices)
    address = tools.prior_auth.subscribe(
        str(endpoint["address"]), wish, there.address, timeout_s=TIMEOUT_S
    )
    if not address:
        _log.warning("the payer at Endpoint/%s takes no Subscription", endpoint["id"])
        return
    made = Kept(address, who | there.senders, there.seen if there.address == address else 0)
    if tools.fhir.update(pas_notice.keeping(endpoint, made)) is None:
        raise RetryLater("another delivery changed the Endpoint")


def receive(notice: Notice, tools: Tools) -> None:
    """Take a message of a payer. Raises RetryLater to have it again."""
    if notice.kind != EVENT:
        return
    for answer in notice.answers:
        found = _case(answer, tools)
        if found is None:
            _unknown(answer, tools)
        else:
            room.take(found, answer, room.payer_of(found, tools), tools)
    _count(notice, tools)


def inquire(case: Case, tools: Tools) -> str:
    """Ask the payer how a request stands, at most once an hour; return what came of it in words."""
    asked = elements.extension_value(case.task, EXT_ASKED)
    now = tools.now()
    if asked and now - datetime.fromisoformat(asked) < ASK_AGAIN:
        return "The payer was asked less than an hour ago."
    endpoint = room.endpoint_of(room.payer_of(case, tools), tools)
    if endpoint is None:
        return "The payer has no electronic way to be asked."
    mark = f"{case.task['id']}|{now.isoformat()}"
    uid = UUID(bytes=hashlib.sha256(mark.encode()).digest()[:16], version=4)
    question = pas_notice.inquiry(
        case.sent,
        number=trace_of(mark),
        uid=str(uid),
        moment=now.isoformat(timespec="milliseconds"),
    )
    stamp = {"url": EXT_ASKED, "valueDateTime": now.isoformat(timespec="milliseconds")}
    others = [e for e in case.task.get("extension", []) if e.get("url") != EXT_ASKED]
    task = tools.fhir.update({**case.task, "extension": [*others, stamp]})
    if task is None:
        raise RetryLater("another delivery changed the Task")
    submission = tools.prior_auth.inquire(str(endpoint["address"]), question, timeout_s=TIMEOUT_S)
    if submission.failure is not None:
        return submission.failure.text
    ours = {value for _, value in _names(case)}
    for answer in pas_notice.inquired(submission.answer):
        if ours & {value for _, value in pas_notice.traces(answer)}:
            room.take(replace(case, task=task), answer, room.payer_of(case, tools), tools)
            return "The payer answered."
    return "The payer knows of no such request."


def _names(case: Case) -> list[tuple[str, str]]:
    claim = case.sent["entry"][0]["resource"]
    return [(str(i.get("system", "")), str(i["value"])) for i in claim["identifier"]]


def _case(answer: Resource, tools: Tools) -> Case | None:
    """Return the case that an answer is about, by what it says that the request is called."""
    for system, value in pas_notice.traces(answer):
        wanted = f"{elements.escaped(system)}|{elements.escaped(value)}"
        for claim in tools.fhir.search("Claim", [("identifier", wanted)]):
            for task in tools.fhir.search("Task", [("focus", f"Claim/{claim['id']}")]):
                found = room.case_of(task, claim, tools)
                if found is not None:
                    return found
    return None


def _unknown(answer: Resource, tools: Tools) -> None:
    """Keep an answer to a request that is not ours, and say so."""
    kept = tools.fhir.create({k: v for k, v in answer.items() if k != "id"})
    tools.fhir.create(
        {
            "resourceType": "AuditEvent",
            "type": {"system": systems.AUDIT_TYPE, "code": "rest"},
            "subtype": [{"system": systems.AUDIT_SUBTYPE, "code": "unknown-prior-auth"}],
            "action": "E",
            "recorded": tools.now().isoformat(timespec="milliseconds"),
            "outcome": "4",
            "outcomeDesc": "A payer told of a prior authorization that is not known here",
            "agent": [{"altId": "payer", "requestor": True}],
            "source": {"observer": {"display": "inforce-bots"}},
            "entity": [{"what": {"reference": f"Bundle/{kept['id']}"}}],
        }
    )


def _count(notice: Notice, tools: Tools) -> None:
    """Note how many events there were; where some were missed, ask about all that wait."""
    wanted = f"{pas_notice.SUBSCRIPTION}|{elements.escaped(notice.subscription)}"
    for endpoint in tools.fhir.search("Endpoint", [("identifier", wanted)]):
        there = pas_notice.kept(endpoint)
        if notice.count <= there.seen:
            return
        missed = notice.count - there.seen - len(notice.answers)
        if missed > 0:
            _log.warning("%d messages of Endpoint/%s were missed", missed, endpoint["id"])
            _catch_up(endpoint, missed, tools)
        counted = pas_notice.keeping(endpoint, replace(there, seen=notice.count))
        if tools.fhir.update(counted) is None:
            raise RetryLater("another message changed the Endpoint")


def _catch_up(endpoint: Resource, missed: int, tools: Tools) -> None:
    """Ask once about each request that waits at this payer, and tell people."""
    waiting = ",".join(f"{prior_auth.STATUS}|{one}" for one in sorted(prior_auth.WAITING))
    wanted = [("code", f"{systems.TASK_CODE}|{prior_auth.CODE}"), ("business-status", waiting)]
    for task in tools.fhir.search("Task", wanted):
        found = room.case_of(task, None, tools)
        if found is None:
            continue
        at = room.endpoint_of(room.payer_of(found, tools), tools)
        if at is not None and at["id"] == endpoint["id"]:
            inquire(found, tools)
    mark = f"{endpoint['id']}|{tools.now().date()}"
    cause = f"missed-notices-{trace_of(mark)}"
    text = f"{missed} messages of a payer did not arrive; it was asked about all that wait."
    task = {
        "resourceType": "Task",
        "identifier": [{"system": systems.CAUSE, "value": cause}],
        "status": "requested",
        "intent": "order",
        "code": {
            "coding": [{"system": systems.TASK_CODE, "code": "missed-notices"}],
            "text": "Messages of a payer were missed",
        },
        "description": text,
        "focus": {"reference": f"Endpoint/{endpoint['id']}"},
        "authoredOn": tools.now().isoformat(timespec="milliseconds"),
    }
    tools.fhir.create_once(task, f"identifier={systems.CAUSE}|{cause}")
