"""The alert about a plan that is not in force: its Communication, its mail, its Task.

The mail holds no patient data: a count, a date and a link behind which a login stands.
"""

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any
from urllib.parse import urlsplit

from bots.mapping.request import trace_of
from fhir_profiles import elements, systems
from fhir_profiles.codes import State

Resource = dict[str, Any]
SUBJECT = "Insurance needs attention: 1 coverage on {day}"
TEXT = """\
A payer reported that a plan is not in force on {day}.

Open the benefit page to see what the payer said:
{link}

You get this message because your address is set for alerts about inactive plans.
The link opens after login; this message holds no patient data.
"""
_DEFINITE = frozenset({State.ACTIVE.value, State.ACTIVE_REVIEW.value, State.INACTIVE.value})
PURPOSE = "eligibility-alert"


def coverage_of(response: Resource) -> str:
    """Return the reference of the coverage that a response speaks of."""
    return next((elements.reference(i.get("coverage")) for i in response.get("insurance", [])), "")


def spell_start(response: Resource, others: Iterable[Resource]) -> str:
    """Return the trace of the answer that began the present inactive spell of a coverage.

    Answers that say neither active nor inactive do not end a spell. Every answer of one spell
    gives the same trace, so one spell makes one alert.
    """
    coverage = coverage_of(response)
    by_trace = {elements.identifier(r, systems.TRACE): r for r in [*others, response]}
    line = sorted(
        (r["created"], trace, elements.tag(r, systems.ELIGIBILITY_STATE))
        for trace, r in by_trace.items()
        if coverage_of(r) == coverage and elements.tag(r, systems.ELIGIBILITY_STATE) in _DEFINITE
    )
    start = mine = elements.identifier(response, systems.TRACE)
    for _, trace, state in line:
        if state != State.INACTIVE.value:
            start = ""
        elif not start or trace == line[0][1]:
            start = trace
        if trace == mine:
            break
    return start or mine


def communication(response: Resource, cause: str, pages: str) -> Resource:
    """Return the Communication that stands for one alert, before it is sent."""
    coverage = coverage_of(response)
    return {
        "resourceType": "Communication",
        "identifier": [
            {"system": systems.CAUSE, "value": cause},
            {"system": systems.MESSAGE_ID, "value": message_id(cause, pages)},
        ],
        "status": "preparation",
        "category": [
            {
                "coding": [{"system": systems.COMMUNICATION_CATEGORY, "code": "inactive-plan"}],
                "text": "Alert: plan not in force",
            }
        ],
        "subject": response["patient"],
        "about": [
            {"reference": f"CoverageEligibilityResponse/{response['id']}"},
            {"reference": coverage},
        ],
        "payload": [{"contentString": text(response, pages)}],
    }


def subject(response: Resource) -> str:
    """Return the mail's subject."""
    return SUBJECT.format(day=_day(response))


def text(response: Resource, pages: str) -> str:
    """Return the mail's text."""
    coverage_id = coverage_of(response).rpartition("/")[2]
    return TEXT.format(day=_day(response), link=f"{pages}/benefits/{coverage_id}")


def message_id(cause: str, pages: str) -> str:
    """Return the Message-ID of an alert: a second copy of the mail has the same one."""
    return f"<{trace_of(cause).lower()}@{urlsplit(pages).hostname}>"


def recipients(organizations: Iterable[Resource | None], fallback: tuple[str, ...]) -> list[str]:
    """Return the addresses that the first naming organization has for alerts, else `fallback`.

    An organization names them as a contact whose purpose is our code eligibility-alert.
    """
    for organization in organizations:
        found = [
            point["value"]
            for contact in (organization or {}).get("contact", [])
            if elements.code(contact.get("purpose"), systems.CONTACT_PURPOSE) == PURPOSE
            for point in contact.get("telecom", [])
            if point.get("system") == "email" and point.get("value")
        ]
        if found:
            return found
    return list(fallback)


def sent(message: Resource, moment: datetime) -> Resource:
    """Return the Communication after the relay took the mail."""
    stamp = moment.isoformat(timespec="milliseconds")
    kept = {k: v for k, v in message.items() if k != "statusReason"}
    return {**kept, "status": "completed", "sent": stamp}


def task(message: Resource, cause: str, reason: str, moment: datetime) -> Resource:
    """Return the Task that tells people of an alert that could not be sent."""
    return {
        "resourceType": "Task",
        "identifier": [{"system": systems.CAUSE, "value": f"undelivered/{cause}"}],
        "status": "requested",
        "intent": "order",
        "code": {
            "coding": [{"system": systems.TASK_CODE, "code": "alert-undelivered"}],
            "text": "An alert could not be sent by mail",
        },
        "description": reason,
        "focus": {"reference": f"Communication/{message['id']}"},
        "authoredOn": moment.isoformat(timespec="milliseconds"),
    }


def _day(response: Resource) -> str:
    return f"{date.fromisoformat(response['servicedDate']):%d %b %Y}"
