"""The alert about a plan that is not in force: its Communication, its mail, its Task.

The mail holds no patient data: a count, a date and a link behind which a login stands.
"""

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any
from urllib.parse import urlsplit

from bots.mapping.request import trace_of
from fhir_profiles import elements, systems
from fhir_profiles.codes import DEFINITE, State

Resource = dict[str, Any]
SUBJECT = "Insurance needs attention: 1 coverage on {day}"
TEXT = """\
A payer reported that a plan is not in force on {day}.

Open the benefit page to see what the payer said:
{link}

You get this message because your address is set for alerts about inactive plans.
The link opens after login; this message holds no patient data.
"""
PURPOSE = "eligibility-alert"
LEASE_S = 15  # longer than the relay may take for one mail


def coverage_of(response: Resource) -> str:
    """Return the reference of the coverage that a response speaks of."""
    return next((elements.reference(i.get("coverage")) for i in response.get("insurance", [])), "")


def spell(response: Resource, others: Iterable[Resource]) -> list[str]:
    """Return the traces of the inactive answers that belong together with this one, oldest first.

    Answers about the same coverage are put in the order they were given; one that says neither
    active nor inactive does not end a spell. One spell makes one alert.
    """
    coverage = coverage_of(response)
    by_trace = {elements.identifier(r, systems.TRACE): r for r in [*others, response]}
    line = sorted(
        (r["created"], trace, elements.tag(r, systems.ELIGIBILITY_STATE))
        for trace, r in by_trace.items()
        if coverage_of(r) == coverage and elements.tag(r, systems.ELIGIBILITY_STATE) in DEFINITE
    )
    mine = elements.identifier(response, systems.TRACE)
    runs: list[list[str]] = [[]]
    for _, trace, state in line:
        if state == State.INACTIVE.value:
            runs[-1].append(trace)
        else:
            runs.append([])
    return next((run for run in runs if mine in run), [mine])


def cause(coverage: str, trace: str) -> str:
    """Return the identifier of the alert about a spell that began with the answer `trace`."""
    return f"inactive-plan-{trace_of(f'{coverage}#{trace}')}"


def of_spell(messages: Iterable[Resource], coverage: str, traces: Iterable[str]) -> list[Resource]:
    """Return the Communications that were made for this spell, whatever it was thought to begin."""
    causes = {cause(coverage, trace) for trace in traces}
    return [m for m in messages if elements.identifier(m, systems.CAUSE) in causes]


def communication(response: Resource, named: str, pages: str) -> Resource:
    """Return the Communication that stands for one alert, before it is sent."""
    coverage = coverage_of(response)
    return {
        "resourceType": "Communication",
        "identifier": [
            {"system": systems.CAUSE, "value": named},
            {"system": systems.MESSAGE_ID, "value": message_id(named, pages)},
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


def message_id(named: str, pages: str) -> str:
    """Return the Message-ID of an alert: a second copy of the mail has the same one."""
    return f"<{trace_of(named).lower()}@{urlsplit(pages).hostname}>"


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


def claimed(message: Resource, moment: datetime) -> Resource:
    """Return the Communication while one delivery is sending its mail."""
    stamp = {"url": systems.EXT_CLAIMED, "valueDateTime": _instant(moment)}
    return {**released(message), "status": "in-progress", "extension": [stamp]}


def released(message: Resource) -> Resource:
    """Return the Communication as it is before anybody sends its mail."""
    kept = {key: value for key, value in message.items() if key != "extension"}
    return {**kept, "status": "preparation"}


def is_being_sent(message: Resource, moment: datetime) -> bool:
    """Tell whether another delivery claimed the mail less than LEASE_S ago."""
    since = elements.extension_value(message, systems.EXT_CLAIMED)
    if message["status"] != "in-progress" or since is None:
        return False
    return (moment - datetime.fromisoformat(since)).total_seconds() < LEASE_S


def sent(message: Resource, moment: datetime) -> Resource:
    """Return the Communication after the relay took the mail."""
    return {**released(message), "status": "completed", "sent": _instant(moment)}


def task(message: Resource, reason: str, moment: datetime) -> Resource:
    """Return the Task that tells people of an alert that could not be sent."""
    return {
        "resourceType": "Task",
        "identifier": [{"system": systems.CAUSE, "value": task_cause(message)}],
        "status": "requested",
        "intent": "order",
        "code": {
            "coding": [{"system": systems.TASK_CODE, "code": "alert-undelivered"}],
            "text": "An alert could not be sent by mail",
        },
        "description": reason,
        "focus": {"reference": f"Communication/{message['id']}"},
        "authoredOn": _instant(moment),
    }


def task_cause(message: Resource) -> str:
    """Return the identifier of the Task about an alert."""
    return f"undelivered-{elements.identifier(message, systems.CAUSE)}"


def _instant(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")


def _day(response: Resource) -> str:
    return f"{date.fromisoformat(response['servicedDate']):%d %b %Y}"
