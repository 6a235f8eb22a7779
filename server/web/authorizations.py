"""The pages of prior authorizations: the worklist by time left, and one with its whole story."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from fhir_profiles import codec, decisions, elements, pas, prior_auth, systems
from fhir_profiles.decisions import Action, Item
from fhir_profiles.prior_auth import Status
from server.errors import NotFound
from server.interactions import history, read, search
from server.interactions.engine import Engine
from server.search.values import moment
from server.web.states import Word

Resource = dict[str, Any]
SHOWN, STEPS = 50, 50
IN_HOURS = timedelta(hours=48)  # below it, the time left is told in hours
OPEN = "open"
WORDS = {
    Status.DRAFT: Word(
        "Draft", "✎", "look", "Complete the request: the reason says what is missing."
    ),
    Status.NEEDS_DOCUMENTS: Word("Needs documents", "!", "look", "Add what the payer asks for."),
    Status.READY: Word("Ready", "…", "open", "It is being sent; with a reason, send it yourself."),
    Status.SENT: Word("Sent", "→", "open", "Wait for the payer, or ask now."),
    Status.PENDED: Word("In review", "…", "open", "Wait for the payer, or ask now."),
    Status.MORE_INFORMATION: Word("More information asked", "!", "look", "Send what is asked for."),
    Status.APPROVED: Word("Approved", "✓", "good", "The visit may go ahead as approved."),
    Status.MODIFIED: Word("Approved with changes", "✓!", "look", "Compare what was approved."),
    Status.PARTIAL: Word("Partly approved", "✓!", "look", "Look at each service."),
    Status.DENIED: Word("Denied", "✕", "bad", "Read the reason; appeal, or ask anew."),
    Status.CANCELLED: Word("Cancelled", "–", "open", "Nothing is left to do."),
    Status.EXPIRED: Word("Expired", "–", "bad", "Ask anew before the next visit."),
    Status.SEND_FAILED: Word(
        "Send failed", "✕", "bad", "Correct what the reason names, or send again."
    ),
    Status.UNREADABLE: Word(
        "Could not read the answer", "?", "bad", "Call the payer; its answer is kept."
    ),
}
_ACTIONS = {
    Action.CERTIFIED: Word("Approved", "✓", "good", ""),
    Action.PARTIAL: Word("Partly approved", "✓!", "look", ""),
    Action.DENIED: Word("Denied", "✕", "bad", ""),
    Action.PENDED: Word("In review", "…", "open", ""),
    Action.MODIFIED: Word("Approved with changes", "✓!", "look", ""),
    Action.CANCELLED: Word("Cancelled", "–", "open", ""),
    Action.CONTACT_PAYER: Word("Call the payer", "☎", "look", ""),
    Action.NOT_REQUIRED: Word("Not required", "✓", "good", ""),
}
_NO_WORD = Word("Not answered yet", "…", "open", "")
MAY_SEND = prior_auth.TO_SEND | {Status.DRAFT}
_LIVE = frozenset({Status.APPROVED, Status.MODIFIED, Status.PARTIAL})
_OURS = frozenset(
    {Status.DRAFT, Status.NEEDS_DOCUMENTS, Status.READY, Status.MORE_INFORMATION,
     Status.SEND_FAILED, Status.UNREADABLE}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Clock:
    """The payer's clock in words, and the moment it ends; `tone` as in site.css."""

    words: str
    tone: str
    due: datetime | None


@dataclass(frozen=True, slots=True)
class Row:
    """One prior authorization in the list."""

    id: str
    clock: Clock
    patient: str
    payer: str
    services: list[str]
    day: str
    is_before: bool  # the service is to be before the decision is due
    status: Word
    reason: str
    changed: datetime | None


@dataclass(frozen=True, slots=True)
class Worklist:
    """The page: those with a clock by the time left, then those that wait for us, then others."""

    rows: list[Row]
    more: bool
    state: str
    overdue: int


@dataclass(frozen=True, slots=True)
class Line:
    """One service: what was asked, what was decided, and all that the payer says of it."""

    sequence: int
    service: str
    decision: Word
    code: str
    number: str
    period: str
    reasons: list[str]
    notes: list[str]
    instead: list[str]


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
    asks: list[str]
    steps: list[Step]
    claim: str
    response: str
    may_send: bool
    may_ask: bool
    may_cancel: bool
    told: str


