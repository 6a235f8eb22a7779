"""What is on record about one prior authorization: exchanges, and notes on the clock."""

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from fhir_profiles import elements, pas, prior_auth, prior_auth_clock, systems
from fhir_profiles.prior_auth import Status
from server.interactions import read, search
from server.interactions.engine import Engine
from server.web.authorization_words import NO_WORD, WORDS, known

Resource = dict[str, Any]
SHOWN = 50
# What an exchange was for, in words.
_EXCHANGES = {
    "initial": "Request", "update": "Update", "cancel": "Cancellation", "query": "Inquiry",
    "subsequent": "Word of the payer", "document": "Document sent",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Exchange:
    """One exchange with the payer: what for, when, how long the answer took, and what failed."""

    at: datetime
    what: str
    took: str
    issue: str


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of one exchange: when, what, under which trace number, and where."""

    at: datetime
    what: str
    trace: str
    address: str


def exchanges(engine: Engine, task_id: str, zone: ZoneInfo) -> Iterator[Exchange]:
    """Yield the exchanges with the payer, the newest first."""
    wanted = [
        ("evaluated-resource", f"Task/{task_id}"), ("measure", prior_auth.EXCHANGE),
        ("_sort", "-date"),
    ]  # fmt: skip
    for found in search.found(engine, "MeasureReport", wanted, SHOWN):
        head = found["group"][0]
        kind = elements.code(head.get("code"), prior_auth.METRIC)
        said = {elements.code(s["code"][0], prior_auth.METRIC): s["stratum"][0]["value"]["text"]
                for s in head.get("stratifier", [])}  # fmt: skip
        yield Exchange(
            datetime.fromisoformat(found["period"]["end"]).astimezone(zone),
            _EXCHANGES.get(kind, kind),
            "" if kind == "subsequent" else f"{head['measureScore']['value']:.1f} s",
            "more than 15 s" if "slow" in said else str(said.get("issue", "")),
        )


def notes(task: Resource, zone: ZoneInfo) -> Iterator[str]:
    """Yield what people recorded about the clock."""
    notice = prior_auth_clock.extension(task)
    if notice is not None:
        day = notice.noticed.astimezone(zone).date()
        yield f"The payer took {notice.days} more days by its notice of {day}: {notice.reason}"
    for said in prior_auth_clock.judgements(task):
        at = said.at.astimezone(zone).strftime("%Y-%m-%d %H:%M %Z")
        yield f"{said.urgency.value.capitalize()}, says {said.by} ({at})"


def of_order(engine: Engine, patient: str, order: str) -> Iterator[tuple[str, str]]:
    """Yield the requests that there are for an order, as Task ids and words; not what was ended."""
    wanted = [("patient", patient), ("code", prior_auth.TOKEN), ("_sort", "-authored-on")]
    for task in search.found(engine, "Task", wanted, SHOWN):
        status = prior_auth.status(task)
        claim = read.referenced(engine, "Claim", elements.reference(task["focus"])) or {}
        orders = [
            elements.reference(elements.extension_value(item, pas.EXT_REQUESTED_SERVICE))
            for item in claim.get("item", [])
        ]
        if order in orders and status not in (Status.CANCELLED, Status.EXPIRED):
            yield str(task["id"]), WORDS.get(known(status), NO_WORD).word


def kept(engine: Engine, task: Resource, zone: ZoneInfo) -> Iterator[Kept]:
    """Yield what was exchanged about a request, the newest first: it is here sealed."""
    wanted = [("related", elements.reference(task["focus"])), ("_sort", "-date")]
    for one in search.found(engine, "DocumentReference", wanted, SHOWN):
        yield Kept(
            datetime.fromisoformat(one["date"]).astimezone(zone),
            str(one.get("description") or one.get("type", {}).get("text", "")),
            elements.identifier(one, systems.TRACE),
            f"DocumentReference/{one['id']}",
        )


def measure(document: Resource) -> str:
    """Return how large a document is, and its fingerprint, so that people can compare it."""
    told = []
    for content in document.get("content", []):
        data = base64.b64decode(str(content.get("attachment", {}).get("data", "")))
        told.append(f"{len(data):,} bytes, SHA-256 {hashlib.sha256(data).hexdigest()[:16]}…")
    return "; ".join(told)
