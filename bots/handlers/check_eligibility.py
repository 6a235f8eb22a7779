"""CoverageEligibilityRequest -> 270 -> 271 -> CoverageEligibilityResponse, and the Coverage's mark.

Every request gets exactly one response, whatever happens: an answer, a reject, an outage, or the
list of what is missing. After an outage the same response is brought up to date when the event
comes again.
"""

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import date, datetime

from bots import alternates, directory, recording
from bots.alternates import Asked
from bots.directory import Ambiguous
from bots.domain import person_match
from bots.domain.eligibility import Answer, Inquiry
from bots.domain.verdict import may_be_asked_again
from bots.errors import RetryLater
from bots.mapping import inquiry, request, response, tasks
from bots.mapping.inquiry import Facts, Problem
from bots.mapping.response import Head
from bots.ports import Bot, Exchange, Resource, Tools
from bots.recording import Answered
from bots.x12 import eligibility_270, eligibility_271
from fhir_profiles import elements, payers, systems
from fhir_profiles.codes import State

TIMEOUT_S = 22.0  # CAQH CORE 156: the 271 within 20 seconds, and 2 for the network
BACKGROUND_S = 65.0  # payers take up to a minute, and nobody waits
NOTES_LIMIT = 20  # breaches of the guide that a response tells
_TRACE = re.compile(r"[A-Za-z0-9-]{1,50}")  # TRN02, and safe in any search
_MISSING = {
    "payer-id": f"The payer's organization has no payer id (identifier of {systems.PAYER_ID}).",
    "payer-name": "The payer's organization has no name.",
    "provider-npi": "No provider with a valid NPI asks.",
    "provider-name": "The provider has no name.",
    "member-id": "The coverage has no member id.",
    "patient-name": "The patient has no family name.",
    "birth-date": "The patient has no full birth date.",
    "relationship": "The patient's relationship to the subscriber is not known.",
    "service-type": "No service type is asked for.",
}

# What is missing in consequence of a whole resource that is missing, and is told by that.
_TOLD = {
    "no-coverage": ("member-id", "relationship"),
    "no-patient": ("patient-name", "birth-date"),
    "no-payer": ("payer-id", "payer-name"),
    "ambiguous-payer": ("payer-id", "payer-name"),
}


def handle(wish: Resource, tools: Tools) -> None:
    """Answer one request. Raises RetryLater when the payer or the route may answer later."""
    if wish.get("status") != "active":
        return
    trace = _trace(wish, tools)
    facts, there = _gather(wish, trace, tools)
    if there is not None and not recording.is_open(there):
        recording.follow_up(there, tools)
        return
    now = tools.now()
    today = now.astimezone(tools.zone).date()
    head = Head(wish, trace, now, inquiry.service_date(wish, today))
    wish, facts, absent = _resolved(wish, facts, head.on, tools)
    head = replace(head, request=wish)
    question = inquiry.to_inquiry(wish, facts, trace=trace, today=today)
    problems = [*absent, *inquiry.problems(wish, facts), *_gaps(question, absent, tools)]
    if problems:
        stored = response.unanswered(head, problems, state=State.COULD_NOT_CHECK, route="")
        recording.store(stored, there, tools)
        return
    # A crash before it is recorded costs a second 270, which payers allow.
    timeout_s = BACKGROUND_S if question.background else TIMEOUT_S
    asked = alternates.check(question, facts, tools, timeout_s=timeout_s)
    kept = recording.sealed(head, asked.exchange, tools)
    try:
        answered = Answered(head, kept, _response(head, asked), there, facts.coverage)
        recording.record(answered, tools)
    except Exception:  # whatever fails, what the payer said outlives it
        with suppress(RetryLater):
            recording.keep(kept, head, tools)
        raise
    _raise_if_open(asked.exchange)


def _trace(wish: Resource, tools: Tools) -> str:
    """Return the request's trace number; one that X12 cannot carry is replaced by a made one."""
    given = elements.identifier(wish, systems.TRACE)
    address = f"{tools.pages}/CoverageEligibilityRequest/{wish['id']}"
    return given if _TRACE.fullmatch(given) else request.trace_of(f"{address}#{given}")


