"""The page of one prior authorization: what was asked, what the payer decided, and its story."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from fhir_profiles import (
    codec,
    codes,
    crosswalk,
    elements,
    pas,
    payer_asks,
    prior_auth,
    prior_auth_claim,
    prior_auth_clock,
    systems,
)
from fhir_profiles.decision_clock import Urgency
from fhir_profiles.prior_auth import Status
from server.interactions import history, read, search
from server.interactions.engine import Engine
from server.search.values import moment
from server.web import (
    authorization_clock,
    authorization_owner,
    authorization_told,
    authorizations,
)
from server.web.authorization_lines import Line, lines, used
from server.web.authorization_record import Exchange, Kept, exchanges, kept, measure, notes
from server.web.authorization_row import LIVE, PAS, Held, Row, row_of
from server.web.authorization_words import NO_WORD, WORDS, known, words
from server.web.authorization_words import asked as words_of_ask
from server.web.authorizations import MAY_SEND
from server.web.records import person
from server.web.states import Word

Resource = dict[str, Any]
_RENEWABLE = frozenset({Status.DENIED, Status.PARTIAL, Status.MODIFIED, Status.EXPIRED})
Find = Callable[[str], Resource]  # what stands at an address, {} where nothing does
STEPS = 50


@dataclass(frozen=True, slots=True)
class Ask:
    """What the payer asks for: its id in the answer, words, what may be sent, what was sent."""

    id: str
    words: str
    choices: list[tuple[str, str]]
    sent: str


@dataclass(frozen=True, slots=True)
class Step:
    """One turn of the story."""

    at: datetime
    status: Word
    reason: str


@dataclass(frozen=True, slots=True)
class Story:
    """The page of one prior authorization."""

    row: Row
    lines: list[Line]
    asks: list[Ask]
    steps: list[Step]
    claim: str
    response: str
    goes_along: list[tuple[str, str]]
    may_send: bool
    may_withhold: bool
    may_change: bool
    may_ask: bool
    may_cancel: bool
    told: str
    exchanges: list[Exchange]
    kept: list[Kept]
    may_renew: bool
    appeal_by: str
    linked: list[tuple[str, str]]
    may_extend: bool
    may_judge: bool
    may_record: bool
    notes: list[str]
    used: list[tuple[int, int]]
    owner: str
    owners: list[tuple[str, str]]


def story(engine: Engine, task_id: str, zone: ZoneInfo) -> Story:
    """Return everything about one prior authorization. Raises NotFound for any other Task."""
    task = authorizations.found(engine, task_id)
    claim, find = _sent(engine, task)
    address = prior_auth.part(task, prior_auth.RESPONSE)
    response = read.referenced(engine, "ClaimResponse", address)
    stored = read.referenced(engine, "Claim", elements.reference(task["focus"])) or {}
    told = list(lines(claim, response))
    row = row_of(Held(engine), task, zone)
    is_pas = row.payer.way == PAS
    is_taken = bool(elements.identifier(task, prior_auth.TAKEN))
    status = prior_auth.status(task)
    return Story(
        row=row,
        lines=told,
        asks=asked(engine, task),
        steps=_steps(engine, task_id, zone),
        claim=elements.reference(task["focus"]),
        response=address,
        goes_along=list(_along(claim, find)),
        may_send=status in MAY_SEND,
        may_withhold=may_withhold(task),
        may_change=may_change(task, claim),
        may_ask=status in prior_auth.WAITING and (is_pas or is_taken),
        may_cancel=may_cancel(task) and is_pas,
        told=_told(engine, task_id),
        exchanges=list(exchanges(engine, task_id, zone)),
        kept=list(kept(engine, task, zone)),
        may_renew=may_renew(task),
        appeal_by=str(elements.extension_value(task, prior_auth.EXT_APPEAL_BY) or ""),
        linked=list(_linked(engine, task)),
        may_extend=authorization_clock.may_extend(task),
        may_judge=authorization_clock.may_judge(task),
        may_record=authorization_told.may_record(task),
        notes=list(notes(task, zone)),
        used=list(used(engine, claim, stored, told)),
        owner=elements.reference(task.get("owner")),
        owners=authorization_owner.with_current(
            authorization_owner.choices(engine), elements.reference(task.get("owner")), row.owner
        ),
    )


def may_change(task: Resource, claim: Resource) -> bool:
    """Tell whether a request was filled in here, and has not gone out.

    An appeal, an update or a cancellation is not what the form makes: it is not changed by it.
    """
    is_filled_in = bool(prior_auth_claim.wishes(claim).key)
    return is_filled_in and prior_auth.is_first(claim) and may_withhold(task)


def may_withhold(task: Resource) -> bool:
    """Tell whether it is sure that a request has not gone out: a draft, or one for people."""
    status, reason = prior_auth.status(task), task.get("statusReason")
    return status == Status.DRAFT or (status == Status.READY and bool(reason))


def may_renew(task: Resource) -> bool:
    """Tell whether a request that was built here is decided in a way that one may ask again."""
    is_built = elements.identifier(task, prior_auth.NUMBER).startswith("Claim/")
    return is_built and prior_auth.status(task) in _RENEWABLE


def numbers(engine: Engine, task: Resource, claim: Resource) -> dict[int, str]:
    """Return the numbers of the decisions on a request, by item."""
    response = read.referenced(engine, "ClaimResponse", prior_auth.part(task, prior_auth.RESPONSE))
    return {line.sequence: line.number for line in lines(claim, response) if line.number}


def _linked(engine: Engine, task: Resource) -> Iterator[tuple[str, str]]:
    """Yield what a request follows from, and what follows from it: Task ids and words."""
    for one in task.get("basedOn", []):
        address = elements.reference(one)
        if address.startswith("Task/"):
            yield address.removeprefix("Task/"), "Follows from an earlier request"
    wanted = [("based-on", f"Task/{task['id']}"), ("code", prior_auth.TOKEN)]
    for later in search.found(engine, "Task", wanted, STEPS):
        word = WORDS.get(known(prior_auth.status(later)), NO_WORD)
        yield str(later["id"]), f"Asked again: {word.word}"


def may_cancel(task: Resource) -> bool:
    """Tell whether a request was built here, and is live at the payer."""
    is_built = elements.identifier(task, prior_auth.NUMBER).startswith("Claim/")
    return is_built and prior_auth.status(task) in prior_auth.WAITING | LIVE


def _sent(engine: Engine, task: Resource) -> tuple[Resource, Find]:
    """Return the Claim as it went out, or as it is, and what finds the resources that it names.

    Of an update that went out, what it leaves out is there as cancelled.
    """
    bundle = read.referenced(engine, "Bundle", prior_auth.part(task, prior_auth.REQUEST))
    if bundle is not None:
        there = {entry["fullUrl"]: entry["resource"] for entry in bundle["entry"]}
        return bundle["entry"][0]["resource"], lambda address: there.get(address, {})

    def find(address: str) -> Resource:
        return read.referenced(engine, address.partition("/")[0], address) or {}

    return find(elements.reference(task["focus"])), find


def _along(claim: Resource, find: Find) -> Iterator[tuple[str, str]]:
    """Yield what goes to the payer beside the services: who, where, why, and what goes along."""
    for one in claim.get("careTeam", []):
        role = find(elements.reference(one.get("provider")))
        who = find(elements.reference(role.get("practitioner"))) if role else {}
        yield "Treats", person(who)
    for one in claim.get("insurance", [])[:1]:
        coverage = find(elements.reference(one.get("coverage")))
        numbers = [*crosswalk.member_numbers(coverage)]
        yield "Member id", str(numbers[0]["value"]) if numbers else "Not stated"
    for one in claim.get("item", [])[:1]:
        kind = elements.extension_value(one, pas.EXT_REQUEST_TYPE)
        yield (
            "Kind",
            prior_auth_claim.KINDS.get(elements.code(kind, f"{pas.X12}/1525"), "") or "Not stated",
        )
        service_type = elements.code(one.get("category"), f"{pas.X12}/1365")
        named = codes.names("service_type_codes")
        yield "Service type", named.get(service_type, service_type) or "Not stated"
        place = elements.code(one.get("locationCodeableConcept"), pas.PLACE_OF_SERVICE)
        yield "Place", codes.names("place_of_service").get(place, place) or "Not stated"
    for one in claim.get("diagnosis", []):
        yield "Diagnosis", words(one.get("diagnosisCodeableConcept", {}))
    urgent = prior_auth_clock.asked(claim) is Urgency.EXPEDITED
    yield "Urgency", "Urgent" if urgent else "Standard"
    for one in claim.get("supportingInfo", []):
        if "valueString" in one:
            yield "Message", str(one["valueString"])
        elif "valueReference" in one:
            there = find(elements.reference(one["valueReference"]))
            yield "Document", str(there.get("description") or words(there.get("type", {})))


def asked(engine: Engine, task: Resource) -> list[Ask]:
    """Return what the payer asks for as long as it waits for that."""
    address = prior_auth.part(task, prior_auth.RESPONSE)
    response = read.referenced(engine, "ClaimResponse", address)
    if response is None or prior_auth.status(task) not in prior_auth.WAITING:
        return []
    return list(_asks(engine, task, response))


def _asks(engine: Engine, task: Resource, response: Resource) -> Iterator[Ask]:
    """Yield what the payer asks for, in words, and what could be sent for it; the codes are its."""
    patient = elements.reference(task.get("for"))
    documents = list(authorizations.documents(engine, patient))
    forms = list(_questionnaires(engine, patient))
    sent = _documents_sent(engine, task["id"])
    for ask_id, ask in payer_asks.asks(response).items():
        is_form = payer_asks.is_questionnaire(ask)
        there = sent.get((f"ClaimResponse/{response['id']}", ask_id), "")
        yield Ask(ask_id, words_of_ask(ask), forms if is_form else documents, there)


def _questionnaires(engine: Engine, patient: str) -> Iterator[tuple[str, str]]:
    """Yield the questionnaires that were filled in about a patient."""
    wanted = [("subject", patient), ("status", "completed,amended"), ("_sort", "-authored")]
    for one in search.found(engine, "QuestionnaireResponse", wanted, STEPS):
        day = str(one.get("authored", ""))[: elements.FULL_DATE]
        yield f"QuestionnaireResponse/{one['id']}", f"Filled in {day or 'on a day not stated'}"


def _documents_sent(engine: Engine, task_id: str) -> dict[tuple[str, str], str]:
    """Return answer and ask -> what came of the newest wish to send a document for it."""
    wanted = [
        ("focus", f"Task/{task_id}"), ("code", f"{systems.TASK_CODE}|{payer_asks.SEND_DOCUMENT}"),
        ("_sort", "_lastUpdated"),
    ]  # fmt: skip
    found = {}
    for wish in search.found(engine, "Task", wanted, STEPS):
        response, ask_id, address = payer_asks.wished(wish)
        words = str(wish.get("statusReason", {}).get("text", "")) or "It is being sent."
        document = read.referenced(engine, "DocumentReference", address)
        found[response, ask_id] = f"{words} ({measure(document)})" if document else words
    return found


def _steps(engine: Engine, task_id: str, zone: ZoneInfo) -> list[Step]:
    """Return the turns of a Task, the newest first; what did not turn it is left out."""
    past = history.history(engine, ("Task", task_id), [("_count", str(STEPS))])
    found: list[Step] = []
    for version in reversed(past.versions):
        body = codec.decode(version.body) if version.body is not None else {}
        word = WORDS.get(known(prior_auth.status(body)), NO_WORD)
        step = Step(
            moment(version.updated).astimezone(zone), word,
            str(body.get("statusReason", {}).get("text", "")),
        )  # fmt: skip
        if not found or (step.status, step.reason) != (found[-1].status, found[-1].reason):
            found.append(step)
    return found[::-1]


def _told(engine: Engine, task_id: str) -> str:
    """Return what came of the last inquiry, "" where there was none."""
    wanted = [
        ("focus", f"Task/{task_id}"), ("code", f"{systems.TASK_CODE}|{prior_auth.INQUIRE}"),
        ("_sort", "-_lastUpdated"), ("_count", "1"), ("_total", "none"),
    ]  # fmt: skip
    found = search.search(engine, "Task", wanted).bodies
    if not found:
        return ""
    wish = codec.decode(found[0])
    return str(wish.get("statusReason", {}).get("text", "")) or "The payer is being asked."
