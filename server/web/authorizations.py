"""The worklist of prior authorizations, by the time that the payer has left."""

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from fhir_profiles import codec, elements, prior_auth, prior_auth_clock, systems
from fhir_profiles.prior_auth import Status
from server.errors import NotFound
from server.interactions import read, search
from server.interactions.engine import Engine
from server.web.states import Word

Resource = dict[str, Any]
SHOWN, EXPORTED = 50, 1000
IN_HOURS = timedelta(hours=48)  # below it, the time left is told in hours
OPEN, ALL = "open", "all"
SOON, EXPIRING = 7, 14  # days
WORDS = {
    Status.DRAFT: Word("Draft", "✎", "look", "It is not sent: do what the reason says."),
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
NO_WORD = Word("Not answered yet", "…", "open", "")
MAY_SEND = prior_auth.TO_SEND | {Status.DRAFT}
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
    is_waiting: bool  # for the payer, who can be asked
    changed: datetime | None
    is_urgent: bool
    expires: str


@dataclass(frozen=True, slots=True)
class Worklist:
    """The page: those with a clock by the time left, then those that wait for us, then others."""

    rows: list[Row]
    more: bool
    filters: "Filters"
    overdue: int


@dataclass(frozen=True, slots=True)
class Filters:
    """What is shown: `state` a status, all or open; the others narrow it, each "" for all."""

    state: str = OPEN
    urgency: str = ""  # a Task.priority
    payer: str = ""  # the beginning of its name
    soon: str = ""  # "yes": the service is within seven days
    expiring: str = ""  # "yes": what was approved ends within fourteen days

    def query(self, today: date) -> list[tuple[str, str]]:
        """Return the search for it."""
        wanted = [("code", prior_auth.TOKEN), ("_sort", "due"), ("_total", "none")]
        if self.state in set(Status):
            wanted.append(("business-status", f"{prior_auth.STATUS}|{self.state}"))
        elif self.state == OPEN:
            wanted.append(("status", "draft,requested,in-progress"))
        if self.urgency:
            wanted.append(("priority", self.urgency))
        if self.payer:
            wanted.append(("focus:Claim.insurer.name", elements.escaped(self.payer)))
        if self.soon:
            wanted += _within("focus:Claim.service-date", today, SOON)
        if self.expiring:
            wanted += _within("expires", today, EXPIRING)
        return wanted


def _within(name: str, today: date, days: int) -> list[tuple[str, str]]:
    last = today + timedelta(days=days)
    return [(name, f"ge{today.isoformat()}"), (name, f"le{last.isoformat()}")]


def filters(asked: Mapping[str, str]) -> Filters:
    """Return what the address asks for; what makes no sense is left out."""
    state, urgency = asked.get("state", ""), asked.get("urgency", "")
    return Filters(
        state=state if state in {*set(Status), ALL} else OPEN,
        urgency=urgency if urgency in prior_auth_clock.PRIORITIES.values() else "",
        payer=asked.get("payer", "").strip(),
        soon="yes" if asked.get("soon") else "",
        expiring="yes" if asked.get("expiring") else "",
    )


def worklist(
    engine: Engine, zone: ZoneInfo, asked: Mapping[str, str], shown: int = SHOWN
) -> Worklist:
    """Return the first `shown` of what the address asks for."""
    chosen = filters(asked)
    today = engine.now().astimezone(zone).date()
    page = search.search(engine, "Task", [*chosen.query(today), ("_count", str(shown))])
    rows = [row_of(engine, codec.decode(body), zone) for body in page.bodies]
    overdue = sum(1 for row in rows if row.clock.tone == "bad")
    return Worklist(sorted(rows, key=_place), bool(page.next), chosen, overdue)


_COLUMNS = (
    "id", "patient", "payer", "state", "urgency", "reason", "clock", "due", "services",
    "service date", "expires", "last change",
)  # fmt: skip


def table(page: Worklist) -> str:
    """Return the list as CSV (RFC 4180); no cell begins as a formula does."""
    text = io.StringIO()
    lines = csv.writer(text)
    lines.writerow(_COLUMNS)
    for row in page.rows:
        due, changed = (
            at.isoformat(timespec="minutes") if at else "" for at in (row.clock.due, row.changed)
        )
        cells = (
            row.id, row.patient, row.payer, row.status.word,
            "urgent" if row.is_urgent else "standard", row.reason, row.clock.words, due,
            "; ".join(row.services), row.day, row.expires, changed,
        )  # fmt: skip
        lines.writerow(f"'{cell}" if cell[:1] in "=+-@\t\r" and cell else cell for cell in cells)
    return text.getvalue()


def _place(row: Row) -> tuple[int, float]:
    """Return where a row stands: by the time it is due, then what waits for us, then the rest."""
    if row.clock.due is not None:
        return 0, row.clock.due.timestamp()
    is_ours = any(WORDS[one] is row.status for one in _OURS)
    return (1 if is_ours else 2), 0.0


def found(engine: Engine, task_id: str) -> Resource:
    """Return the Task of a prior authorization. Raises NotFound for any other one."""
    task: Resource = codec.decode(read.read(engine, "Task", task_id).body)
    if elements.code(task.get("code"), systems.TASK_CODE) != prior_auth.CODE:
        raise NotFound("There is no such prior authorization.")
    return task


def row_of(engine: Engine, task: Resource, zone: ZoneInfo) -> Row:
    """Return the row of one Task, with the names that it refers to."""
    claim = read.referenced(engine, "Claim", elements.reference(task.get("focus"))) or {}
    patient = read.referenced(engine, "Patient", elements.reference(task.get("for")))
    clock = _clock(task, engine.now(), zone)
    day = min(_days(claim), default="")
    changed = task.get("lastModified") or task.get("authoredOn")
    return Row(
        id=task["id"],
        clock=clock,
        patient=person(patient),
        payer=_payer(engine, claim),
        services=[service(item) for item in claim.get("item", [])],
        day=day,
        is_before=bool(day and clock.due and day <= clock.due.date().isoformat()),
        status=WORDS.get(known(prior_auth.status(task)), NO_WORD),
        reason=str(task.get("statusReason", {}).get("text", "")),
        changed=datetime.fromisoformat(changed).astimezone(zone) if changed else None,
        is_waiting=prior_auth.status(task) in prior_auth.WAITING,
        is_urgent=task.get("priority") == "urgent",
        expires=str(elements.extension_value(task, prior_auth.EXT_EXPIRES) or ""),
    )


def known(status: str) -> Status:
    """Return a business status; what is none of ours is a draft: nothing is known to be sent."""
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


def person(patient: Resource | None) -> str:
    """Return a person's name as people say it."""
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


def service(item: Resource) -> str:
    """Return what an item asks for, and how much of it."""
    what = words(item.get("productOrService", {}))
    quantity = item.get("quantity", {})
    if "value" not in quantity:
        return what
    return f"{what} × {quantity['value']} {quantity.get('unit', '')}".strip()


def words(concept: Resource) -> str:
    """Return what a CodeableConcept says to people: its text or a display, and its first code."""
    codings = concept.get("coding", [])
    shown = concept.get("text") or next((c["display"] for c in codings if "display" in c), "")
    code = next((str(c["code"]) for c in codings if "code" in c), "")
    return " ".join(text for text in (code, str(shown)) if text) or "not stated"


def documents(engine: Engine, patient: str) -> Iterator[tuple[str, str]]:
    """Yield a patient's documents, by address, that are here themselves: only those can be sent."""
    wanted = [("subject", patient), ("status", "current"), ("_sort", "-date")]
    for one in search.found(engine, "DocumentReference", wanted, SHOWN):
        if all("data" in content.get("attachment", {}) for content in one["content"]):
            text = str(one.get("description") or words(one.get("type", {})))
            day = str(one.get("date", ""))[: elements.FULL_DATE]
            yield f"DocumentReference/{one['id']}", f"{text}, {day}" if day else text
