"""What an operation is: its name, where it may be called, and what it gets and answers."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from server.access.needs import EVERYTHING
from server.errors import BadRequest, NotFound
from server.interactions._write import Origin
from server.interactions.engine import Engine
from server.interactions.search import Page
from server.search.request import IGNORED
from server.store.connection import Connection
from server.subscriptions.hook import Hook

SYSTEM, TYPE, INSTANCE = "system", "type", "instance"
DIGITS = 18  # fewer than those of the greatest number that a database holds


@dataclass(frozen=True, slots=True)
class Call:
    """One call: `type` and `id` are "" on the system and the type; `body` is None for a GET.

    `preferences` are the parts of the Prefer header; `url` is the whole address of the call.
    """

    engine: Engine
    type: str
    id: str
    pairs: tuple[tuple[str, str], ...]
    body: Any
    preferences: frozenset[str]
    origin: Origin
    url: str

    def first(self, name: str) -> str:
        """Return a parameter by name: of the query, or a value[x] of a Parameters body, or "".

        One that is given several times is a list with commas.
        """
        given = [value for key, value in self.pairs if key == name]
        return ",".join(given or [_text(value) for value in self.parts(name)])

    def all(self, name: str) -> set[str]:
        """Return every value of a parameter that may stand several times, or as a list."""
        given = [value for key, value in self.pairs if key == name]
        given += [_text(value) for value in self.parts(name)]
        listed = (one for text in given for one in text.split(","))
        return {one.removeprefix("urn:uuid:") for one in listed if one}

    def number(self, name: str, default: int) -> int:
        """Return a parameter that is a number from 0 on. Raises BadRequest where it is none."""
        text = self.first(name) or str(default)
        if not text.isdecimal() or len(text) > DIGITS:
            raise BadRequest("Expected a number.", expression=name)
        return int(text)

    def day(self, name: str) -> date:
        """Return a parameter that is a date, today (UTC) by default. Raises BadRequest else."""
        text = self.first(name)
        try:
            return date.fromisoformat(text) if text else self.engine.now().date()
        except ValueError as error:
            raise BadRequest("Expected a date as YYYY-MM-DD.", expression=name) from error

    def check(self, allowed: Iterable[str]) -> None:
        """Raise BadRequest where a parameter is given that is none of `allowed`."""
        body = self.body if isinstance(self.body, dict) else {}
        listed = body.get("parameter", []) if body.get("resourceType") == "Parameters" else []
        names = [name for name, _ in self.pairs if name not in IGNORED]
        names += [str(one.get("name")) for one in listed if isinstance(one, dict)]
        for name in names:
            if name not in allowed:
                known = ", ".join(allowed) or "no parameter"
                raise BadRequest(f"Expected {known}.", expression=name)

    def hook(self, connection: Connection) -> Hook:
        """Return the Subscription that is called. Raises NotFound where there is none."""
        found = self.engine.hooks.named(connection, self.id)
        if found is None:
            raise NotFound("There is no such Subscription.")
        return found

    def parts(self, name: str) -> list[Any]:
        """Return the values (or resources) of that name in a Parameters body."""
        body = self.body if isinstance(self.body, dict) else {}
        parameters = body.get("parameter") if body.get("resourceType") == "Parameters" else None
        if not isinstance(parameters, list):
            return []
        found = [p for p in parameters if isinstance(p, dict) and p.get("name") == name]
        return [v for p in found for k, v in p.items() if k.startswith("value") or k == "resource"]


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that is more than a resource: a status and headers."""

    body: dict[str, Any] | bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Operation:
    """One $operation, on these levels, of these types (empty: of all), by these methods.

    `definition` is the canonical URL of its OperationDefinition. Where `parameters` are named, any
    other one is refused: a mistyped filter must not mean all. `needs` are the permissions that a
    client must have, such as Coverage.rs; `this` is the type that it is called on.
    """

    name: str
    definition: str
    levels: tuple[str, ...]
    run: Callable[[Call], dict[str, Any] | Answer | Page]
    types: tuple[str, ...] = ()
    methods: tuple[str, ...] = ("POST",)
    parameters: tuple[str, ...] | None = None
    needs: tuple[str, ...] = (EVERYTHING,)


def _text(value: Any) -> str:
    """Return a value[x] as text; of a Reference, what it refers to."""
    return str(value.get("reference", "")) if isinstance(value, dict) else str(value)
