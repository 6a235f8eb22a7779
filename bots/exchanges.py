"""Kept exchanges with payers: one by its trace number, and all read again by today's reader."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bots.handlers import check_eligibility
from bots.mapping import payload
from bots.ports import Resource, Tools
from bots.vault import Sealed
from bots.x12.syntax import Unreadable
from fhir_profiles import codec, elements, systems

_OURS = frozenset({"id", "meta", "text", "created"})  # what a new reading does not say
_READ = {"system": "http://hl7.org/fhir/restful-interaction", "code": "read"}


class NotKept(Exception):
    """There is no exchange under this trace number, or none that our keys open."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A stored response read again: `differs` are the elements that come out otherwise.

    `problem` says why it could not be read again; `found` is the response as it would be now.
    """

    address: str
    differs: tuple[str, ...] = ()
    problem: str = ""
    found: Resource | None = None


def shown(tools: Tools, trace: str, *, who: str, sent: bool) -> list[bytes]:
    """Return what came back under a trace number, or with `sent` what went out, the oldest first.

    That it was read, and by whom, is stored as an AuditEvent before; so is that it was tried where
    our keys open nothing. Raises NotKept.
    """
    found = tools.fhir.search("DocumentReference", [("identifier", f"{systems.TRACE}|{trace}")])
    title = payload.SENT if sent else payload.RECEIVED
    addresses = {one["id"]: payload.part(one, title) for one in _by_date(found)}
    if not any(addresses.values()):
        raise NotKept(f"nothing is kept under the trace number {trace}")
    try:
        opened = [_opened(tools, address) for address in addresses.values() if address]
    except NotKept:
        _record(found, who, tools, outcome="4")
        raise
    _record(found, who, tools, outcome="0")
    return opened


def _record(found: list[Resource], who: str, tools: Tools, *, outcome: str) -> None:
    for one in found:
        tools.fhir.create(_audit(one, who, tools.now(), outcome))


def read_again(tools: Tools) -> Iterator[Reading]:
    """Yield each stored response that holds a payer's answer, read again; writes nothing."""
    for stored in tools.fhir.search("CoverageEligibilityResponse", [("_sort", "_lastUpdated")]):
        links = list(elements.extensions(stored, systems.EXT_EXCHANGE))
        if links:
            yield _read_again(tools, stored, elements.reference(links[-1]["valueReference"]))


def _read_again(tools: Tools, stored: Resource, document: str) -> Reading:
    address = f"CoverageEligibilityResponse/{stored['id']}"
    kept, wish = tools.fhir.read_all([document, elements.reference(stored["request"])])
    if kept is None or wish is None:
        return Reading(address, problem="its request or its exchange is gone")
    places = [payload.part(kept, title) for title in (payload.SENT, payload.RECEIVED)]
    if not all(places):
        return Reading(address)  # nothing came back then
    route = elements.extension_value(stored, systems.EXT_ROUTE) or ""
    try:
        sent, received = (_opened(tools, place) for place in places)
        exchange = tools.clearinghouse.reread(route, sent, received)
    except (NotKept, Unreadable) as error:
        return Reading(address, problem=str(error))
    if exchange is None:
        return Reading(address)
    question, answer = exchange
    found = check_eligibility.rebuilt(stored, wish, question, answer)
    return Reading(address, tuple(_differences(stored, found)), found=found)


def store(tools: Tools, reading: Reading) -> bool:
    """Store a response as it is read now; False where somebody changed it meanwhile."""
    if reading.found is None:
        return False
    (there,) = tools.fhir.read_all([reading.address])
    version = (there or {}).get("meta", {}).get("versionId", "")
    meta = {**reading.found["meta"], "versionId": version}
    return tools.fhir.update({**reading.found, "meta": meta}) is not None


def _differences(stored: Resource, found: Resource) -> Iterator[str]:
    """Yield the paths at which two responses differ, without values."""
    for name in sorted((stored.keys() | found.keys()) - _OURS):
        left, right = stored.get(name), found.get(name)
        if name == "insurance":
            yield from _entries(left, right)
        elif not _is_same(left, right):
            yield name
    if elements.tag(stored, systems.ELIGIBILITY_STATE) != elements.tag(
        found, systems.ELIGIBILITY_STATE
    ):
        yield "meta.tag"


def _entries(left: Any, right: Any) -> Iterator[str]:
    one, other = (left or [{}])[0], (right or [{}])[0]
    for name in sorted(one.keys() | other.keys()):
        if name != "item" and not _is_same(one.get(name), other.get(name)):
            yield f"insurance.{name}"
    items, others = one.get("item", []), other.get("item", [])
    if len(items) != len(others):
        yield f"insurance.item: {len(items)} become {len(others)}"
        return
    for place, (item, now) in enumerate(zip(items, others, strict=True)):
        if not _is_same(item, now):
            yield f"insurance.item[{place}]"


def _is_same(left: Any, right: Any) -> bool:
    """Tell whether two elements say the same, whatever the order of their members."""
    return codec.is_same(codec.encode(left), codec.encode(right))


def _opened(tools: Tools, address: str) -> bytes:
    (binary,) = tools.fhir.read_all([address])
    if binary is None:
        raise NotKept(f"{address} is gone")
    try:
        return tools.vault.open(payload.content(binary))
    except Sealed as error:
        raise NotKept(str(error)) from error


def _by_date(found: list[Resource]) -> list[Resource]:
    return sorted(found, key=lambda one: str(one.get("date", "")))


def _audit(document: Resource, who: str, moment: datetime, outcome: str) -> Resource:
    """Return the AuditEvent of a person who reads a payload."""
    entities: list[Resource] = [{"what": {"reference": f"DocumentReference/{document['id']}"}}]
    entities += [{"what": document["subject"]}] if "subject" in document else []
    return {
        "resourceType": "AuditEvent",
        "type": {"system": systems.AUDIT_TYPE, "code": "rest"},
        "subtype": [_READ],
        "action": "R",
        "recorded": moment.isoformat(timespec="milliseconds"),
        "outcome": outcome,
        "agent": [{"altId": who, "requestor": True}],
        "source": {"observer": {"display": "inforce-bots payload"}},
        "entity": entities,
    }
