"""The alerts about a plan: their Communications, mails and Tasks.

A mail holds no patient data: a count, a date and links behind which a login stands.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from typing import Any
from urllib.parse import urlsplit

from bots.mapping import known, tasks
from bots.mapping.request import trace_of
from fhir_profiles import elements, systems
from fhir_profiles.codes import DEFINITE, State

Resource = dict[str, Any]
PURPOSE = "eligibility-alert"
OVER = ("completed", "not-done")
LEASE_S = 15  # longer than the relay may take for one mail
_ACTIVE = frozenset({State.ACTIVE.value, State.ACTIVE_REVIEW.value})


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of alert: its code, and what people read. `says` are the states that make it.

    Of the `counts` states each begins or ends a spell; with `after` only a spell that follows one
    of these states is told.
    """

    code: str
    title: str
    subject: str
    sentence: str
    says: frozenset[str]
    counts: frozenset[str] = DEFINITE
    after: frozenset[str] | None = None


INACTIVE = Kind(
    "inactive-plan",
    "Alert: plan not in force",
    "Insurance needs attention",
    "A payer reported that a plan is not in force on {day}.",
    frozenset({State.INACTIVE.value}),
)
FLIP = Kind(
    "plan-in-force-again",
    "Alert: plan in force again",
    "Insurance is in force again",
    "A plan that was not in force before is in force on {day}.",
    _ACTIVE,
    after=frozenset({State.INACTIVE.value}),
)
COULD_NOT_CHECK = Kind(
    "could-not-check",
    "Alert: insurance could not be checked",
    "Insurance could not be checked",
    "Whether a plan is in force on {day} could not be found out.",
    frozenset({State.COULD_NOT_CHECK.value}),
    counts=DEFINITE | {State.COULD_NOT_CHECK.value},
)
KINDS = {kind.code: kind for kind in (INACTIVE, FLIP, COULD_NOT_CHECK)}
_FOOT = """
You get this message because your address is set for alerts about insurance.
The {links} for who may see our pages; this message holds no patient data.
"""


def coverage_of(response: Resource) -> str:
    """Return the reference of the coverage that a response speaks of."""
    return next((elements.reference(i.get("coverage")) for i in response.get("insurance", [])), "")


def spell(kind: Kind, response: Resource, others: Iterable[Resource], zone: tzinfo) -> list[str]:
    """Return the traces of the answers of this kind that belong together with this one.

    The oldest is the first. Answers about the same coverage are put in the order they were given;
    one of a state that does not count ends no spell, nor does one about a day that was over in
    `zone`. One spell makes one alert. It is empty where the kind wants a state before, and another
    was there.
    """
    coverage = coverage_of(response)
    by_trace = {elements.identifier(r, systems.TRACE): r for r in [*others, response]}
    line = sorted(
        (r["created"], trace, elements.tag(r, systems.ELIGIBILITY_STATE))
        for trace, r in by_trace.items()
        if coverage_of(r) == coverage
        and elements.tag(r, systems.ELIGIBILITY_STATE) in kind.counts
        and not known.is_history(r, zone)
    )
    mine = elements.identifier(response, systems.TRACE)
    runs: list[tuple[str, list[str]]] = [("", [])]
    for _, trace, state in line:
        if state not in kind.says:
            runs.append((state, []))
        else:
            runs[-1][1].append(trace)
    before, found = next(((b, run) for b, run in runs if mine in run), ("", [mine]))
    return found if kind.after is None or before in kind.after else []


def cause(kind: Kind, coverage: str, trace: str) -> str:
    """Return the identifier of the alert about a spell that began with the answer `trace`."""
    return f"{kind.code}-{trace_of(f'{coverage}#{trace}')}"


def of_spell(
    kind: Kind, messages: Iterable[Resource], coverage: str, traces: Iterable[str]
) -> list[Resource]:
    """Return the Communications that were made for this spell, whatever it was thought to begin."""
    causes = {cause(kind, coverage, trace) for trace in traces}
    return [m for m in messages if elements.identifier(m, systems.CAUSE) in causes]


def communication(
    kind: Kind, response: Resource, named: str, *, pages: str, moment: datetime
) -> Resource:
    """Return the Communication that stands for one alert, before it is sent."""
    coding = {"system": systems.COMMUNICATION_CATEGORY, "code": kind.code}
    return {
        "resourceType": "Communication",
        "identifier": [
            {"system": systems.CAUSE, "value": named},
            {"system": systems.MESSAGE_ID, "value": message_id(named, pages)},
        ],
        "extension": [{"url": systems.EXT_MADE, "valueDateTime": _instant(moment)}],
        "status": "preparation",
        "category": [{"coding": [coding], "text": kind.title}],
        "subject": response["patient"],
        "about": [
            {"reference": f"CoverageEligibilityResponse/{response['id']}"},
            {"reference": coverage_of(response)},
        ],
        "payload": [{"contentString": text(kind, response, pages)}],
    }


