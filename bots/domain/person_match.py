"""Is the person in the answer the one who was asked about? Anybody else's benefits are nobody's.

Payers correct what they were asked: they write names without accents and suffixes (CAQH CORE 258),
lengthen member ids, and answer a dependent with an id of their own as a subscriber. So a difference
is judged by what else agrees: one that leaves the person certain is told (`differs-…`), and every
other one makes the answer somebody else's. Source: X12 005010X279A1 loops 2100C and 2100D.
"""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from msgspec import structs

from bots.domain.eligibility import Answer, Inquiry, Person
from fhir_profiles.names import plain

_TITLES = frozenset(
    {"JR", "SR", "II", "III", "IV", "MD", "DO", "PHD", "ESQ", "MR", "MRS", "MS", "DR"}
)
T = TypeVar("T")
_PARTS, _NOT_ID = re.compile(r"[^\W_]+"), re.compile(r"[^A-Z0-9]")
_FAMILY = 3  # characters
NAME, FIRST, SUFFIX = "name", "first-name", "suffix"
BIRTH_DATE, MEMBER_ID = "birth-date", "member-id"
_ENOUGH = ({MEMBER_ID}, {NAME, FIRST}, {NAME, BIRTH_DATE})
# With an id of some more characters: they may be those of another member of the family.
_ENOUGH_OF_FAMILY = (
    {MEMBER_ID, FIRST}, {MEMBER_ID, BIRTH_DATE}, {NAME, FIRST}, {NAME, BIRTH_DATE},
)  # fmt: skip
NOBODY, SUBSCRIBER = "nobody", "subscriber-instead"


@dataclass(frozen=True, slots=True)
class Match:
    """`mismatches` make it another person; `differences` leave no doubt but should be looked at.

    Both name what differs, never how.
    """

    mismatches: tuple[str, ...] = ()
    differences: tuple[str, ...] = ()

    @property
    def is_same(self) -> bool:
        """Tell whether the answer is about the person who was asked about."""
        return not self.mismatches


def compare(inquiry: Inquiry, answer: Answer) -> Match:
    """Return how the patient of the answer fits the one of the inquiry."""
    if answer.subscriber is None and answer.dependent is None:
        return Match((NOBODY,))
    if inquiry.dependent is None:
        return _of_subscriber(inquiry.subscriber, answer)
    return _of_dependent(inquiry, inquiry.dependent, answer)


def _of_subscriber(asked: Person, answer: Answer) -> Match:
    """The patient is a subscriber; a payer may know the same person as a dependent of another."""
    found = answer.dependent or answer.subscriber
    if found is None:
        return Match((NOBODY,))
    match = _judge(asked, found)
    if answer.dependent is not None and match.is_same:
        return Match((), (*match.differences, "dependent-of-another"))
    return match


def _of_dependent(inquiry: Inquiry, asked: Person, answer: Answer) -> Match:
    """The patient is a dependent, or a subscriber of their own as the payer has it."""
    if answer.dependent is not None:
        match = _judge(asked, answer.dependent)
        differs = _family_differs(inquiry.subscriber, answer.subscriber)
        return Match(match.mismatches, (*match.differences, *differs))
    found = answer.subscriber
    if found is None:
        return Match((NOBODY,))
    match = _judge(asked, found)
    if match.is_same:
        return Match((), (*match.differences, "own-member-id"))
    policy_holder = _judge(inquiry.subscriber, structs.replace(found, corrected=False))
    return Match((SUBSCRIBER,)) if policy_holder.is_same else match


def _family_differs(asked: Person, found: Person | None) -> tuple[str, ...]:
    if found is None or not found.last or not asked.last:
        return ()
    return () if _same_last(asked.last, found.last) else ("subscriber-name",)


def _judge(asked: Person, found: Person) -> Match:
    """Compare two records of a person, as far as both say something."""
    same = {
        NAME: _alike(asked.last, found.last, _same_last),
        FIRST: _alike(asked.first, found.first, _same_first),
        SUFFIX: _alike(_letters(asked.suffix), _letters(found.suffix), operator.eq),
        BIRTH_DATE: _alike(asked.birth_date, found.birth_date, operator.eq),
        MEMBER_ID: _alike(asked.member_id, found.member_id, _same_id),
    }
    agree = {name for name, is_same in same.items() if is_same}
    wrong = tuple(name for name, is_same in same.items() if is_same is False)
    if not wrong:
        is_exact = _plain_id(asked.member_id) == _plain_id(found.member_id)
        is_certain = any(agree >= enough for enough in (_ENOUGH if is_exact else _ENOUGH_OF_FAMILY))
        return Match() if is_certain else Match((NOBODY,))
    is_cut = wrong == (FIRST,) and _akin(asked, found)
    if len(wrong) == 1 and _leaves_no_doubt(wrong[0], agree, told=found.corrected or is_cut):
        return Match((), wrong)
    return Match(wrong)


def _leaves_no_doubt(wrong: str, agree: set[str], *, told: bool) -> bool:
    """Tell whether a person is the same although one thing differs.

    A last name changes by marriage, where first name, birth date and member id stay. A member id
    changes where names and birth date stay. Twins share all but the first name: that, like a birth
    date, may differ only where it is `told` that one person is meant: the payer says that it
    corrected the data, or one name is the other cut short.
    """
    needed = {
        NAME: {FIRST, BIRTH_DATE, MEMBER_ID},
        MEMBER_ID: {NAME, FIRST, BIRTH_DATE},
        SUFFIX: {NAME, FIRST, BIRTH_DATE},
        FIRST: {NAME, BIRTH_DATE},
        BIRTH_DATE: {NAME, FIRST},
    }[wrong]
    return agree >= needed and (told or wrong in (NAME, MEMBER_ID, SUFFIX))


def _alike(asked: T, found: T, is_same: Callable[[T, T], bool]) -> bool | None:
    """Return whether two values are the same, None where one of them is not said."""
    return is_same(asked, found) if asked and found else None


def _letters(text: str) -> str:
    """Return a name in plain capitals, without accents, apostrophes and points."""
    return "".join(c for c in plain(text) if c not in "'\u2019.")


def _words(text: str) -> list[str]:
    """Return the parts of a name, without titles and suffixes."""
    return [word for word in _PARTS.findall(_letters(text)) if word not in _TITLES]


def _same_last(one: str, other: str) -> bool:
    """Compare last names; of a double name one part is enough."""
    first, second = _words(one), _words(other)
    if "".join(first) == "".join(second):
        return True
    return bool(first and second) and (set(first) <= set(second) or set(second) <= set(first))


def _same_first(one: str, other: str) -> bool:
    return "".join(_words(one)) == "".join(_words(other))


def _akin(one: Person, other: Person) -> bool:
    """Tell whether one first name is the other cut short, or its initial."""
    first, second = "".join(_words(one.first)), "".join(_words(other.first))
    return bool(first and second) and (first.startswith(second) or second.startswith(first))


def _plain_id(text: str) -> str:
    return _NOT_ID.sub("", text.upper())


def _same_id(one: str, other: str) -> bool:
    """Compare member ids; payers add a few characters for the member of the family."""
    short, long = sorted((_plain_id(one), _plain_id(other)), key=len)
    return long.startswith(short) and len(long) - len(short) <= _FAMILY
