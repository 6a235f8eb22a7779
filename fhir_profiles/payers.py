"""A payer's Organization as an entry of the payer directory: its names, ids, routes, and a search.

Every id has a system, may have a period, and may serve single X12 transactions only (`transaction`
extensions). `transaction-support` extensions say by which route a transaction reaches the payer, in
order of preference. Source: FHIR R4 organization.html, metadatatypes.html#Identifier.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from typing import Any

from fhir_profiles import elements, names, systems

Resource = dict[str, Any]
ELIGIBILITY = "270"
PAYER_TYPES = ("pay", "ins")
# Systems under which an Organization carries an id that some route knows a payer by, as in lists.
SYSTEMS = {
    "payer_id": systems.PAYER_ID,
    "stedi": systems.STEDI_PAYER,
    "availity": systems.AVAILITY_PAYER,
    "core": systems.CORE_PAYER,
    "opkit": systems.OPKIT_PAYER,
    "optum": systems.OPTUM_PAYER,
}
ID_SYSTEMS = tuple(SYSTEMS.values())
_WORD = re.compile(r"\w+")
_LEGAL_FORMS = frozenset({"INC", "LLC", "CO", "CORP", "CORPORATION", "COMPANY", "LTD", "THE"})


class Enrolment(StrEnum):
    """How far a transaction by a route is: whether it may be sent."""

    NOT_SUPPORTED = "not-supported"
    SUPPORTED = "supported"
    NEEDED = "enrolment-needed"
    PENDING = "pending"
    LIVE = "live"


EXACT = 0.9  # from this score on, the whole name or id is the one asked for


@dataclass(frozen=True, slots=True)
class Support:
    """One transaction by one route: `state` is an Enrolment, or whatever the server holds."""

    transaction: str
    route: str
    state: str
    since: str = ""


class Grade(StrEnum):
    """How sure a match is. Source: FHIR R4 valueset-match-grade.html."""

    CERTAIN = "certain"
    PROBABLE = "probable"
    POSSIBLE = "possible"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A payer that may be meant, how sure that is (`score` up to 1), and the reason in words."""

    payer: Resource
    grade: Grade
    score: float
    reason: str


def is_payer(organization: Resource) -> bool:
    """Tell whether an Organization says of itself that it is a payer."""
    kinds = (elements.code(one, systems.ORGANIZATION_TYPE) for one in organization.get("type", []))
    return any(kind in PAYER_TYPES for kind in kinds)


def ids(payer: Resource, on: date, transaction: str = ELIGIBILITY) -> dict[str, str]:
    """Return system -> id that holds on that day for a transaction, the first of each system.

    One that names the transaction goes before one that serves them all.
    """
    found: dict[str, str] = {}
    current = [one for one in _identifiers(payer) if _is_sent(one, on)]
    for wanted in (True, False):
        for identifier in current:
            served = transactions(identifier)
            if (transaction in served) if wanted else not served:
                found.setdefault(identifier["system"], str(identifier["value"]))
    return found


def _is_sent(identifier: Resource, on: date) -> bool:
    """Tell whether an id is one to send: one to find by is not, nor an old one of no known time."""
    use = identifier.get("use")
    is_usable = use != "secondary" and (use != "old" or "period" in identifier)
    return is_usable and elements.is_current(identifier, on.isoformat())


def transactions(identifier: Resource) -> list[str]:
    """Return the transactions that an id is for; none means all of them."""
    return [
        str(one.get("valueCode"))
        for one in elements.extensions(identifier, systems.EXT_TRANSACTION)
    ]


def supports(payer: Resource) -> list[Support]:
    """Return what the directory says of transactions by routes, in order of preference."""
    listed = (elements.parts(one) for one in elements.extensions(payer, systems.EXT_SUPPORT))
    return [
        Support(**{name: str(parts.get(name) or "") for name in Support.__slots__})
        for parts in listed
    ]


def labels(payer: Resource) -> list[str]:
    """Return the name of a payer and its aliases."""
    return [text for text in (payer.get("name"), *elements.texts(payer, "alias")) if text]


def key(name: str) -> str:
    """Return what is the same for two spellings of a payer's name: its words, in plain capitals."""
    return " ".join(names.words(name))


def telling_words(name: str) -> list[str]:
    """Return the words of a name without those of a legal form; all of them if nothing is left."""
    found = _WORD.findall(name)
    return [word for word in found if word.upper() not in _LEGAL_FORMS] or found


def rank(asked: str, found: Iterable[Resource], on: date) -> list[Candidate]:
    """Return the payers that may be meant by a name, an alias or an id, the surest first.

    Only one whole name or id that no other payer has is certain: everything else is for a person.
    """
    graded = [
        one for payer in found if payer.get("active", True) for one in _graded(asked, payer, on)
    ]
    count = sum(one.grade is Grade.CERTAIN for one in graded)
    if count > 1:
        graded = [
            replace(one, grade=Grade.PROBABLE, score=EXACT,
                    reason=f"{one.reason}, as {count} payers have")
            if one.grade is Grade.CERTAIN else one
            for one in graded
        ]  # fmt: skip
    return sorted(graded, key=lambda one: (-one.score, key(one.payer.get("name", ""))))


def _graded(asked: str, payer: Resource, on: date) -> Iterator[Candidate]:
    """Yield the payer with its best reason, or nothing."""
    reasons = [*_by_id(asked.strip(), payer, on), *_by_name(key(asked), payer)]
    if reasons:
        score, grade, reason = max(reasons, key=lambda one: one[0])
        yield Candidate(payer, grade, score, reason)


def _by_id(asked: str, payer: Resource, on: date) -> Iterator[tuple[float, Grade, str]]:
    for identifier in _identifiers(payer):
        if asked and identifier["value"] == asked:
            if elements.is_current(identifier, on.isoformat()):
                yield 1.0, Grade.CERTAIN, f"has the id {asked}"
            else:
                yield 0.7, Grade.PROBABLE, f"has the id {asked}, but not on {on}"


def _by_name(asked: str, payer: Resource) -> Iterator[tuple[float, Grade, str]]:
    words = asked.split()
    for place, label in enumerate(labels(payer)):
        what, had = "alias" if place else "name", key(label)
        if not asked:
            return
        if had == asked:
            yield 1.0, Grade.CERTAIN, f"has the {what} {label}"
        elif telling_words(had) == telling_words(asked):
            yield 0.8, Grade.PROBABLE, f"has the {what} {label}, in another legal form"
        elif all(any(own.startswith(word) for own in had.split()) for word in words):
            share = len(words) / len(had.split())
            yield 0.6 * min(share, 1.0), Grade.POSSIBLE, f"these words are in the {what} {label}"


def _identifiers(payer: Resource) -> Iterator[Resource]:
    for identifier in payer.get("identifier", []):
        if str(identifier.get("system", "")).startswith(ID_SYSTEMS) and identifier.get("value"):
            yield identifier
