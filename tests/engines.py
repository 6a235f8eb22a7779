"""An Engine over a database without the programs around it, and the shortest ways to use it."""

import itertools
from collections.abc import Callable, Sequence
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
from server.store.connection import Connection
from server.store.database import Database
from server.store.deliveries import Lane
from server.subscriptions.dispatch import Dispatch, Record
from server.subscriptions.endpoints import Policy
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


class Silent:
    """Hears of deliveries and does nothing."""

    def start(self, record: Record) -> None:
        del record

    def stop(self) -> None:
        pass

    def added(self, connection: Connection, lanes: Sequence[Lane]) -> None:
        del connection, lanes

    def wake(self, _depth: int) -> None:
        pass


def reader() -> Reader:
    """Return what a query is read with."""
    return Reader(BUILT_IN, BASE, micros(NOW), NoTerminology())


def engine(
    database: Database,
    hooks: Hooks | None = None,
    *,
    now: Callable[[], datetime] = lambda: NOW,
    dispatch: Dispatch | None = None,
    new_id: Callable[[], str] | None = None,
) -> Engine:
    """Return an Engine on a database; by default ids are id-0, id-1, ... and nothing is sent."""
    registry = Registry()
    return Engine(
        database=database,
        hooks=hooks or Hooks(BASE, registry),
        registry=registry,
        seal=Seal(database),
        prepared=Prepared(),
        base=BASE,
        policy=Policy(private=True),
        dispatch=dispatch or Silent(),
        chain_limit=8,
        now=now,
        new_id=new_id or map("id-{}".format, itertools.count()).__next__,
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
