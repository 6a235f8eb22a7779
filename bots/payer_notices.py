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

from bots import payer_address, prior_auth_review
from bots import prior_auth as room
from bots.errors import RetryLater
from bots.mapping import pas_metric, pas_notice, tasks
from bots.mapping.pas_metric import Exchanged, Kind
from bots.mapping.pas_notice import Kept, Notice
from bots.mapping.request import trace_of
from bots.ports import Failure, Resource, Submission, Tools
from bots.prior_auth import Case
from fhir_profiles import codec, elements, prior_auth, prior_auth_route, systems

PATH = "/payers/<endpoint_id>/notifications"
EVENT = "event-notification"
ASK_AGAIN = timedelta(hours=1)  # after an inquiry about one request, before the next
EXT_ASKED = f"{systems.BASE}/StructureDefinition/prior-auth-asked"
TIMEOUT_S = 15.0
_log = logging.getLogger(__name__)


def token(secret: str, endpoint_id: str) -> str:
    """Return what the payer at an Endpoint sends us as proof; it tells nothing of our secret."""
    told = f"notifications of Endpoint/{endpoint_id}"
    return hmac.new(secret.encode(), told.encode(), hashlib.sha256).hexdigest()


def subscribe(case: Case, endpoint: Resource, tools: Tools) -> None:
    """See that the payer tells us of its decisions on this request; without it people ask."""
    who, there = pas_notice.senders(case.sent), pas_notice.kept(endpoint)
    if not who or tools.notices is None:
        return
    base = str(endpoint["address"])
    is_told = who <= there.senders and tools.prior_auth.is_subscribed(
        base, there.address, timeout_s=TIMEOUT_S
    )
    if is_told:
        return
    wish = pas_notice.subscription(who | there.senders, *tools.notices(str(endpoint["id"])))
    address = tools.prior_auth.subscribe(base, wish, there.address, timeout_s=TIMEOUT_S)
    if not address:
        _log.warning("the payer at Endpoint/%s takes no Subscription", endpoint["id"])
        return
    made = Kept(address, who | there.senders, there.seen if there.address == address else 0)
    if tools.fhir.update(pas_notice.keeping(endpoint, made)) is None:
        raise RetryLater("another delivery changed the Endpoint")


def receive(notice: Notice, endpoint_id: str, tools: Tools) -> None:
    """Take a message of the payer at an Endpoint. Raises RetryLater to have it again."""
    if notice.kind != EVENT:
        return
    for answer in notice.answers:
        found = _case(answer, endpoint_id, tools)
        if found is None:
            _unknown(answer, tools)
        else:
            room.keep(found, codec.encode(answer), tools)
            told = Exchanged(Kind.SUBSEQUENT, tools.now(), tools.now())
            room.take(found, answer, payer_address.payer_of(found.claim, tools), tools, told)
    _count(notice, endpoint_id, tools)


def inquire(case: Case, tools: Tools) -> str:
    """Ask the payer how a request stands, at most once an hour; return what came of it in words."""
    asked = elements.extension_value(case.task, EXT_ASKED)
    if asked and tools.now() - datetime.fromisoformat(asked) < ASK_AGAIN:
        return "The payer was asked less than an hour ago."
    failure, words = ask(case, tools)
    return failure.text if failure else words


def ask(case: Case, tools: Tools) -> tuple[Failure | None, str]:
    """Ask now; return why the payer did not answer, or what it did."""
    now, payer = tools.now(), payer_address.payer_of(case.claim, tools)
    endpoint = payer_address.endpoint_of(case.task, payer, tools)
    way = prior_auth_route.review_of(endpoint) if endpoint else ""
    if endpoint is None or (way and not elements.identifier(case.task, prior_auth.TAKEN)):
        return None, "The payer has no electronic way to be asked."
    others = [e for e in case.task.get("extension", []) if e.get("url") != EXT_ASKED]
    stamp = {"url": EXT_ASKED, "valueDateTime": now.isoformat(timespec="milliseconds")}
    task = tools.fhir.update({**case.task, "extension": [*others, stamp]})
    if task is None:
        raise RetryLater("another delivery changed the Task")
    case = replace(case, task=task)
    if way:
        submission = prior_auth_review.submit(case.task, case.sent, payer, way, tools)
        answers = [submission.answer]
    else:
        submission = _question(case, str(endpoint["address"]), now, tools)
        answers = _about(case, submission.answer)
    method = pas_metric.X12 if way else pas_metric.RESTFUL
    told = Exchanged(Kind.QUERY, now, tools.now(), method=method)
    if submission.failure is not None:
        room.keep(case, submission.received, tools)
        room.record(case, replace(told, failure=submission.failure.code), (), tools)
        if way and not submission.taken:
            room.failed(case, submission.failure, tools)
        return submission.failure, ""
    if not answers:
        room.record(case, replace(told, failure="unknown-request"), (), tools)
        return None, "The payer knows of no such request."
    newest = max(answers, key=lambda one: str((one or {}).get("timestamp", "")))
    room.keep(case, submission.received, tools)
    room.take(case, newest, payer, tools, told)
    return None, "The payer answered."


