"""One prior authorization between us and its payer: the request built, sent, and its answer taken.

The Task is the truth. A request goes out as it is kept, so that sending it again changes nothing;
an answer is kept before the Task says so.
"""

import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from bots import payer_address, prior_auth_orders, prior_auth_review
from bots.errors import NeverRetry, RetryLater
from bots.mapping import (
    pas_answer,
    pas_asks,
    pas_metric,
    pas_older,
    pas_request,
    pas_update,
    payload,
)
from bots.mapping.pas_metric import Exchanged, Kind
from bots.mapping.request import trace_of
from bots.ports import Failure, Resource, Submission, Tools
from bots.prior_auth_task import move, stored
from fhir_profiles import (
    decisions,
    elements,
    pas,
    pas_rules,
    prior_auth,
    prior_auth_route,
    systems,
)
from fhir_profiles.decisions import Answer, Item, State
from fhir_profiles.prior_auth import Status

TIMEOUT_S = 15.0  # PAS asks for an answer to the user within 15 s
ROUTE = "pas"
_NO_ROUTE = (
    "The payer has no electronic way for prior authorizations here: send it by its portal or fax, "
    "or add a PAS Endpoint to its Organization."
)
_DENIED = "Not sent: a denied request cannot be updated. Submit a new one, without `related`."
_ENTRY = re.compile(r"Bundle\.entry\[(\d+)\]\.resource")
CHAIN_LIMIT = 50  # updates of one request
_log = logging.getLogger(__name__)


Subscribe = Callable[["Case", Resource, Tools], None]


@dataclass(frozen=True, slots=True)
class Case:
    """A prior authorization: its Task, the Claim, and the request as it goes out."""

    task: Resource
    claim: Resource
    sent: Resource


def send(task: Resource, tools: Tools, subscribe: Subscribe) -> None:
    """Send what a Task asks for, unless that is done. Raises RetryLater where it may work later.

    Before, `subscribe` sees that the payer tells us of what it decides later.
    """
    asked = _asked(task, tools)
    (claim,) = tools.fhir.read_all([elements.reference(task.get("focus"))])
    if claim is None:
        move(task, Status.DRAFT, "The Claim is not on this server.", tools)
        return
    case = _ready(task, claim, tools)
    if case is None:
        return
    payer = payer_address.payer_of(claim, tools)
    case = replace(case, task=payer_address.discovered(case.task, claim, case.sent, tools))
    endpoint = payer_address.endpoint_of(case.task, payer, tools)
    if endpoint is None:
        move(case.task, Status.READY, _NO_ROUTE, tools)
        return
    case, submission = _submitted(case, endpoint, payer, subscribe, tools)
    keep(case, submission.received, tools)
    failure = submission.failure
    is_review = prior_auth_route.review_of(endpoint)
    method = pas_metric.X12 if is_review else pas_metric.RESTFUL
    told = Exchanged(
        pas_metric.kind_of(case.sent), asked, tools.now(), failure.code if failure else "", method
    )
    if failure is None:
        take(case, submission.answer, payer, tools, told)
        return
    record(case, told, (), tools)
    if submission.taken:
        move(_timed(case, [], payer, tools), Status.SENT, failure.text, tools)
    else:
        failed(case, failure, tools)


def failed(case: Case, failure: Failure, tools: Tools) -> None:
    """Say why a request was not sent. Raises RetryLater where it goes again by itself."""
    task = prior_auth.retried(case.task) if failure.again else case.task
    move(prior_auth.with_taken(task, ""), Status.SEND_FAILED, failure.text, tools)
    if failure.again:
        raise RetryLater(failure.code, after_s=failure.after_s)


