"""What a payer decided: a PAS ClaimResponse read item by item, and the state that follows.

A decision is read from the review action alone (X12 306, HCR01), never from `outcome`: a pended
answer is `complete` in one edition of the guide and `queued` in another. What contradicts itself is
not read at all. Source: Da Vinci PAS 2.2.1, ClaimResponse profile and specification.html.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from fhir_profiles import elements, pas, systems

Resource = dict[str, Any]


class Action(Enum):
    """A review action code (X12 306). A6 is something else certified than was asked for."""

    CERTIFIED = "A1"
    PARTIAL = "A2"
    DENIED = "A3"
    PENDED = "A4"
    MODIFIED = "A6"
    CANCELLED = "C"
    CONTACT_PAYER = "CT"
    NOT_REQUIRED = "NA"


class State(Enum):
    """What an answer as a whole says; REJECTED is a payer's business error, nothing was decided."""

    APPROVED = "approved"
    MODIFIED = "modified"
    PARTIAL = "partial"
    DENIED = "denied"
    PENDED = "pended"
    MORE_INFORMATION = "more-information"
    CONTACT_PAYER = "contact-payer"
    NOT_REQUIRED = "not-required"
    CANCELLED = "cancelled"
    REJECTED = "rejected"


class Unreadable(Exception):
    """The answer contradicts itself, or says what we do not know; the message holds no data."""


@dataclass(frozen=True, slots=True)
class Item:
    """What was decided on one item; `action` is None where the payer has said nothing on it yet.

    `reasons` are codes of X12 886 with their display, `notes` the payer's words. `issued` and
    `period` are dates as FHIR writes them. `authorized` is each addItem of the same sequence: what
    is certified in place of what was asked for.
    """

    sequence: int
    action: Action | None
    number: str = ""
    reasons: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    issued: str = ""
    period: tuple[str, str] = ("", "")
    providers: tuple[str, ...] = ()
    authorized: tuple[Resource, ...] = ()


