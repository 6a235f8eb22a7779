"""Alerts that the clock gives: of checks that nobody answers for long, and those of a digest.

A digest mails what waits together at set times, one mail for each circle of recipients.

What is sent is whatever waits from before the last of the times: no state is kept, a digest that
failed is made up for at the next tick, and two processes share the work by claiming each message.
"""

from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta
from typing import Any, TypeAlias, TypeVar

from bots import alerting
from bots.errors import NeverRetry, RetryLater
from bots.mapping import alert
from bots.mapping.alert import Kind
from bots.mapping.request import trace_of
from bots.ports import Resource, Tools
from fhir_profiles import elements, systems
from fhir_profiles.codes import State

LIMIT, PAGE = 50, "200"  # alerts in one mail, within the lease of a claim; matches of a page
PAUSE = timedelta(minutes=5)
PATIENCE = timedelta(minutes=15)  # so long a check is repeated before people hear of it
LOOK_BACK = timedelta(hours=24)
Part: TypeAlias = tuple[Resource, Kind, Resource]  # message, kind, response
T = TypeVar("T")
R = TypeVar("R")


def last_time(times: tuple[time, ...], now: datetime) -> datetime:
    """Return the last moment of the times of day, in the zone of `now`, that is not after it."""
    days = (now.date(), now.date() - timedelta(days=1))
    moments = [datetime.combine(day, one, now.tzinfo) for day in days for one in times]
    return max(moment for moment in moments if moment <= now)


def run(tools: Tools) -> int:
    """Mail what waits, and return how many alerts went out. Raises RetryLater, NeverRetry.

    Without times for a digest that is what was left behind for longer than PATIENCE. One circle
    that cannot be told keeps no other from being told.
    """
    now = tools.now()
    due = last_time(tools.digest, now.astimezone(tools.zone)) if tools.digest else now - PATIENCE
    circles: dict[tuple[tuple[str, ...], str], list[Part]] = {}
    for message in _waiting(tools, due):
        (response,) = tools.fhir.read_all([elements.reference(message["about"][0])])
        kind = alert.kind_of(message)
        state = elements.tag(response or {}, systems.ELIGIBILITY_STATE)
        if response is None or kind is None or state not in kind.says:
            tools.fhir.update({**message, "status": "not-done"})  # gone, or answered meanwhile
            continue
        circle = tuple(alerting.recipients(response, tools)), alert.batch_of(message)
        circles.setdefault(circle, []).append((message, kind, response))
    batches = [
        (to, batch, listed[start : start + LIMIT])
        for (to, batch), listed in circles.items()
        for start in range(0, len(listed), LIMIT)
    ]
    return sum(_each(batches, lambda one: _send(*one, tools)))


def _each(listed: Iterable[T], act: Callable[[T], R]) -> list[R]:
    """Return what each one gives; the first failure is raised when all have had their turn."""
    found, failed = [], None
    for one in listed:
        try:
            found.append(act(one))
        except RetryLater as error:
            failed = failed or error
    if failed is not None:
        raise failed
    return found


def tell_of_long_outages(tools: Tools) -> None:
    """Tell of each check of the last day that has been repeated for longer than PATIENCE.

    Only visits of today and tomorrow are told of: of others the sweep will. Raises RetryLater.
    """
    now = tools.now()
    since, until = ((now - span).isoformat() for span in (LOOK_BACK, PATIENCE))
    asked = [
        ("_tag", f"{systems.ELIGIBILITY_STATE}|{State.COULD_NOT_CHECK}"),
        ("created", f"ge{since}"),
        ("created", f"lt{until}"),
        ("_count", PAGE),
    ]
    found = tools.fhir.search("CoverageEligibilityResponse", asked)
    days = {now.astimezone(tools.zone).date() + timedelta(days=n) for n in (0, 1)}
    found = [
        one
        for one in found
        if elements.has_extension(one, systems.EXT_RETRY)
        and date.fromisoformat(one["servicedDate"]) in days
    ]
    told = _told(tools, now) if found else set()
    untold = [r for r in found if f"CoverageEligibilityResponse/{r['id']}" not in told]
    _each(untold, lambda one: alerting.tell(alert.COULD_NOT_CHECK, one, tools))


def _told(tools: Tools, now: datetime) -> set[str]:
    """Return the responses about which an alert of a failed check was made in the last day."""
    code = f"{systems.COMMUNICATION_CATEGORY}|{alert.COULD_NOT_CHECK.code}"
    since = (now - LOOK_BACK).isoformat()
    asked = [("category", code), ("_lastUpdated", f"ge{since}"), ("_count", PAGE)]
    messages = tools.fhir.search("Communication", asked)
    return {elements.reference(about) for one in messages for about in one["about"]}


def _waiting(tools: Tools, due: datetime) -> list[Resource]:
    """Return the alerts from before `due` that nobody has sent or is sending."""
    wanted = [
        ("category", ",".join(f"{systems.COMMUNICATION_CATEGORY}|{code}" for code in alert.KINDS)),
        ("status", "preparation,in-progress"),
        ("_count", PAGE),
    ]
    found = tools.fhir.search("Communication", wanted)
    return [
        one for one in found if alert.made(one) < due and not alert.is_being_sent(one, tools.now())
    ]


def _send(to: tuple[str, ...], batch: str, parts: list[Part], tools: Tools) -> int:
    """Claim the messages of one circle and mail those that were got, as the batch they were."""
    if not to:
        for message, _, _ in parts:
            alerting.complain(message, "nobody is named for alerts", tools)
        raise RetryLater("no address is set for alerts (INFORCE_BOTS_ALERT_TO)")
    if len(parts) > 1 and not batch:
        batch = trace_of("|".join(sorted(one["id"] for one, _, _ in parts)))
    got = []
    for message, kind, response in parts:
        claimed = tools.fhir.update(alert.claimed(message, tools.now(), batch))
        if claimed is not None:
            got.append((claimed, kind, response))
    if got:
        subject, text = alert.digest([(kind, one) for _, kind, one in got], tools.pages)
        alerting.send([one for one, _, _ in got], to, tools, subject=subject, text=text)
    return len(got)


class Clock:
    """Tells of long outages, and sends the digest when one is due."""

    def __init__(self, tools: Tools, log: Callable[[str], Any]) -> None:
        """Send at the times of `tools`; `log` is told how many alerts went out together."""
        self._tools = tools
        self._log = log
        self._not_before = tools.now()

    def tick(self) -> None:
        """Do what is due; a server or relay that is away is left alone for PAUSE."""
        if self._tools.now() < self._not_before:
            return
        try:
            tell_of_long_outages(self._tools)
            count = run(self._tools)
            if count:
                self._log(f"digest: {count} alerts sent")
        except (RetryLater, NeverRetry) as error:
            self._not_before = self._tools.now() + PAUSE
            self._log(f"alerts: later: {error}")