def _submitted(
    case: Case, endpoint: Resource, payer: Resource, subscribe: Subscribe, tools: Tools
) -> tuple[Case, Submission]:
    """Send the request in the way that the payer's Endpoint takes."""
    way, task = prior_auth_route.review_of(endpoint), case.task
    if way == prior_auth_route.SERVICE_REVIEWS:
        task, submission = prior_auth_review.filed(task, case.sent, payer, way, tools)
        case = replace(case, task=task)
        if not submission.taken:
            return case, submission
    if way:
        return case, prior_auth_review.submit(task, case.sent, payer, way, tools)
    subscribe(case, endpoint, tools)
    is_ours = elements.identifier(case.task, prior_auth.NUMBER).startswith("Claim/")
    is_older = is_ours and prior_auth_route.is_older(endpoint)
    sent = pas_older.bundle(case.sent) if is_older else case.sent
    address = str(endpoint["address"])
    return case, tools.prior_auth.submit(address, sent, timeout_s=TIMEOUT_S)


def _asked(task: Resource, tools: Tools) -> datetime:
    """Return since when somebody waits: the Task was turned then; of a retry, since now."""
    turned = task.get("meta", {}).get("lastUpdated")
    if turned is None or prior_auth.is_retried(task):
        return tools.now()
    return min(datetime.fromisoformat(turned), tools.now())


def record(case: Case, told: Exchanged, items: Iterable[Item], tools: Tools) -> None:
    """Keep the record of one exchange; a slow one is told of."""
    if told.is_slow:
        _log.warning("the answer to prior authorization %s took more than 15 s", case.task["id"])
    made = pas_metric.record(case.task, case.claim, case.sent, told, items)
    cause = elements.identifier(made, systems.CAUSE)
    tools.fhir.create_once(made, f"identifier={systems.CAUSE}|{cause}")


def case_of(task: Resource, tools: Tools) -> Case | None:
    """Return the case of a Task that was sent, None for one that was not."""
    addresses = [elements.reference(task.get("focus")), prior_auth.part(task, prior_auth.REQUEST)]
    claim, sent = tools.fhir.read_all(addresses)
    if claim is None or sent is None:
        return None
    return Case(task, claim, {k: v for k, v in sent.items() if k not in ("id", "meta")})


def take(
    case: Case, answer: Resource | None, payer: Resource, tools: Tools, told: Exchanged
) -> None:
    """Take a payer's response Bundle, now or later told; an older one changes nothing.

    What is decided is never undone by an answer that cannot be read, or is an error. One that an
    inquiry asked for does not say what the payer wants, so that a pend changes nothing.
    """
    (before,) = tools.fhir.read_all([prior_auth.part(case.task, prior_auth.ANSWER)])
    seen = replace(case, task=prior_auth.with_sent(case.task, told.asked))
    try:
        read_as = pas_answer.read(answer, case.sent)
        is_newer = answer is not None and pas_answer.is_newer(answer, before)
    except decisions.Unreadable as error:
        _log.warning("the answer to prior authorization %s is unreadable", case.task["id"])
        record(case, replace(told, failure="unreadable"), (), tools)
        if before is None:
            _unreadable(seen, str(error), payer, tools)
        return
    if answer is None or not is_newer:
        return
    is_asked = told.kind is Kind.QUERY
    is_no_news = is_asked and read_as.state in (State.PENDED, State.MORE_INFORMATION)
    turned = None
    if before is None or not (is_no_news or read_as.state is State.REJECTED):
        case = case if read_as.state is State.REJECTED else seen
        try:
            turned = _stated(case, answer, read_as, payer, tools)
        except NeverRetry as error:
            _log.error(
                "the answer to prior authorization %s is not stored: %s", case.task["id"], error
            )
            record(case, replace(told, failure="not-stored"), (), tools)
            _unreadable(seen, "our server does not take it", payer, tools)
            return
    case = turned or case
    record(case, told, read_as.items, tools)
    if turned is not None:
        to, reason = pas_answer.status(read_as)
        _log.info("prior authorization %s: %s", case.task["id"], to.value)
        move(case.task, to, reason, tools)  # last: whoever sees it finds the rest done


def _unreadable(case: Case, why: str, payer: Resource, tools: Tools) -> None:
    """Have a person look at an answer that is kept, and says nothing that can be shown."""
    if prior_auth.status(case.task) != Status.CANCELLED:
        timed = _timed(case, _replaced(case, tools), payer, tools)
        move(timed, Status.UNREADABLE, f"Could not read the answer: {why}.", tools)