def kind_of(message: Resource) -> Kind | None:
    """Return the kind of alert that a Communication is, None if it is none."""
    code = elements.code(
        next(iter(message.get("category", [])), {}), systems.COMMUNICATION_CATEGORY
    )
    return KINDS.get(code)


def subject(kind: Kind, response: Resource) -> str:
    """Return the mail's subject."""
    return f"{kind.subject}: 1 coverage on {_day(response)}"


def text(kind: Kind, response: Resource, pages: str) -> str:
    """Return the mail's text."""
    sentence = kind.sentence.format(day=_day(response))
    step = "Open the benefit page to see why, and what comes next:"
    link = _link(coverage_of(response), pages)
    return f"{sentence}\n\n{step}\n{link}\n{_FOOT.format(links='link opens')}"


def digest(parts: Sequence[tuple[Kind, Resource]], pages: str) -> tuple[str, str]:
    """Return subject and text of one mail about several responses, each with its kind."""
    count = f"{len(parts)} coverage{'s' if len(parts) > 1 else ''}"
    lines = [
        f"{kind.sentence.format(day=_day(one))}\n{_link(coverage_of(one), pages)}"
        for kind, one in parts
    ]
    today = f"The visits of today: {pages}/"
    text = "\n\n".join([*lines, today]) + f"\n{_FOOT.format(links='links open')}"
    return f"Insurance needs attention: {count}", text


def _link(coverage: str, pages: str) -> str:
    return f"{pages}/benefits/{coverage.rpartition('/')[2]}"


def message_id(named: str, pages: str) -> str:
    """Return the Message-ID of an alert: a second copy of the mail has the same one."""
    return f"<{trace_of(named).lower()}@{urlsplit(pages).hostname}>"


def named_by(response: Resource) -> list[str]:
    """Return the addresses of who may name recipients: roles at the clinic, clinic, payer."""
    clinic = elements.reference(response.get("requestor"))
    purpose = f"{systems.CONTACT_PURPOSE}|{PURPOSE}"
    roles = f"PractitionerRole?organization={clinic}&active=true&role={purpose}"
    is_here = clinic.startswith("Organization/")
    return [roles if is_here else "", clinic, elements.reference(response["insurer"])]


def recipients(parties: Iterable[Resource | None], fallback: tuple[str, ...]) -> list[str]:
    """Return the addresses that the first of `parties` has for alerts, else `fallback`.

    PractitionerRoles (in a Bundle) with the role eligibility-alert have their own; an organization
    names them as a contact whose purpose is that code.
    """
    for party in parties:
        found = list(dict.fromkeys(_addresses(party or {})))
        if found:
            return found
    return list(fallback)


def _addresses(party: Resource) -> list[str]:
    points = [
        point for entry in party.get("entry", []) for point in entry["resource"].get("telecom", [])
    ]
    points += [
        point
        for contact in party.get("contact", [])
        if elements.code(contact.get("purpose"), systems.CONTACT_PURPOSE) == PURPOSE
        for point in contact.get("telecom", [])
    ]
    return [p["value"] for p in points if p.get("system") == "email" and p.get("value")]


def claimed(message: Resource, moment: datetime, batch: str = "") -> Resource:
    """Return the Communication while one delivery is sending its mail, alone or in a `batch`."""
    stamps: list[Resource] = [{"url": systems.EXT_CLAIMED, "valueDateTime": _instant(moment)}]
    if batch:
        stamps.append({"url": systems.EXT_BATCH, "valueString": batch})
    before = released(message)
    return {**before, "status": "in-progress", "extension": [*before["extension"], *stamps]}


def released(message: Resource) -> Resource:
    """Return the Communication as it is before anybody sends its mail."""
    return {**message, "status": "preparation",
            "extension": [*elements.extensions(message, systems.EXT_MADE)]}  # fmt: skip


def made(message: Resource) -> datetime:
    """Return when the alert was made."""
    told = elements.extension_value(message, systems.EXT_MADE)
    return datetime.fromisoformat(told or message["meta"]["lastUpdated"])


def batch_of(message: Resource) -> str:
    """Return the batch in which the mail was sent that was broken off, "" if there is none."""
    return str(elements.extension_value(message, systems.EXT_BATCH) or "")


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
    title = "An alert could not be sent by mail"
    found = tasks.made(
        f"Communication/{message['id']}", "alert-undelivered", task_cause(message), title, reason
    )
    return {**found, "authoredOn": _instant(moment)}


def task_cause(message: Resource) -> str:
    """Return the identifier of the Task about an alert."""
    return f"undelivered-{elements.identifier(message, systems.CAUSE)}"


def _instant(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")


def _day(response: Resource) -> str:
    return f"{date.fromisoformat(response['servicedDate']):%d %b %Y}"
