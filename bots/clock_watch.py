"""Clocks, watched: people are warned before a decision is due and when it is late.

Each warning is a Task that is made once, however often and by how many processes it is looked. What
was approved is turned when it holds no longer.
"""

import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from bots.errors import NeverRetry, RetryLater
from bots.mapping import tasks
from bots.ports import Resource, Tools
from fhir_profiles import elements, prior_auth, systems
from fhir_profiles.decision_clock import Standing
from fhir_profiles.decision_clock import standing as stands
from fhir_profiles.prior_auth import Status

# No limit is longer than 15 days and an extension of 14: what is due later is not at risk yet.
LOOK_AHEAD = timedelta(days=29) * (1 - prior_auth.AT_RISK_SHARE)
_log = logging.getLogger(__name__)
PAGE = "1000"  # matches of one search's page
_APPROVED = ",".join(
    f"{prior_auth.STATUS}|{one}" for one in (Status.APPROVED, Status.MODIFIED, Status.PARTIAL)
)
EVERY = timedelta(minutes=15)
_WARNINGS = {
    Standing.AT_RISK: (
        "prior-auth-at-risk",
        "A prior authorization is due soon",
        "The payer has not decided, and three quarters of its time are over. Ask how it stands.",
    ),
    Standing.OVERDUE: (
        "prior-auth-overdue",
        "A prior authorization is overdue",
        "The payer has not decided in time. Call it, and escalate.",
    ),
}


def run(tools: Tools) -> int:
    """Warn of every clock that has come to it; return how many Tasks were made or have ended.

    Raises RetryLater, NeverRetry.
    """
    now = tools.now()
    ended = _end(tools, now)
    known = _known(tools)
    wishes: list[tuple[Resource, str]] = []
    for task in _running(tools, now):
        try:
            period = task["restriction"]["period"]
            began, due = (datetime.fromisoformat(period[name]) for name in ("start", "end"))
            warning = _WARNINGS.get(stands(began, due, now))
        except (KeyError, ValueError, TypeError):
            continue  # somebody else's Task, with a clock that we do not read
        if warning is None:
            continue
        cause = f"{warning[0]}-{task['id']}-{due.astimezone(UTC):%Y%m%d%H%M}"
        if cause not in known:
            wish = _task(task, warning, cause, now)
            wishes.append((wish, f"identifier={systems.CAUSE}|{cause}"))
    tools.fhir.create_each_once(wishes)
    return ended + len(wishes)


def _end(tools: Tools, now: datetime) -> int:
    """Turn what was approved and holds no longer; return how many."""
    yesterday = now.astimezone(tools.zone).date() - timedelta(days=1)
    wanted = [
        ("code", prior_auth.TOKEN), ("business-status", _APPROVED),
        ("expires", f"le{yesterday.isoformat()}"), ("_count", PAGE),
    ]  # fmt: skip
    over = tools.fhir.search("Task", wanted)
    for task in over:
        day = elements.extension_value(task, prior_auth.EXT_EXPIRES)
        moved = prior_auth.moved(task, Status.EXPIRED, f"It held until {day}.")
        try:  # where somebody else changes it at this moment, the next look finds it
            tools.fhir.update({**moved, "lastModified": now.isoformat(timespec="milliseconds")})
        except NeverRetry as error:
            _log.error("Task/%s does not end: %s", task["id"], error)
    return len(over)


def _running(tools: Tools, now: datetime) -> Iterator[Resource]:
    """Yield the Tasks that wait for a payer and are due in time to matter."""
    until = (now + LOOK_AHEAD).isoformat(timespec="seconds")
    wanted = [
        ("code", prior_auth.TOKEN), ("status", "in-progress"),
        ("due", f"le{until}"), ("_count", PAGE),
    ]  # fmt: skip
    yield from tools.fhir.search("Task", wanted)


def _known(tools: Tools) -> set[str]:
    """Return the causes of the warnings that were given and are still open."""
    codes = ",".join(f"{systems.TASK_CODE}|{code}" for code, _, _ in _WARNINGS.values())
    wanted = [("code", codes), ("status", "requested"), ("_count", PAGE)]
    return {elements.identifier(one, systems.CAUSE) for one in tools.fhir.search("Task", wanted)}


def _task(about: Resource, warning: tuple[str, str, str], cause: str, now: datetime) -> Resource:
    code, title, text = warning
    return {
        **tasks.made(f"Task/{about['id']}", code, cause, title, text),
        "priority": "urgent",
        **({"for": about["for"]} if "for" in about else {}),
        "authoredOn": now.isoformat(timespec="milliseconds"),
    }


class Clock:
    """Looks every quarter of an hour; what fails is made up for at the next look."""

    def __init__(self, tools: Tools, say: Callable[[str], None]) -> None:
        """Say by `say` what was done."""
        self._tools, self._say = tools, say
        self._next: datetime | None = None

    def tick(self) -> None:
        """Look, if a quarter of an hour is over."""
        now = self._tools.now()
        if self._next is not None and now < self._next:
            return
        self._next = now + EVERY
        try:
            made = run(self._tools)
        except (RetryLater, NeverRetry) as error:
            self._say(f"clocks of prior authorizations: {error}")
            return
        if made:
            self._say(f"clocks of prior authorizations: warned of or ended {made}")
