"""An answer on record: its bytes, the response, the Coverage's mark, and the Tasks that follow.

Bytes and response are one transaction; where the server refuses that, they are stored piece by
piece, and no part costs another. Mark and Tasks follow; making them again changes nothing.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from bots import asking
from bots.errors import NeverRetry, RetryLater
from bots.mapping import items, known, models, payload, response, tasks
from bots.mapping.response import Head
from bots.ports import Exchange, Resource, Tools
from fhir_profiles import elements, pas, systems
from fhir_profiles.codes import DEFINITE, State

MARK_TRIES = 5
ANSWERS_LIMIT = 100  # earlier answers on a coverage that a new one is held against
_RESPONSE = "CoverageEligibilityResponse"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answered:
    """A response that is made and not stored yet, with the bytes of its exchange, `kept`.

    `there` is the response that the request has already, which waits for the payer; `coverage` the
    Coverage as it was when the payer was asked.
    """

    head: Head
    kept: list[Resource]
    response: Resource
    there: Resource | None
    coverage: Resource | None


def is_open(there: Resource) -> bool:
    """Tell whether a stored response still waits for the payer."""
    return elements.has_extension(there, systems.EXT_RETRY)


def sealed(head: Head, exchange: Exchange, tools: Tools) -> list[Resource]:
    """Return every byte that went out and came back, as resources to store."""
    return [
        resource
        for one in (*exchange.earlier, exchange)
        if one.sent
        for resource in payload.resources(
            head.request, head.trace, one.route, (one.sent, one.received),
            moment=head.created, seal=tools.vault.seal,
        )
    ]  # fmt: skip


def keep(kept: list[Resource], head: Head, tools: Tools) -> bool:
    """Store the bytes; tell whether the server took them.

    A FHIR server that does not take them costs the bytes, never the answer.
    """
    try:
        if kept:
            tools.fhir.put_all(kept)
    except NeverRetry as error:
        _log.error("the payload of trace %s is not kept: %s", head.trace, error)
        return False
    return True


def record(answered: Answered, tools: Tools) -> None:
    """Store the bytes and the response, and do what the response asks for."""
    if answered.there is None and _record_at_once(answered, tools):
        return
    head, there, found = answered.head, answered.there, answered.response
    is_kept = keep(answered.kept, head, tools)
    links = _links(answered.kept) if is_kept else models.plain(items.flags(["payload-not-kept"]))
    follow_up(_store_somehow(head, _linked(found, links), there, tools), tools)


def _record_at_once(answered: Answered, tools: Tools) -> bool:
    """Record in one transaction; False where the server refuses it, and nothing is stored.

    The other answers are read inside it, so that of two answers the later sees the earlier.
    """
    found = response.prune(_linked(answered.response, _links(answered.kept)))
    trace = f"identifier={systems.TRACE}|{answered.head.trace}"
    query = _others(_about(found)) if _is_definite(found) else f"{_RESPONSE}?{trace}"
    entries = [
        *map(elements.put_entry, answered.kept),
        {"resource": found,
         "request": {"method": "POST", "url": _RESPONSE, "ifNoneExist": trace}},
        {"request": {"method": "GET", "url": query}},
    ]  # fmt: skip
    try:
        *_, last = tools.fhir.transact(entries)
    except NeverRetry as error:
        _log.warning("trace %s is stored piece by piece: %s", answered.head.trace, error)
        return False
    listed = _listed(last.get("resource"))
    stored = next((one for one in listed if _trace(one) == answered.head.trace), None)
    if stored is None:
        stored = store(found, None, tools)
    if is_open(stored) and not is_open(found):
        # Another delivery of the request has met an outage meanwhile, and this one an answer.
        stored = store(found, stored, tools)
    if _is_as_asked(stored, answered.coverage, tools):
        _follow(stored, answered.coverage, listed, tools)
    else:
        follow_up(stored, tools)
    return True


def _is_as_asked(stored: Resource, coverage: Resource | None, tools: Tools) -> bool:
    """Tell whether the Coverage that was asked about may be marked as it was read then.

    Its version tells when somebody has changed it; it must be on the server by itself.
    """
    if not _is_definite(stored):
        return True  # it is not marked
    if coverage is None:
        return False
    is_here = _about(stored) == f"Coverage/{coverage.get('id')}"
    is_news = not known.is_history(stored, tools.zone)
    has_version = bool(coverage.get("meta", {}).get("versionId"))
    return is_here and has_version and is_news and not response.has_newer_mark(coverage, stored)


def _links(kept: list[Resource]) -> list[Resource]:
    """Return the extensions that lead from a response to its bytes."""
    documents = (one["id"] for one in kept if one["resourceType"] == "DocumentReference")
    references = ({"reference": f"DocumentReference/{fhir_id}"} for fhir_id in documents)
    return [{"url": systems.EXT_EXCHANGE, "valueReference": one} for one in references]


def _linked(found: Resource, links: list[Resource]) -> Resource:
    return {**found, "extension": [*found["extension"], *links]}


def _trace(stored: Resource) -> str:
    return elements.identifier(stored, systems.TRACE)


def _listed(bundle: Resource | None) -> list[Resource]:
    return [entry["resource"] for entry in (bundle or {}).get("entry", [])]


def _about(found: Resource) -> str:
    """Return the address of the coverage that an answer is about."""
    return elements.reference(found["insurance"][0]["coverage"])


def _is_definite(found: Resource) -> bool:
    return elements.tag(found, systems.ELIGIBILITY_STATE) in DEFINITE


def _others(address: str) -> str:
    """Return the search for the newest answers on a coverage."""
    return f"{_RESPONSE}?coverage={address}&_sort=-created&_count={ANSWERS_LIMIT}&_total=none"


def _store_somehow(head: Head, found: Resource, there: Resource | None, tools: Tools) -> Resource:
    """Store the response; an answer that FHIR cannot hold is told as unreadable, never lost."""
    try:
        return store(found, there, tools)
    except NeverRetry:
        route = elements.extension_value(found, systems.EXT_ROUTE) or ""
        unstorable, state = [response.UNSTORABLE], State.COULD_NOT_CHECK
        told = response.unanswered(head, unstorable, state=state, route=route)
        told["extension"] += elements.extensions(found, systems.EXT_EXCHANGE)
        return store(told, there, tools)


def store(found: Resource, there: Resource | None, tools: Tools) -> Resource:
    """Store the response of a request: the first, or a newer version of the open one."""
    found = response.prune(found)
    if there is None:
        return tools.fhir.create_once(found, f"identifier={systems.TRACE}|{_trace(found)}")
    if is_open(there) and is_open(found):
        return there  # nothing new was learnt: the first word on the outage stands
    found["id"], found["meta"]["versionId"] = there["id"], there["meta"].get("versionId", "")
    updated = tools.fhir.update(found)
    if updated is None:
        raise RetryLater("another delivery of this request changed the response")
    return updated


def follow_up(stored: Resource, tools: Tools) -> None:
    """Do what a stored answer asks for beside itself; doing it twice changes nothing."""
    coverage, listed = None, []
    if _is_definite(stored):
        address = _about(stored)
        coverage, found = tools.fhir.read_all([address, _others(address)])
        listed = _listed(found)
    _follow(stored, coverage, listed, tools)


def _follow(
    stored: Resource, coverage: Resource | None, listed: Sequence[Resource], tools: Tools
) -> None:
    """Mark the Coverage, ask anew about days that were answered otherwise, and make Tasks."""
    due = [*tasks.of_answer(stored, tools.now()), *tasks.of_ghost(stored, tools.now())]
    if coverage is not None and _is_definite(stored):
        coverage = _marked(stored, coverage, tools)
        # An answer may be stored after one to a later question: that one is held against it now.
        for answer in (stored, *asking.later_answers(stored, listed)):
            asking.reopen(answer, coverage, listed, tools)
            earlier = asking.earlier_answers(answer, listed)
            due += tasks.of_flip(answer, earlier, tools.now(), tools.zone)
    for task in due:
        cause = elements.identifier(task, systems.CAUSE)
        there = tools.fhir.create_once(task, f"identifier={systems.CAUSE}|{cause}")
        again = tasks.seen_again(there, stored)
        if again is not None:
            tools.fhir.update(again)  # where somebody else counts at this moment, one is enough


def _marked(stored: Resource, coverage: Resource, tools: Tools) -> Resource:
    """Tell on the Coverage what its newest answer said, and return it as it is then.

    A failed check never changes the mark, nor does an answer about a day that was over.
    """
    if known.is_history(stored, tools.zone):
        return coverage
    marks = [*elements.extensions(stored, pas.EXT_WELL_KNOWN), response.coverage_mark(stored)]
    urls = {one["url"] for one in marks}
    for _ in range(MARK_TRIES):
        if response.has_newer_mark(coverage, stored):
            return coverage
        kept = [e for e in coverage.get("extension", []) if e["url"] not in urls]
        marked = tools.fhir.update({**coverage, "extension": [*kept, *marks]})
        if marked is not None:
            return marked
        (newest,) = tools.fhir.read_all([f"Coverage/{coverage['id']}"])
        if newest is None:
            return coverage
        coverage = newest
    raise RetryLater("the coverage kept changing while it was marked")
