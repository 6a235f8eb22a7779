"""What is on record about one prior authorization: exchanges, and notes on the clock."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from fhir_profiles import elements, prior_auth, prior_auth_clock
from server.interactions import search
from server.interactions.engine import Engine

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
