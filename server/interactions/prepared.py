"""Searches that were read and compiled, kept while all that they rest on is the same.

Measured: reading a query and making its SQL is half of a small search's time, and the same
searches come again and again: pages poll, bots ask by the same shape.
"""

from typing import Any

from server.search.conditions import SearchRequest
from server.search.parameters import Parameters
from server.search.query import Query

LIMIT, LENGTH_LIMIT = 1024, 200
# What makes the same text mean something else later: the present moment, and stored value sets.
_CHANGING = (":in", ":not-in", ":above", ":below")


class Prepared:
    """Keeps (SearchRequest, Query) by what was asked; for one process, from many threads."""

    def __init__(self) -> None:
        """Keep nothing yet."""
        self._kept: dict[Any, tuple[Parameters, int, SearchRequest, Query]] = {}

    def find(
        self, asked: Any, parameters: Parameters, generation: int
    ) -> tuple[SearchRequest, Query] | None:
        """Return what was kept for `asked`, if parameters and row numbers are still the same."""
        kept = self._kept.get(asked)
        if kept is None or kept[0] is not parameters or kept[1] != generation:
            return None
        return kept[2], kept[3]

    def keep(
        self,
        asked: Any,
        parameters: Parameters,
        generation: int,
        found: tuple[SearchRequest, Query],
    ) -> None:
        """Keep a search whose meaning depends on nothing but its text.

        All its numbers must be known: another process may give out one that is not.
        """
        if len(self._kept) >= LIMIT:
            self._kept.clear()
        self._kept[asked] = (parameters, generation, *found)


def is_lasting(pairs: tuple[tuple[str, str], ...]) -> bool:
    """Tell whether a query means the same tomorrow."""
    return not any(
        key.endswith(_CHANGING) or "ap" in value or len(value) > LENGTH_LIMIT
        for key, value in pairs
    )