@dataclass(frozen=True, slots=True)
class Problem:
    """A payer's error: X12 901 code, its display, follow-up (X12 889), and the place it names."""

    code: str
    text: str
    follow_up: str
    place: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A ClaimResponse as read: `extra` are items that nobody asked for and the payer authorized.

    With decided items, `problems` are warnings beside them. `asks` are the addresses of its
    CommunicationRequests. `flags` name modifier extensions that we do not know.
    """

    state: State
    items: tuple[Item, ...]
    extra: tuple[Item, ...] = ()
    problems: tuple[Problem, ...] = ()
    asks: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()


def read(response: Resource, asked: Iterable[int], cancelled: Iterable[int] = ()) -> Answer:
    """Return what a ClaimResponse says about the items `asked` (their sequences).

    Items that were `cancelled` by us do not count for the state. Raises Unreadable for a sequence
    that nobody asked for or that stands twice, a review action that is not of the list, and an
    answer that says it is complete and decides nothing.
    """
    wanted, gone = set(asked), set(cancelled)
    notes = {
        note.get("number"): str(note.get("text", "")) for note in _list(response, "processNote")
    }
    event = _action(response, "ClaimResponse.adjudication")
    added = [
        _item({**one, "addItem": [one]}, notes, None)
        for one in _list(response, "addItem") if _numbers(one)
    ]  # fmt: skip
    items = {
        number: _item({**one, "addItem": [
            other for other in _list(response, "addItem") if number in _numbers(other)
        ]}, notes, event)
        for number, one in _once(response, wanted).items()
    }  # fmt: skip
    every = [items.get(number, Item(number, event)) for number in sorted(wanted)]
    problems = tuple(_problem(one) for one in _list(response, "error"))
    asks = tuple(filter(None, map(elements.reference, _list(response, "communicationRequest"))))
    live = [one for one in every if one.sequence not in gone]
    state = _state(response, live or every, problems, asks)
    extra = tuple(one for one in added if one.sequence not in wanted)
    return Answer(state, tuple(every), extra, problems, asks, tuple(_flags(response)))


def _state(
    response: Resource, items: list[Item], problems: tuple[Problem, ...], asks: tuple[str, ...]
) -> State:
    actions = {one.action for one in items}
    if actions == {None}:
        if response.get("outcome") == "error" and problems:
            return State.REJECTED
        if response.get("outcome") in ("queued", "partial"):
            return State.MORE_INFORMATION if asks else State.PENDED
        message = "an answer without a review action, and no error"
        raise Unreadable(message)
    if actions & {None, Action.PENDED}:
        return State.MORE_INFORMATION if asks else State.PENDED
    if Action.CONTACT_PAYER in actions:
        return State.CONTACT_PAYER
    for whole, state in _WHOLE:
        if actions <= whole:
            return state
    return State.PARTIAL


# The first row that holds all actions of an answer names its state; any other mix is partial.
_WHOLE = (
    ({Action.CANCELLED}, State.CANCELLED),
    ({Action.NOT_REQUIRED}, State.NOT_REQUIRED),
    ({Action.CERTIFIED, Action.NOT_REQUIRED}, State.APPROVED),
    ({Action.DENIED}, State.DENIED),
    ({Action.CERTIFIED, Action.MODIFIED, Action.NOT_REQUIRED}, State.MODIFIED),
)


def _once(response: Resource, wanted: set[int]) -> dict[int, Resource]:
    listed = _list(response, "item")
    numbers: list[Any] = [one.get("itemSequence") for one in listed]
    twice = [number for number, count in Counter(numbers).items() if count > 1]
    if twice:
        message = f"items {twice} stand twice"
        raise Unreadable(message)
    strange = [number for number in numbers if number not in wanted]
    if strange:
        message = f"items {strange} were not asked for"
        raise Unreadable(message)
    return dict(zip(numbers, listed, strict=True))


def _item(node: Resource, notes: dict[Any, str], event: Action | None) -> Item:
    review = _review(node)
    parts = [part for part in review.get("extension", []) if isinstance(part, dict)]
    reasons = [p.get("valueCodeableConcept", {}) for p in parts if p.get("url") == "reasonCode"]
    period = elements.extension_value(node, pas.EXT_PERIOD) or {}
    return Item(
        sequence=(_numbers(node) or [0])[0],
        action=_action(node, "item.adjudication") or event,
        number=next((str(p.get("valueString", "")) for p in parts if p.get("url") == "number"), ""),
        reasons=tuple(_coded(one, pas.DECISION_REASON) for one in reasons),
        notes=tuple(notes[n] for n in node.get("noteNumber", []) if n in notes),
        issued=str(elements.extension_value(node, pas.EXT_ISSUED) or ""),
        period=(str(period.get("start", "")), str(period.get("end", ""))),
        providers=tuple(_providers(node)),
        authorized=tuple(node.get("addItem", ())),
    )


def _numbers(node: Resource) -> list[int]:
    """Return itemSequence, which is one number of an item and a list of an addItem."""
    found = node.get("itemSequence")
    return list(found) if isinstance(found, list) else [found] if found is not None else []


def _review(node: Resource) -> Resource:
    for adjudication in _list(node, "adjudication"):
        for found in elements.extensions(adjudication, pas.EXT_REVIEW_ACTION):
            return found
    return {}


def _action(node: Resource, place: str) -> Action | None:
    concept = elements.extension_value(_review(node), pas.EXT_REVIEW_CODE)
    if concept is None:
        return None
    code = elements.code(concept, pas.REVIEW_ACTION)
    try:
        return Action(code)
    except ValueError:
        message = f"a review action that is not of X12 306 at {place}"
        raise Unreadable(message) from None


def _providers(node: Resource) -> Iterator[str]:
    for found in elements.extensions(node, pas.EXT_PROVIDER):
        address = elements.reference(elements.parts(found).get("provider"))
        if address:
            yield address


def _problem(error: Resource) -> Problem:
    code, text = _coded(error.get("code", {}), systems.X12_REJECT)
    follow_up = elements.extension_value(error, pas.EXT_FOLLOW_UP)
    place = elements.extension_value(error, pas.EXT_ERROR_PATH)
    for found in elements.extensions(error, pas.EXT_ERROR_ELEMENT):
        place = place or elements.parts(found).get("error")
    return Problem(code, text, elements.code(follow_up, systems.X12_FOLLOW_UP), str(place or ""))


def _coded(concept: Resource, system: str) -> tuple[str, str]:
    """Return the code under `system` and its words: display, else the text of the concept."""
    for coding in concept.get("coding", []):
        if coding.get("system") == system:
            return str(coding.get("code", "")), str(
                coding.get("display") or concept.get("text", "")
            )
    return "", str(concept.get("text", ""))


def _flags(response: Resource) -> Iterator[str]:
    nodes = [response, *_list(response, "item"), *_list(response, "addItem")]
    found = {
        str(extension.get("url"))
        for node in nodes
        for extension in node.get("modifierExtension", [])
        if extension.get("url") != pas.EXT_CANCELLED
    }
    yield from sorted(found)


def _list(node: Resource, key: str) -> list[Resource]:
    return [one for one in node.get(key, []) if isinstance(one, dict)]
