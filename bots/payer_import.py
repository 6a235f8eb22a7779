"""The import of a payer list into the directory: each row on its own, told in a report (R002-34).

A row finds its payer by any id that the payer has now. Running the same list again changes nothing.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from bots.errors import NeverRetry
from bots.mapping import payer
from bots.mapping.payer import Conflict
from bots.mapping.payer_list import Row
from bots.ports import Resource, Tools
from fhir_profiles import payers

PAGE = "200"


class Outcome(StrEnum):
    """What came of a row."""

    CREATED = "created"
    CHANGED = "changed"
    SAME = "same"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the report: `place` in the list, and the payer's `address`, "" if there is none."""

    place: int
    outcome: Outcome
    name: str = ""
    address: str = ""
    reason: str = ""


class Import:
    """One run over a list."""

    def __init__(self, tools: Tools, *, is_rehearsal: bool = False) -> None:
        """Read the payers that are there; a rehearsal writes nothing."""
        self._fhir = tools.fhir
        self._today = tools.now().astimezone(tools.zone).date()
        self._is_rehearsal = is_rehearsal
        self._there: dict[str, Resource] = {}
        self._owners: dict[str, set[str]] = {}
        self._former: dict[str, set[str]] = {}
        self._near: dict[str, set[str]] = {}
        self._seen: dict[str, int] = {}
        systems = ",".join(f"{system}|" for system in payers.ID_SYSTEMS)
        for one in self._fhir.search("Organization", [("identifier", systems), ("_count", PAGE)]):
            self._know(one)

    def run(
        self, rows: Iterable[Row], progress: Callable[[Iterable[Row]], Iterable[Row]]
    ) -> Iterator[Line]:
        """Yield the report, line by line, as each row is done. Raises RetryLater."""
        for row in progress(rows):
            try:
                yield self._line(row)
            except (Conflict, NeverRetry) as error:
                yield Line(row.place, Outcome.REFUSED, row.name, reason=str(error))

    def _line(self, row: Row) -> Line:
        if row.wrong:
            raise Conflict(row.wrong)
        there = self._owner(row)
        wanted = payer.merged(row, there, self._today)
        if wanted == there:
            return Line(row.place, Outcome.SAME, row.name, _address(there))
        outcome = Outcome.CHANGED if there else Outcome.CREATED
        if self._is_rehearsal:
            return Line(row.place, outcome, row.name, _address(there) if there else "")
        stored = self._stored(row, wanted)
        self._know(stored)
        return Line(row.place, outcome, row.name, _address(stored))

    def _owner(self, row: Row) -> Resource | None:
        """Return the payer that has one of the row's ids now.

        Raises Conflict where two have, or where it is not sure that it is the same payer.
        """
        tokens = [f"{one.system}|{one.value}" for one in row.ids if not one.is_alias]
        for token in tokens:
            before = self._seen.setdefault(token, row.place)
            if before != row.place:
                raise Conflict(f"the id {_value(token)} stands at {before} already")
        owners = sorted({owner for token in tokens for owner in self._owners.get(token, ())})
        if len(owners) > 1:
            raise Conflict(f"these ids belong to several payers: {', '.join(owners)}")
        for token in tokens:
            near = sorted(self._near.get(_stripped(token), set()) - {token})
            if near and token not in self._owners:
                text = f"{_value(token)} and {_value(near[0])} differ by leading zeros only"
                raise Conflict(f"{text}; which is right?")
        former = sorted({owner for token in tokens for owner in self._former.get(token, ())})
        if former and not owners:
            text = "these ids are aliases or former ids of"
            raise Conflict(f"{text} {', '.join(former)}: is it the same payer?")
        return self._there[owners[0]] if owners else None

    def _stored(self, row: Row, wanted: Resource) -> Resource:
        if "id" not in wanted:
            return self._fhir.create_once(wanted, f"identifier={payer.first_id(row)}")
        stored = self._fhir.update(wanted)
        if stored is None:
            raise Conflict("somebody changed this payer meanwhile; import the list again")
        return stored

    def _know(self, one: Resource) -> None:
        self._there[_address(one)] = one
        current, former = payer.ids_of(one, self._today)
        for token in current:
            self._owners.setdefault(token, set()).add(_address(one))
            self._near.setdefault(_stripped(token), set()).add(token)
        for token in former:
            self._former.setdefault(token, set()).add(_address(one))


def _stripped(token: str) -> str:
    """Return system|value without leading zeros."""
    system, _, value = token.rpartition("|")
    return f"{system}|{value.lstrip('0')}"


def _value(token: str) -> str:
    return token.rpartition("|")[2]


def _address(one: Resource) -> str:
    return f"Organization/{one['id']}"


def counts(lines: Iterable[Line]) -> dict[str, int]:
    """Return how many rows came out in each way, those that did not happen too."""
    found = {outcome.value: 0 for outcome in Outcome}
    for line in lines:
        found[line.outcome.value] += 1
    return found