def _question(case: Case, address: str, now: datetime, tools: Tools) -> Submission:
    """Send a PAS inquiry about a request."""
    mark = f"{case.task['id']}|{now.isoformat()}"
    uid = UUID(bytes=hashlib.sha256(mark.encode()).digest()[:16], version=4)
    moment = now.isoformat(timespec="milliseconds")
    question = pas_notice.inquiry(case.sent, number=trace_of(mark), uid=str(uid), moment=moment)
    return tools.prior_auth.inquire(address, question, timeout_s=TIMEOUT_S)


def _about(case: Case, answer: Resource | None) -> list[Resource | None]:
    """Return those of a payer's answers to an inquiry that are about our request."""
    ours = {(str(i.get("system", "")), str(i.get("value", ""))) for i in _claim(case)["identifier"]}
    return [one for one in pas_notice.inquired(answer) if ours & set(pas_notice.traces(one))]


def _claim(case: Case) -> Resource:
    claim: Resource = case.sent["entry"][0]["resource"]
    return claim


def _case(answer: Resource, endpoint_id: str, tools: Tools) -> Case | None:
    """Return the case of this payer that an answer is about, by what the request is called."""
    for system, value in pas_notice.traces(answer):
        for task in room.tasks_called(system, value, tools):
            found = room.case_of(task, tools)
            if found is not None and _is_at(found, endpoint_id, tools):
                return found
    return None


def _is_at(case: Case, endpoint_id: str, tools: Tools) -> bool:
    payer = payer_address.payer_of(case.claim, tools)
    endpoint = payer_address.endpoint_of(case.task, payer, tools)
    return endpoint is not None and endpoint["id"] == endpoint_id


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


def _count(notice: Notice, endpoint_id: str, tools: Tools) -> None:
    """Note how many events there were; where some were missed, ask about all that wait."""
    (endpoint,) = tools.fhir.read_all([f"Endpoint/{endpoint_id}"])
    if endpoint is None:
        return
    there = pas_notice.kept(endpoint)
    mark = f"{endpoint_id}|{tools.now().date()}"
    cause = f"missed-notices-{trace_of(mark)}"
    if 0 < notice.count <= there.seen:
        _arrived(cause, tools)  # it was late, not lost
        return
    missed = max(notice.count - there.seen - len(notice.answers), notice.lost)
    if missed > 0:
        _log.warning("%d messages of Endpoint/%s were missed", missed, endpoint_id)
        _catch_up(endpoint_id, tools)
        task = _missed(endpoint_id, missed, cause, tools.now())
        tools.fhir.create_once(task, f"identifier={systems.CAUSE}|{cause}")
    if notice.count > there.seen:
        counted = pas_notice.keeping(endpoint, replace(there, seen=notice.count))
        if tools.fhir.update(counted) is None:
            raise RetryLater("another message changed the Endpoint")


def _catch_up(endpoint_id: str, tools: Tools) -> None:
    """Ask about each request that waits at this payer. Raises RetryLater where one is left."""
    waiting = ",".join(f"{prior_auth.STATUS}|{one}" for one in sorted(prior_auth.WAITING))
    wanted = [("code", prior_auth.TOKEN), ("business-status", waiting)]
    failures = []
    for task in tools.fhir.search("Task", wanted):
        found = room.case_of(task, tools)
        if found is not None and _is_at(found, endpoint_id, tools):
            failure, _ = ask(found, tools)
            failures += [failure] if failure else []
    if failures:
        raise RetryLater(failures[0].code, after_s=failures[0].after_s)


def _arrived(cause: str, tools: Tools) -> None:
    """Complete the Task about missed messages: they came after all."""
    for task in tools.fhir.search("Task", [("identifier", f"{systems.CAUSE}|{cause}")]):
        if task["status"] == "requested":
            tools.fhir.update({**task, "status": "completed"})


def _missed(endpoint_id: str, missed: int, cause: str, now: datetime) -> Resource:
    text = f"{missed} messages of a payer did not arrive; it was asked about all that wait."
    title = "Messages of a payer were missed"
    found = tasks.made(f"Endpoint/{endpoint_id}", "missed-notices", cause, title, text)
    return {**found, "authoredOn": now.isoformat(timespec="milliseconds")}
