"""Whose coverage is meant: a ladder of keys, of which the first that fits one person alone decides.

No rung picks among several, and no rung takes a name and a birth date for an identity: those give a
candidate, whom only the payer's answer confirms. Source of the rule: HL7 HRex Member Match.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Any

from fhir_profiles import crosswalk, elements, systems
from fhir_profiles.crosswalk import Rules

Resource = dict[str, Any]
ZIP = 5  # characters of a postal code that count
PROVISIONAL = timedelta(days=31)  # a newborn without an id of its own


class Result(StrEnum):
    """What came of a ladder."""

    MATCH = "match"
    CANDIDATE = "candidate"
    AMBIGUOUS = "ambiguous"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Asked:
    """Who is looked for, as it was given; `on` is the day on which ids must hold."""

    member_id: str
    birth_date: date
    on: date
    person_code: str = ""
    family: str = ""
    given: str = ""
    gender: str = ""
    postal_code: str = ""


@dataclass(frozen=True, slots=True)
class Member:
    """A person with one coverage of the payer, and its member ids as Identifiers."""

    coverage: Resource
    patient: Resource
    ids: tuple[Resource, ...]

    @property
    def address(self) -> str:
        """Patient/id."""
        return f"Patient/{self.patient['id']}"


@dataclass(frozen=True, slots=True)
class Match:
    """The result, the rung that decided ("" if none did), its coverages, and what to look at.

    `tried` are (rung, how many persons it fits), in order.
    """

    result: Result
    rung: str = ""
    members: tuple[Member, ...] = ()
    flags: tuple[str, ...] = ()
    tried: tuple[tuple[str, int], ...] = ()


def member_of(coverage: Resource, patient: Resource) -> Member:
    """Return a coverage with its patient, and the member ids that it has or had."""
    found = list(crosswalk.member_identifiers(coverage))
    is_own = elements.code(coverage.get("relationship"), systems.RELATIONSHIP) in ("self", "")
    if is_own and coverage.get("subscriberId"):
        found.append({"value": coverage["subscriberId"]})
    return Member(coverage, patient, tuple(found))


def climb(asked: Asked, members: Sequence[Member], rules: Rules) -> Match:
    """Return the first rung that fits one person; where a rung fits several, nobody is taken."""
    born = [m for m in members if m.patient.get("birthDate") == asked.birth_date.isoformat()]
    tried: list[tuple[str, int]] = []
    for rung, fits in _Rungs(asked, rules).in_order():
        found = tuple(one for one in born if fits(one))
        persons = {one.address for one in found}
        tried.append((rung, len(persons)))
        if len(persons) > 1:
            return Match(Result.AMBIGUOUS, rung, tried=tuple(tried))
        if persons:
            return _decided(rung, found, asked, tuple(tried))
    return Match(Result.NONE, tried=tuple(tried))


class _Rungs:
    """What each rung asks of a member whose birth date agrees."""

    def __init__(self, asked: Asked, rules: Rules) -> None:
        self._asked, self._rules = asked, rules
        self._day = asked.on.isoformat()
        self._key = crosswalk.member_key(asked.member_id, rules)
        self._code = asked.person_code or self._key.person_code
        self._families = frozenset(crosswalk.family_keys(asked.family))
        self._given = crosswalk.name_key(asked.given)

    def in_order(self) -> list[tuple[str, Callable[[Member], bool]]]:
        """Return the rungs; without a member id there is only that by name."""
        by_id: list[tuple[str, Callable[[Member], bool]]] = [
            ("M1", lambda one: self._has_id(one) and self._has_family(one)),
            ("M2", self._has_id),
            ("M3", lambda one: self._is_under(one) and self._has_code(one)),
            ("M4", lambda one: self._is_under(one) and self._has_given(one)),
            ("M5", lambda one: self._had_id(one) and self._has_family(one)),
        ]
        by_name: list[tuple[str, Callable[[Member], bool]]] = [("M6", self._is_alike)]
        return [*(by_id if self._key.base else []), *(by_name if self._rules.by_name else [])]

    def _has_id(self, one: Member) -> bool:
        return any(
            not _is_over(identifier, self._day) and elements.is_current(identifier, self._day)
            for identifier in self._alike(one)
        )

    def _had_id(self, one: Member) -> bool:
        return any(_is_over(identifier, self._day) for identifier in self._alike(one))

    def _alike(self, one: Member) -> Iterator[Resource]:
        """Yield the member's identifiers that have the key asked for, whenever they hold."""
        for identifier in one.ids:
            if str(crosswalk.member_key(identifier["value"], self._rules)) == str(self._key):
                yield identifier

    def _is_under(self, one: Member) -> bool:
        """Tell whether the id asked for is that of the subscriber, but for a person code."""
        raw = str(one.coverage.get("subscriberId", ""))
        return raw != "" and crosswalk.member_key(raw, self._rules).base == self._key.base

    def _has_code(self, one: Member) -> bool:
        own = (crosswalk.member_key(i["value"], self._rules).person_code for i in one.ids)
        told = str(one.coverage.get("dependent", "")) or next((code for code in own if code), "")
        return self._code != "" and told == self._code

    def _has_family(self, one: Member) -> bool:
        family = elements.human_name(one.patient).get("family", "")
        return not self._families.isdisjoint(crosswalk.family_keys(family))

    def _has_given(self, one: Member) -> bool:
        texts = elements.texts(elements.human_name(one.patient), "given")
        keys = {crosswalk.name_key(text) for text in (" ".join(texts), *texts)}
        return self._given != "" and self._given in keys

    def _is_alike(self, one: Member) -> bool:
        """Tell whether names and sex agree, and the postal code if both have one."""
        codes = {a.get("postalCode", "")[:ZIP] for a in one.patient.get("address", [])} - {""}
        asked = self._asked.postal_code[:ZIP]
        is_near = not asked or not codes or asked in codes
        has_gender = self._asked.gender != "" and one.patient.get("gender") == self._asked.gender
        return self._has_family(one) and self._has_given(one) and has_gender and is_near


def _decided(
    rung: str, found: tuple[Member, ...], asked: Asked, tried: tuple[tuple[str, int], ...]
) -> Match:
    flags = {"M5": ("through-history",)}.get(rung, ())
    if rung == "M2" and asked.family:
        flags = ("name-differs",)
    is_newborn = timedelta() <= asked.on - asked.birth_date <= PROVISIONAL
    if rung in ("M3", "M4") and is_newborn and not any(one.ids for one in found):
        flags = (*flags, "provisional")
    result = Result.CANDIDATE if rung == "M6" else Result.MATCH
    today = asked.on.isoformat()
    ordered = sorted(
        found,
        key=lambda one: (
            one.coverage.get("status") != "active",
            not elements.is_current(one.coverage, today),
            one.coverage["id"],
        ),
    )
    return Match(result, rung, tuple(ordered), flags, tried)


def _is_over(identifier: Resource, day: str) -> bool:
    """Tell whether an id has ended before a day; one that is called old ended at some time."""
    end = identifier.get("period", {}).get("end")
    if end:
        return not elements.is_current({"period": {"end": end}}, day)
    return identifier.get("use") == "old"