def _stated(
    case: Case, answer: Resource, read_as: Answer, payer: Resource, tools: Tools
) -> Case | None:
    """Store what an answer says; return the case with the Task that refers to it, not moved yet.

    None where the Task is over: its update or its cancellation holds.
    """
    made = pas_answer.claim_response(case.task, case.claim, case.sent, answer, read_as)
    cause = made["identifier"][-1]
    response = tools.fhir.create_once(made, f"identifier={cause['system']}|{cause['value']}")
    if prior_auth.status(case.task) == Status.CANCELLED:
        return None
    older = [] if read_as.state is State.REJECTED else _replaced(case, tools)
    if read_as.state is not State.REJECTED:
        prior_auth_orders.annotate(case.claim, [case.task, *older], response, tools)
    kept = tools.fhir.create({k: v for k, v in answer.items() if k != "id"})
    task = case.task if read_as.state is State.REJECTED else _timed(case, older, payer, tools)
    for code, one in ((prior_auth.ANSWER, kept), (prior_auth.RESPONSE, response)):
        address = f"{one['resourceType']}/{one['id']}"
        task = prior_auth.with_part(task, "output", code, address)
    task = prior_auth.with_expiry(task, pas_answer.expiry(read_as))
    if read_as.asks:
        _gather(case, task, response, payer, tools)
    for old in older:
        text = f"Replaced by its update {elements.reference(case.task['focus'])}."
        move(prior_auth.with_expiry(old, ""), Status.CANCELLED, text, tools)
    return replace(case, task=task)


def _gather(case: Case, task: Resource, response: Resource, payer: Resource, tools: Tools) -> None:
    """Make the Tasks of what the payer asks for."""
    endpoint = payer_address.endpoint_of(task, payer, tools)
    (provider,) = tools.fhir.read_all([elements.reference(case.claim.get("provider"))])
    address = str(endpoint["address"]) if endpoint else ""
    for wanted in pas_asks.tasks(task, response, (payer, provider or {}), address):
        tools.fhir.create_once(wanted, pas_asks.cause_of(wanted))


def _ready(task: Resource, claim: Resource, tools: Tools) -> Case | None:
    """Return the case with its request kept; None where rules keep it from being sent."""
    there = prior_auth.part(task, prior_auth.REQUEST)
    (sent,) = tools.fhir.read_all([there]) if there else (None,)
    if sent is None:
        number = f"Claim/{claim['id']}/_history/{claim['meta']['versionId']}"
        sent = _built(_chain(claim, tools), number, tools)
        breaches = _breaches(sent, tools)
        if breaches:
            text = prior_auth.INCOMPLETE + "; ".join(breaches)
            move(task, Status.DRAFT, text, tools)
            return None
        kept = tools.fhir.create(sent)
        task = prior_auth.with_part(task, "input", prior_auth.REQUEST, f"Bundle/{kept['id']}")
        task = stored(task, tools)
    case = Case(task, claim, {k: v for k, v in sent.items() if k not in ("id", "meta")})
    if any(prior_auth.status(old) == Status.DENIED for old in _replaced(case, tools)):
        move(task, Status.DRAFT, _DENIED, tools)
        return None
    return case


def _breaches(sent: Resource, tools: Tools) -> list[str]:
    """Return what keeps a request from being sent: its profiles, and the rules of the guide."""
    told = {one.path: one.text for one in pas_rules.check(sent) if one.is_error}
    found = [one for one in tools.fhir.problems(sent, pas.REQUEST_BUNDLE) if one[0] not in told]
    return [f"{_place(path, sent)}: {text}" for path, text in [*told.items(), *found]]


def _place(path: str, sent: Resource) -> str:
    """Return where a breach is as people know it: by the resource, not by its place in a Bundle."""
    there = _ENTRY.match(path)
    if there is None:
        return path
    one = sent["entry"][int(there[1])]["resource"]
    return f"{one['resourceType']}/{one.get('id', '')}".rstrip("/") + path[there.end() :]


