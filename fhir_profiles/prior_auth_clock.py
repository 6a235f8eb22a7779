"""What people record about the clock of a prior authorization: more time, and how urgent it is.

Both stay in the Task with their history; `restriction.period` is the clock that follows from them.
Source: 42 CFR 422.568(b)(1)(i), 422.572(b); PAS metrics ask for both.
"""

from datetime import datetime, tzinfo
from typing import Any

from fhir_profiles import decision_clock, elements, pas, prior_auth
from fhir_profiles.decision_clock import Clock, Extension, Judged, Limit, Urgency

Resource = dict[str, Any]
PRIORITIES = {Urgency.EXPEDITED: "urgent", Urgency.STANDARD: "routine"}


def asked(claim: Resource) -> Urgency:
    """Return how urgent a Claim is by its level of service."""
    level = elements.extension_value(claim, pas.EXT_LEVEL_OF_SERVICE)
    return decision_clock.asked_urgency(elements.code(level, pas.LEVEL_OF_SERVICE))


def urgency(task: Resource, claim: Resource) -> Urgency:
    """Return how urgent a request is held to be: as somebody said last, else as it was asked."""
    said = judgements(task)
    return decision_clock.urgency(said) if said else asked(claim)


def judgements(task: Resource) -> tuple[Judged, ...]:
    """Return who held it how urgent, and when, the oldest first."""
    found = (elements.parts(one) for one in elements.extensions(task, prior_auth.EXT_JUDGED))
    return tuple(
        Judged(Urgency(one["urgency"]), str(one["by"]), datetime.fromisoformat(one["at"]))
        for one in found
    )


def judged(task: Resource, said: Judged, limit: Limit | None, zone: tzinfo) -> Resource:
    """Return the Task with another urgency: the clock starts where it did, and ends by `limit`.

    `zone` is the payer's. Without a limit there is no clock any more.
    """
    mark = {
        "url": prior_auth.EXT_JUDGED,
        "extension": [
            {"url": "urgency", "valueCode": said.urgency.value},
            {"url": "by", "valueString": said.by},
            {"url": "at", "valueDateTime": said.at.isoformat(timespec="milliseconds")},
        ],
    }
    found = {
        **task,
        "priority": PRIORITIES[said.urgency],
        "extension": [*task.get("extension", []), mark],
    }
    start = task.get("restriction", {}).get("period", {}).get("start")
    if start is None:
        return found
    clock = Clock(datetime.fromisoformat(start), limit, zone, extension=extension(task))
    due = clock.due
    if due is None:
        return {name: value for name, value in found.items() if name != "restriction"}
    return {**found, "restriction": _period(start, due, zone)}


def extension(task: Resource) -> Extension | None:
    """Return the payer's notice that it takes longer, None where it gave none."""
    there = prior_auth.extension(task)
    if there is None:
        return None
    told = elements.parts(there)
    return Extension(int(told["days"]), datetime.fromisoformat(told["noticed"]), told["reason"])


def extended(task: Resource, notice: Extension, zone: tzinfo) -> Resource:
    """Return the Task whose clock ends later by the payer's notice; there is one at most.

    Raises ValueError where it was extended before, or has no clock.
    """
    period = task.get("restriction", {}).get("period", {})
    if prior_auth.extension(task) is not None or not {"start", "end"} <= period.keys():
        message = "expected a clock that was not extended"
        raise ValueError(message)
    mark = {
        "url": prior_auth.EXT_LONGER,
        "extension": [
            {"url": "days", "valuePositiveInt": notice.days},
            {"url": "noticed", "valueDateTime": notice.noticed.isoformat(timespec="milliseconds")},
            {"url": "reason", "valueString": notice.reason},
        ],
    }
    due = decision_clock.later(datetime.fromisoformat(period["end"]), notice, zone)
    return {
        **task,
        "extension": [*task.get("extension", []), mark],
        "restriction": _period(period["start"], due, zone),
    }


def _period(start: str, due: datetime, zone: tzinfo) -> Resource:
    end = due.astimezone(zone).isoformat(timespec="milliseconds")
    return {"period": {"start": start, "end": end}}
