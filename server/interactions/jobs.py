"""Long work in the background: accepted in a transaction, done by the process that leads.

A job whose process ended is taken up again from its start: each kind may be run twice.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from fhir_profiles import codec
from server.errors import NotFound, log_fault
from server.interactions.engine import Engine
from server.interactions.turns import Turns
from server.search.values import micros
from server.store import jobs
from server.store.jobs import Job

POLL_S = 0.5
Note = Callable[[str], None]
Kind = Callable[[Engine, dict[str, Any], Note], dict[str, Any]]
_log = logging.getLogger(__name__)


def accept(engine: Engine, kind: str, wish: dict[str, Any]) -> str:
    """Write down a job and return its id."""
    uid = engine.new_id()
    with engine.database.write() as connection:
        jobs.add(connection, uid, kind, micros(engine.now()), codec.encode(wish))
    return uid


def find(engine: Engine, uid: str) -> Job:
    """Return a job. Raises NotFound where there is none, or it was removed."""
    with engine.database.read() as connection:
        found = jobs.find(connection, uid)
    if found is None:
        raise NotFound("No such job.")
    return found


def remove(engine: Engine, uid: str) -> None:
    """Forget a job and what came of it. Raises NotFound where there is none."""
    find(engine, uid)
    with engine.database.write() as connection:
        jobs.remove(connection, uid)


class Worker:
    """Does the jobs of some kinds, one after the other, until stopped."""

    def __init__(self, engine: Engine, kinds: Mapping[str, Kind]) -> None:
        """Do nothing before start()."""
        self._engine = engine
        self._kinds = kinds
        self._turns = Turns(engine.database, "jobs", self._turn, POLL_S)

    def start(self) -> None:
        """Begin, as soon as no other process does the jobs of this database."""
        self._turns.start()

    def stop(self) -> None:
        """Begin no more jobs and wait for the one under way."""
        self._turns.stop()

    def _turn(self) -> None:
        with self._engine.database.read() as connection:
            job = jobs.next_one(connection)
        if job is None:
            return
        try:
            result = self._kinds[job.kind](
                self._engine, codec.decode(job.wish), lambda text: self._note(job.uid, text)
            )
        except Exception as error:  # noqa: BLE001 whatever it met, the client hears of it
            log_fault(_log, f"job {job.kind} failed", error)
            self._settle(job.uid, "failed", {})
        else:
            self._settle(job.uid, "done", result)

    def _note(self, uid: str, text: str) -> None:
        with self._engine.database.write() as connection:
            jobs.note(connection, uid, "accepted", text)

    def _settle(self, uid: str, state: str, result: dict[str, Any]) -> None:
        with self._engine.database.write() as connection:
            jobs.note(connection, uid, state, "", codec.encode(result))