def _gather(wish: Resource, trace: str, tools: Tools) -> tuple[Facts, Resource | None]:
    """Read what the request refers to, contained or not, and the response it may already have."""
    references = [
        inquiry.focal_coverage(wish), wish.get("patient"), wish.get("insurer"),
        wish.get("provider"),
    ]  # fmt: skip
    addresses = [elements.reference(node) for node in references]
    answer = f"CoverageEligibilityResponse?identifier={systems.TRACE}|{trace}"
    *read, found = tools.fhir.read_all([*addresses, answer])
    pairs = zip(addresses, read, strict=True)
    coverage, patient, payer, provider = (
        one or elements.contained(wish, address) for address, one in pairs
    )
    subscriber = None
    address = inquiry.subscriber_address(coverage)
    if address:
        (subscriber,) = tools.fhir.read_all([address])
        subscriber = subscriber or elements.contained(coverage or {}, address)
    entries = (found or {}).get("entry", [])
    there = entries[0]["resource"] if entries else None
    return Facts(coverage, patient, payer, provider, subscriber), there


def _resolved(
    wish: Resource, facts: Facts, on: date, tools: Tools
) -> tuple[Resource, Facts, list[Problem]]:
    """Return request and facts with the payer that the directory has, and what is absent."""
    insurer = wish.get("insurer", {})
    if facts.payer is not None and payers.ids(facts.payer, on):
        return wish, facts, _absent(wish, facts)
    try:
        payer = directory.find(insurer, facts.payer, on, tools.fhir)
    except Ambiguous as error:
        others = [one for one in _absent(wish, facts) if one.code != "no-payer"]
        return wish, facts, [error.problem, *others]
    is_found = payer is not facts.payer
    facts = replace(facts, payer=payer)
    if payer is not None and is_found:
        named = {"display": payer["name"]} if payer.get("name") else {}
        found = {**insurer, **named, "reference": f"Organization/{payer['id']}"}
        wish = {**wish, "insurer": found}
    return wish, facts, _absent(wish, facts)


def _absent(wish: Resource, facts: Facts) -> list[Problem]:
    """Name what the request points to and the server does not have."""
    found = []
    if facts.coverage is None:
        found.append(
            Problem(
                "no-coverage",
                "The coverage asked about is not on this server.",
                "CoverageEligibilityRequest.insurance.coverage",
            )
        )
    if facts.patient is None:
        found.append(
            Problem(
                "no-patient",
                "The patient is not on this server.",
                "CoverageEligibilityRequest.patient",
            )
        )
    if facts.payer is None:
        text = "The payer's organization is not on this server."
        if not elements.reference(wish.get("insurer")):
            text = "The coverage refers to no Organization, and the directory has no such payer."
        found.append(Problem("no-payer", text, "CoverageEligibilityRequest.insurer"))
    return found


def _gaps(question: Inquiry, absent: list[Problem], tools: Tools) -> list[Problem]:
    """Name what no route could do without, as far as its absence is not told already.

    A payer that has ids, but none for our routes, is no gap: the route says that it is not
    supported.
    """
    asked = [eligibility_270.missing(question.at(s)) for s in tools.clearinghouse.payer_systems]
    told = {name for problem in absent for name in _TOLD[problem.code]}
    if question.route_payer_ids:
        told.add("payer-id")
    return [
        Problem(f"missing-{name}", _MISSING[name])
        for name in asked[0]
        if name not in told and all(name in gaps for gaps in asked)
    ]