def _built(chain: list[Resource], number: str, tools: Tools) -> Resource:
    """Return the request Bundle about the newest Claim of a chain."""
    claim, before = pas_update.whole(chain)
    reached = _reached(claim, tools)
    if before is not None:
        reached[pas_update.prior(claim)] = before
    return pas_request.bundle(claim, reached, number=number, moment=tools.now(), server=tools.site)


def _chain(claim: Resource, tools: Tools) -> list[Resource]:
    """Return a Claim, the one that it updates, and so on to the first."""
    chain = [claim]
    while len(chain) < CHAIN_LIMIT:
        (before,) = tools.fhir.read_all([pas_update.prior(chain[-1])])
        if before is None or before["id"] in {one["id"] for one in chain}:
            break
        chain.append(before)
    return chain


def _replaced(case: Case, tools: Tools) -> list[Resource]:
    """Return the Tasks of the Claim that this request updates, found by what that is called."""
    first, *others = (entry["resource"] for entry in case.sent["entry"])
    if not first.get("related"):
        return []
    priors = [one for one in others if one["resourceType"] == "Claim"]
    found = {
        task["id"]: task
        for prior in priors for one in prior.get("identifier", [])
        for task in tasks_called(str(one.get("system", "")), str(one.get("value", "")), tools)
    }  # fmt: skip
    found.pop(case.task["id"], None)
    return list(found.values())


def tasks_called(system: str, value: str, tools: Tools) -> list[Resource]:
    """Return the Tasks of the Claims with this identifier: live ones first, then the newest."""
    wanted = f"{elements.escaped(system)}|{elements.escaped(value)}"
    code = ("code", prior_auth.TOKEN)
    tasks = [
        task
        for claim in tools.fhir.search("Claim", [("identifier", wanted)])
        for task in tools.fhir.search("Task", [code, ("focus", f"Claim/{claim['id']}")])
    ]
    tasks.sort(key=lambda one: str(one["authoredOn"]), reverse=True)
    return sorted(tasks, key=lambda one: prior_auth.status(one) == Status.CANCELLED)


def _reached(claim: Resource, tools: Tools) -> dict[str, Resource]:
    """Read everything that a Claim refers to, directly or not; one batch for each step away."""
    reached: dict[str, Resource] = {}
    todo = pas_request.wanted(claim, is_first=True)
    asked: set[str] = set()
    while todo:
        asked.update(todo)
        found = zip(todo, tools.fhir.read_all(todo), strict=True)
        new = {address: one for address, one in found if one is not None}
        reached |= new
        following = (a for one in new.values() for a in pas_request.wanted(one, is_first=False))
        todo = [address for address in dict.fromkeys(following) if address not in asked]
    return reached


def keep(case: Case, received: bytes, tools: Tools) -> None:
    """Keep what came back, sealed, whatever it is."""
    if not received:
        return
    number = elements.identifier(case.task, prior_auth.NUMBER)
    made = payload.resources(
        case.claim, trace_of(number), ROUTE, ("", received),
        moment=tools.now(), seal=tools.vault.seal,
    )  # fmt: skip
    try:
        tools.fhir.put_all(made)
    except NeverRetry as error:
        _log.error("the answer to %s is not kept: %s", case.task["id"], error)


def _timed(case: Case, older: list[Resource], payer: Resource, tools: Tools) -> Resource:
    """Return the Task with its due time: of the first answer, which proves that it was received.

    `older` are the Tasks that it replaces.
    """
    task = case.task
    if task.get("restriction"):
        return task
    for old in older:
        task = prior_auth.continued(task, old)
    if task.get("restriction"):  # what an update leaves alone keeps its clock
        return task
    due = pas_answer.due(task, case.sent, payer, tools.now(), tools.zone)
    if due is None:
        return task
    period = {
        "start": tools.now().isoformat(timespec="milliseconds"),
        "end": due.isoformat(timespec="milliseconds"),
    }
    return {**task, "restriction": {"period": period}}
