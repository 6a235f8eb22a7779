"""The worklist of prior authorizations, by the time that the payer has left."""

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from fhir_profiles import codec, elements, prior_auth, prior_auth_clock, systems
from fhir_profiles.prior_auth import Status
from server.errors import NotFound
from server.interactions import read, search
from server.interactions.engine import Engine
from server.web.authorization_row import SEND_IT, Held, Row, row_of
from server.web.authorization_words import WORDS, words

Resource = dict[str, Any]
SHOWN, EXPORTED = 50, 1000
OPEN, ALL, NOBODY = "open", "all", "nobody"
SOON, EXPIRING = 7, 14  # days
_TREATS = "focus:Claim.care-team:PractitionerRole.practitioner.name"
_OWNER = re.compile(r"(Practitioner|PractitionerRole|Organization)/[A-Za-z0-9.-]{1,64}")
MAY_SEND = prior_auth.TO_SEND | {Status.DRAFT}
_OURS = frozenset(
    {Status.DRAFT, Status.NEEDS_DOCUMENTS, Status.READY, Status.MORE_INFORMATION,
     Status.SEND_FAILED, Status.UNREADABLE}
)  # fmt: skip


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
    treats: str = ""  # the beginning of the name of who treats
    owner: str = ""  # an address, or nobody
    soon: str = ""  # "yes": the service is within seven days
    expiring: str = ""  # "yes": what was approved ends within fourteen days

    def query(self, today: date) -> list[tuple[str, str]]:
        """Return the search for it."""
        wanted = [("code", prior_auth.TOKEN), ("_sort", "due"), ("_total", "none")]
        if self.state in set(Status):
            wanted.append(("business-status", f"{prior_auth.STATUS}|{self.state}"))
        elif self.state == OPEN:
            wanted.append(("status", "draft,requested,in-progress"))
        is_free = self.owner == NOBODY
        narrowed = [
            ("priority", self.urgency),
            ("focus:Claim.insurer.name", elements.escaped(self.payer)),
            (_TREATS, elements.escaped(self.treats)),
            ("owner:missing", "true") if is_free else ("owner", self.owner),
        ]
        wanted += [(name, value) for name, value in narrowed if value]
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
    state, urgency, owner = (asked.get(name, "") for name in ("state", "urgency", "owner"))
    return Filters(
        state=state if state in {*set(Status), ALL} else OPEN,
        urgency=urgency if urgency in prior_auth_clock.PRIORITIES.values() else "",
        payer=asked.get("payer", "").strip(),
        treats=asked.get("treats", "").strip(),
        owner=owner if owner == NOBODY or _OWNER.fullmatch(owner) else "",
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
    held = Held(engine)
    rows = [row_of(held, codec.decode(body), zone) for body in page.bodies]
    overdue = sum(1 for row in rows if row.clock.tone == "bad")
    return Worklist(sorted(rows, key=_place), bool(page.next), chosen, overdue)


_COLUMNS = (
    "id", "patient", "payer", "payer id", "way", "state", "codes", "urgency", "reason", "asked for",
    "clock", "rule", "due", "services", "service date", "numbers", "visits used", "expires",
    "owner", "last change", "by",
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
            row.id, row.patient, row.payer.name, row.payer.id, row.payer.way, row.status.word,
            "; ".join(row.codes),
            "urgent" if row.is_urgent else "standard", " ".join([row.reason, *row.why]).strip(),
            "; ".join(row.asks),
            row.clock.words, row.clock.rule, due, "; ".join(row.services), row.day,
            "; ".join(row.numbers), "; ".join(f"{kept} of {of}" for kept, of in row.used),
            row.expires, row.owner, changed, row.by,
        )  # fmt: skip
        lines.writerow(f"'{cell}" if cell[:1] in "=+-@\t\r" and cell else cell for cell in cells)
    return text.getvalue()


def _place(row: Row) -> tuple[int, float]:
    """Return where a row stands: by the time it is due, then what waits for us, then the rest."""
    if row.clock.due is not None:
        return 0, row.clock.due.timestamp()
    is_ours = row.status is SEND_IT or any(WORDS[one] is row.status for one in _OURS)
    return (1 if is_ours else 2), 0.0


def found(engine: Engine, task_id: str) -> Resource:
    """Return the Task of a prior authorization. Raises NotFound for any other one."""
    task: Resource = codec.decode(read.read(engine, "Task", task_id).body)
    if elements.code(task.get("code"), systems.TASK_CODE) != prior_auth.CODE:
        raise NotFound("There is no such prior authorization.")
    return task


def documents(engine: Engine, patient: str) -> Iterator[tuple[str, str]]:
    """Yield a patient's documents, by address, that are here themselves: only those can be sent."""
    wanted = [("subject", patient), ("status", "current"), ("_sort", "-date")]
    for one in search.found(engine, "DocumentReference", wanted, SHOWN):
        if all("data" in content.get("attachment", {}) for content in one["content"]):
            text = str(one.get("description") or words(one.get("type", {})))
            day = str(one.get("date", ""))[: elements.FULL_DATE]
            yield f"DocumentReference/{one['id']}", f"{text}, {day}" if day else text
