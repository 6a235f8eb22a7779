"""What a search asks, read and checked: conditions, and how to page, sort and include.

Values only; request.py makes them, query.py and match.py answer them.
"""

from dataclasses import dataclass, field
from typing import Any, Protocol

from server.search.parameters import Parameters

COUNT_DEFAULT = 50


class Terminology(Protocol):
    """What is known of value sets and code systems; pairs are (system, code)."""

    def members(self, value_set: str) -> list[tuple[str, str]] | None:
        """Return the codes of a value set, None if it is not known."""
        ...

    def relatives(self, system: str, code: str, *, above: bool) -> list[tuple[str, str]] | None:
        """Return a code and all above or below it, None if the code system is not known."""
        ...


@dataclass(frozen=True, slots=True)
class Clause:
    """One condition: any of `operands` (OR) must hold for parameter `code`.

    Operands by kind, as server.search.operands makes them: token (system or None, code or None);
    reference (base or None, type or None, id, as given); string (folded, as given);
    date and quantity (prefix, value, low, high[, system or None, unit or None]);
    uri (value, or prefix with :below); composite (operand of each part); near (box and circle);
    missing (True or False,). `parts` are the kinds of a composite's parts.
    """

    kind: str
    code: str
    modifier: str
    operands: tuple[tuple[Any, ...], ...]
    parts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Chain:
    """The reference `code` leads to a resource of one of the types that meets its condition."""

    code: str
    targets: tuple[tuple[str, "Condition"], ...]


@dataclass(frozen=True, slots=True)
class Has:
    """A resource of `type` that meets `condition` refers here by its parameter `code`."""

    type: str
    code: str
    condition: "Condition"


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one of the conditions holds."""

    conditions: tuple["Condition", ...]


Condition = Clause | Chain | Has | AnyOf


@dataclass(frozen=True, slots=True)
class Compartment:
    """The resources about some of the resources of type `name` (compartmentdefinition.html).

    About the one with the id `one`, or about the members of the Group `group`, or, with neither,
    about any. With `itself` these resources belong to it too.
    """

    name: str
    one: str = ""
    group: str = ""
    itself: bool = False
    links: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Words:
    """Texts that must all stand in the narrative (_text) or anywhere (_content)."""

    where: str
    alternatives: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Include:
    """What else to bring: by reference `code` of `type` ("*" for all), to `target` ("" for any)."""

    type: str
    code: str
    target: str
    reverse: bool
    iterate: bool


@dataclass(frozen=True, slots=True)
class SortKey:
    """One key of the order; `kind` is its index table, "" for a column of the resource."""

    code: str
    kind: str
    descending: bool


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """A search. `branches` are the types searched, each with its conditions (AND).

    `address` is what follows our base in the links, `understood` the pairs to repeat in the self
    link, `unknown` the names of parameters that were ignored.
    """

    address: str
    branches: tuple[tuple[str, tuple[Condition, ...]], ...]
    compartment: Compartment | None = None
    words: tuple[Words, ...] = ()
    includes: tuple[Include, ...] = ()
    count: int = COUNT_DEFAULT
    sort: tuple[SortKey, ...] = ()
    total: bool = True
    summary: str = "false"
    elements: frozenset[str] = frozenset()
    understood: tuple[tuple[str, str], ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def type(self) -> str:
        """The one type that is searched; "" if there are several."""
        return self.branches[0][0] if len(self.branches) == 1 else ""

    @property
    def is_narrow(self) -> bool:
        """Tell whether any condition narrows the search."""
        return bool(self.words) or any(conditions for _, conditions in self.branches)


@dataclass(frozen=True, slots=True)
class Reader:
    """What reading a query needs; one for each query, since it counts how much was asked.

    The parameters in force, our base URL, the present moment in microseconds (for `ap`), and what
    is known of codes.
    """

    parameters: Parameters
    base: str
    now: int
    terminology: Terminology
    asked: list[None] = field(
        default_factory=list
    )  # one entry for each condition behind a chain or _has