def worklist(engine: Engine, zone: ZoneInfo, asked: Mapping[str, str]) -> Worklist:
    """Return the list that `state` names: a status, all, or (by default) what is open."""
    state = asked.get("state", OPEN) or OPEN
    code = ("code", prior_auth.TOKEN)
    wanted = [code, ("_sort", "due"), ("_count", str(SHOWN)), ("_total", "none")]
    if state in set(Status):
        wanted.append(("business-status", f"{prior_auth.STATUS}|{state}"))
    elif state != "all":
        state = OPEN
        wanted.append(("status", "draft,requested,in-progress"))
    page = search.search(engine, "Task", wanted)
    rows = [_row(engine, codec.decode(body), zone) for body in page.bodies]
    overdue = sum(1 for row in rows if row.clock.tone == "bad")
    return Worklist(sorted(rows, key=_place), bool(page.next), state, overdue)


def _place(row: Row) -> tuple[int, float]:
    """Return where a row stands: by the time it is due, then what waits for us, then the rest."""
    if row.clock.due is not None:
        return 0, row.clock.due.timestamp()
    is_ours = any(WORDS[one] is row.status for one in _OURS)
    return (1 if is_ours else 2), 0.0


def story(engine: Engine, task_id: str, zone: ZoneInfo) -> Story:
    """Return everything about one prior authorization. Raises NotFound for any other Task."""
    task = found(engine, task_id)
    claim = (
        _sent(engine, task)
        or read.referenced(engine, "Claim", elements.reference(task["focus"]))
        or {}
    )
    address = prior_auth.part(task, prior_auth.RESPONSE)
    response = read.referenced(engine, "ClaimResponse", address)
    status = prior_auth.status(task)
    return Story(
        row=_row(engine, task, zone),
        lines=list(_lines(claim, response)),
        asks=list(_asks(response or {})),
        steps=_steps(engine, task_id, zone),
        claim=elements.reference(task["focus"]),
        response=address,
        may_send=status in MAY_SEND,
        may_ask=status in prior_auth.WAITING,
        may_cancel=may_cancel(task),
        told=_told(engine, task_id),
    )


def may_cancel(task: Resource) -> bool:
    """Tell whether a request was built here, and is live at the payer."""
    is_built = elements.identifier(task, prior_auth.NUMBER).startswith("Claim/")
    return is_built and prior_auth.status(task) in prior_auth.WAITING | _LIVE


def _sent(engine: Engine, task: Resource) -> Resource | None:
    """Return the Claim as it went out: of an update, with what it leaves out as cancelled."""
    bundle = read.referenced(engine, "Bundle", prior_auth.part(task, prior_auth.REQUEST))
    claim: Resource | None = bundle["entry"][0]["resource"] if bundle else None
    return claim


def found(engine: Engine, task_id: str) -> Resource:
    """Return the Task of a prior authorization. Raises NotFound for any other one."""
    task: Resource = codec.decode(read.read(engine, "Task", task_id).body)
    if elements.code(task.get("code"), systems.TASK_CODE) != prior_auth.CODE:
        raise NotFound("There is no such prior authorization.")
    return task


def _row(engine: Engine, task: Resource, zone: ZoneInfo) -> Row:
    claim = read.referenced(engine, "Claim", elements.reference(task.get("focus"))) or {}
    patient = read.referenced(engine, "Patient", elements.reference(task.get("for")))
    clock = _clock(task, engine.now(), zone)
    day = min(_days(claim), default="")
    changed = task.get("lastModified") or task.get("authoredOn")
    return Row(
        id=task["id"],
        clock=clock,
        patient=_person(patient),
        payer=_payer(engine, claim),
        services=[_service(item) for item in claim.get("item", [])],
        day=day,
        is_before=bool(day and clock.due and day <= clock.due.date().isoformat()),
        status=WORDS.get(_known(prior_auth.status(task)), _NO_WORD),
        reason=str(task.get("statusReason", {}).get("text", "")),
        changed=datetime.fromisoformat(changed).astimezone(zone) if changed else None,
    )


def _known(status: str) -> Status:
    return Status(status) if status in set(Status) else Status.DRAFT