def _response(head: Head, asked: Asked) -> Resource:
    exchange = asked.exchange
    route, answer = exchange.route, exchange.answer
    if answer is None:
        failure = exchange.failure
        if failure is None:
            raise ValueError("an exchange holds an answer or a failure")
        state = State.COULD_NOT_CHECK if failure.supported else State.NOT_SUPPORTED
        problem = Problem(failure.code, failure.text)
        found = response.unanswered(head, [problem], state=state, route=route)
    else:
        notes = [f"{systems.GHOST}:{asked.prevented_by}"] if asked.prevented_by else []
        found = _from_answer(head, asked.question, answer, route, notes)
    if asked.is_tried:
        found["meta"]["tag"].append({"system": systems.ALTERNATES, "code": systems.TRIED})
    if exchange.payer_id:
        found["extension"].append({"url": systems.EXT_PAYER_ID, "valueString": exchange.payer_id})
    if _open_reason(exchange):
        found["extension"].append({"url": systems.EXT_RETRY, "valueBoolean": True})
    return found


def rebuilt(stored: Resource, wish: Resource, question: Inquiry, answer: Answer) -> Resource:
    """Return a stored response as it would be written today from the same answer."""
    head = Head(
        wish,
        elements.identifier(stored, systems.TRACE),
        datetime.fromisoformat(stored["created"]),
        date.fromisoformat(stored["servicedDate"]),
    )
    route = elements.extension_value(stored, systems.EXT_ROUTE) or ""
    marks = (e.get("valueString", "") for e in elements.extensions(stored, systems.EXT_FLAG))
    ghosts = [mark for mark in marks if mark.startswith(systems.GHOST)]
    found = _from_answer(head, question, answer, route, ghosts)
    tags = stored["meta"]["tag"]
    found["meta"]["tag"] += [t for t in tags if t.get("system") != systems.ELIGIBILITY_STATE]
    for url in (systems.EXT_PAYER_ID, systems.EXT_RETRY, systems.EXT_EXCHANGE):
        found["extension"] += elements.extensions(stored, url)
    return {**response.prune(found), "id": stored["id"]}


def _from_answer(
    head: Head, question: Inquiry, answer: Answer, route: str, ghosts: Iterable[str]
) -> Resource:
    """Return what the payer said, unless it said it of somebody else.

    `ghosts` are flags of a person who was found by another writing of the member id only.
    """
    notes = [*ghosts, *_guide_notes(answer)]
    alone = answer.of_subscriber()
    if question.dependent is None and alone.benefits and not answer.benefits:
        answer = alone  # the payer rejected a dependent whom nobody asked about
    if not answer.benefits and answer.rejects:
        return response.answered(head, answer, route, notes=notes)
    match = person_match.compare(question, answer)
    if not match.is_same and question.dependent is None and alone.benefits:
        answer, match = alone, person_match.compare(question, alone)
    if match.is_same:
        return response.answered(
            head, answer, route, notes=[*(f"differs:{name}" for name in match.differences), *notes]
        )
    problem = Problem(
        tasks.MISMATCH,
        "The payer's answer is about another person, or names none "
        f"({', '.join(match.mismatches)}); nothing was taken from it.",
    )
    return response.unanswered(head, [problem], state=State.COULD_NOT_CHECK, route=route)


def _guide_notes(answer: Answer) -> list[str]:
    """Return in which ways the payer's answer breaks the guide; nothing is refused for it."""
    if not answer.raw:
        return []
    broken = dict.fromkeys(found.rule for found in eligibility_271.findings(answer.raw))
    return [f"guide:{rule}" for rule in list(broken)[:NOTES_LIMIT]]


def _open_reason(exchange: Exchange) -> str:
    """Return why the same question should be asked again later, "" if it is settled."""
    if exchange.failure is not None:
        return exchange.failure.code if exchange.failure.again else ""
    answer = exchange.answer
    if answer is None or not may_be_asked_again(answer):
        return ""
    return f"AAA {answer.rejects[0].reason}"


def _raise_if_open(exchange: Exchange) -> None:
    reason = _open_reason(exchange)
    if reason:
        after_s = exchange.failure.after_s if exchange.failure else None
        raise RetryLater(reason, after_s=after_s)


BOT = Bot("check-eligibility", "CoverageEligibilityRequest?status=active", handle)
