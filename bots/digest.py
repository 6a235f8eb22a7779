"""Alerts that the clock gives: of checks that nobody answers for long, and those of a digest.

A digest mails what waits together at set times, one mail for each circle of recipients.

What is sent is whatever waits from before the last of the times: no state is kept, a digest that
failed is made up for at the next tick, and two processes share the work by claiming each message.
"""

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from typing import Any

from bots import alerting
from bots.errors import NeverRetry, RetryLater
from bots.mapping import alert
from bots.ports import Resource, Tools
from fhir_profiles import elements, systems
from fhir_profiles.codes import State

LIMIT = 200  # alerts in one mail
PATIENCE = timedelta(minutes=15)  # so long a check is repeated before people hear of it
LOOK_BACK = timedelta(hours=24)


def last_time(times: tuple[time, ...], now: datetime) -> datetime:
    """Return the last moment of the times of day, in the zone of `now`, that is not after it."""
    days = (now.date(), now.date() - timedelta(days=1))
    moments = [datetime.combine(day, one, now.tzinfo) for day in days for one in times]
    return max(moment for moment in moments if moment <= now)


def run(tools: Tools) -> int:
    """Mail what waits, and return how many alerts went out. Raises RetryLater, NeverRetry."""
    due = last_time(tools.digest, tools.now().astimezone(tools.zone))
    circles: dict[tuple[str, ...], list[tuple[Resource, Resource]]] = {}
    for message in _waiting(tools):
        (response,) = tools.fhir.read_all([elements.reference(message["about"][0])])
        if response is not None and datetime.fromisoformat(response["created"]) < due:
            to = tuple(alerting.recipients(response, tools))
            circles.setdefault(to, []).append((message, response))
    return sum(
        _send(to, listed[start : start + LIMIT], tools)
        for to, listed in circles.items()
        for start in range(0, len(listed), LIMIT)
    )


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
        ("_count", str(LIMIT)),
    ]
    found = tools.fhir.search("CoverageEligibilityResponse", asked)
    days = {now.astimezone(tools.zone).date() + timedelta(days=n) for n in (0, 1)}
    found = [
        one
        for one in found
        if any(True for _ in elements.extensions(one, systems.EXT_RETRY))
        and date.fromisoformat(one["servicedDate"]) in days
    ]
    told = _told(tools, now) if found else set()
    for response in found:
        if f"CoverageEligibilityResponse/{response['id']}" not in told:
            alerting.tell(alert.COULD_NOT_CHECK, response, tools)


def _told(tools: Tools, now: datetime) -> set[str]:
    """Return the responses of which an alert about a failed check was made in the last day."""
    code = f"{systems.COMMUNICATION_CATEGORY}|{alert.COULD_NOT_CHECK.code}"
    since = (now - LOOK_BACK).isoformat()
    asked = [("category", code), ("_lastUpdated", f"ge{since}"), ("_count", str(LIMIT))]
    messages = tools.fhir.search("Communication", asked)
    return {elements.reference(about) for one in messages for about in one["about"]}


def _waiting(tools: Tools) -> list[Resource]:
    """Return the alerts that nobody has sent or is sending."""
    wanted = [
        ("category", ",".join(f"{systems.COMMUNICATION_CATEGORY}|{code}" for code in alert.KINDS)),
        ("status", "preparation,in-progress"),
        ("_count", str(LIMIT)),
    ]
    found = tools.fhir.search("Communication", wanted)
    return [one for one in found if not alert.is_being_sent(one, tools.now())]


def _send(to: tuple[str, ...], parts: list[tuple[Resource, Resource]], tools: Tools) -> int:
    """Claim the messages of one circle and mail those that were got and still hold."""
    got = []
    for message, response in parts:
        kind = alert.kind_of(message)
        if kind is None or elements.tag(response, systems.ELIGIBILITY_STATE) not in kind.says:
            tools.fhir.update({**message, "status": "not-done"})  # answered meanwhile
            continue
        claimed = tools.fhir.update(alert.claimed(message, tools.now()))
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

    def tick(self) -> None:
        """Do what is due; a server or relay that is away is tried again at the next tick."""
        try:
            tell_of_long_outages(self._tools)
            count = run(self._tools) if self._tools.digest else 0
            if count:
                self._log(f"digest: {count} alerts sent")
        except (RetryLater, NeverRetry) as error:
            self._log(f"alerts: later: {error}")
