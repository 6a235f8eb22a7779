"""An Engine over a database without the programs around it, and the shortest ways to use it."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from server.interactions import _write
from server.interactions._write import Origin, Saved
from server.interactions.cursor import Seal
from server.interactions.engine import Engine
from server.interactions.prepared import Prepared
from server.registry import Registry
from server.search import request
from server.search.conditions import Reader, SearchRequest
from server.search.parameters import Parameters
from server.search.values import micros
from server.store.database import Database
from server.subscriptions.events import Hooks
from tests.fakes import NOW

BASE = "http://me/fhir"
BUILT_IN = Parameters()


class NoTerminology:
    """Knows no value set and no code system."""

    def members(self, _value_set: str) -> None:
        return None

    def relatives(self, _system: str, _code: str, *, above: bool) -> None:
        del above


def reader() -> Reader:
    """Return what a query is read with."""
    return Reader(BUILT_IN, BASE, micros(NOW), NoTerminology())


def engine(
    database: Database,
    hooks: Hooks | None = None,
    *,
    now: Callable[[], datetime] = lambda: NOW,
    wake: Callable[[], None] = lambda: None,
) -> Engine:
    """Return an Engine on a database; ids are id-0, id-1, ..."""
    registry = Registry()
    return Engine(
        database=database,
        hooks=hooks or Hooks(BASE, registry),
        registry=registry,
        seal=Seal(database),
        prepared=Prepared(),
        base=BASE,
        allow_private_hooks=True,
        now=now,
        new_id=iter(f"id-{n}" for n in range(100_000)).__next__,
        wake=wake,
    )


def put(on: Engine, body: dict[str, Any], fhir_id: str) -> Saved:
    """Store a resource under an id."""
    incoming = _write.check(on, body["resourceType"], body)
    return _write.transact(
        on, Origin("trace"), lambda writing: writing.save(incoming, fhir_id, method="PUT")
    )


def parse(type_name: str, *pairs: tuple[str, str]) -> SearchRequest:
    """Read a query with the built-in parameters and no terminology."""
    return request.parse(reader(), [type_name], pairs)