def _clock(task: Resource, now: datetime, zone: ZoneInfo) -> Clock:
    due, start = _bounds(task, zone)
    if due is None:
        return Clock("No clock", "open", None)
    if task.get("status") in ("completed", "cancelled"):
        return Clock("Ended", "open", None)
    left, local, start = due - now, due.astimezone(zone), start or due
    if left < timedelta():
        return Clock(f"{_span(-left)} overdue", "bad", local)
    tone = "look" if now >= start + (due - start) * prior_auth.AT_RISK_SHARE else "open"
    return Clock(f"{_span(left)} left", tone, local)


def _bounds(task: Resource, zone: ZoneInfo) -> tuple[datetime | None, datetime | None]:
    """Return when a decision is due and since when the clock runs; None for what is not said."""
    period = task.get("restriction", {}).get("period", {})
    found: list[datetime | None] = []
    for name in ("end", "start"):
        try:
            at = datetime.fromisoformat(period.get(name, ""))
            found.append(at if at.tzinfo else at.replace(tzinfo=zone))
        except ValueError:
            found.append(None)
    return found[0], found[1]


def _span(time: timedelta) -> str:
    if time < IN_HOURS:
        minutes = int(time.total_seconds() // 60)
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{time.days} days"


def _person(patient: Resource | None) -> str:
    name = elements.human_name(patient or {})
    given = " ".join(elements.texts(name, "given"))
    return " ".join(part for part in (given, name.get("family", "")) if part) or "Not on file"


def _payer(engine: Engine, claim: Resource) -> str:
    insurer = claim.get("insurer", {})
    payer = read.referenced(engine, "Organization", elements.reference(insurer)) or {}
    return str(payer.get("name") or insurer.get("display") or "Not on file")


def _days(claim: Resource) -> Iterator[str]:
    for item in claim.get("item", []):
        served = item.get("servicedDate") or item.get("servicedPeriod", {}).get("start")
        if served:
            yield str(served)


def _service(item: Resource) -> str:
    concept = item.get("productOrService", {})
    codes = [str(c["code"]) for c in concept.get("coding", []) if "code" in c]
    what = ", ".join(codes) or str(concept.get("text", "")) or "not stated"
    quantity = item.get("quantity", {})
    if "value" not in quantity:
        return what
    return f"{what} × {quantity['value']} {quantity.get('unit', '')}".strip()


def _lines(claim: Resource, response: Resource | None) -> Iterator[Line]:
    items = claim.get("item", [])
    answer = None
    if response is not None:
        with suppress(decisions.Unreadable):
            answer = decisions.read(response, [one["sequence"] for one in items])
    decided = {one.sequence: one for one in answer.items} if answer else {}
    for item in items:
        yield _line(item, decided.get(item["sequence"], Item(item["sequence"], None)))
    for one in answer.extra if answer else ():
        yield replace(_line({}, one), service="not asked for", instead=_services(one))


def _line(item: Resource, decided: Item) -> Line:
    word = _ACTIONS[decided.action] if decided.action else _NO_WORD
    return Line(
        sequence=decided.sequence,
        service=_service(item),
        decision=word,
        code=decided.action.value if decided.action else "",
        number=decided.number,
        period=" to ".join(day for day in decided.period if day),
        reasons=[f"{text or 'no words'} (X12 886 {code})" for code, text in decided.reasons],
        notes=list(decided.notes),
        instead=_services(decided),
    )


def _services(item: Item) -> list[str]:
    return [_service(one) for one in item.authorized]


def _asks(response: Resource) -> Iterator[str]:
    """Yield what the payer asks for, in words; the codes are its own."""
    for ask in response.get("contained", []):
        if ask.get("resourceType") != "CommunicationRequest":
            continue
        kinds = [c["code"] for one in ask.get("category", []) for c in one.get("coding", [])]
        loinc = [one.get("contentString", "") for one in ask.get("payload", [])]
        told = [f"document of X12 755 {code}" for code in kinds]
        words = {pas.QUESTIONNAIRE: "a questionnaire to fill in"}
        told += [words.get(code, f"document of LOINC {code}") for code in loinc if code]
        yield ", ".join(told) or "not stated"


def _steps(engine: Engine, task_id: str, zone: ZoneInfo) -> list[Step]:
    """Return the turns of a Task, the newest first; what did not turn it is left out."""
    past = history.history(engine, ("Task", task_id), [("_count", str(STEPS))])
    found: list[Step] = []
    for version in reversed(past.versions):
        body = codec.decode(version.body) if version.body is not None else {}
        word = WORDS.get(_known(prior_auth.status(body)), _NO_WORD)
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
