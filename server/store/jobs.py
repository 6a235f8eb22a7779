"""Long jobs: what was asked, how far it is, and what came of it."""

from dataclasses import dataclass

from server.store.connection import Connection
from server.store.statements import sql


@dataclass(frozen=True, slots=True)
class Job:
    """One job. `wish` and `result` are JSON; `state` accepted, done or failed; `started` micros."""

    uid: str
    kind: str
    state: str
    started: int
    progress: str
    wish: bytes
    result: bytes | None


def add(connection: Connection, uid: str, kind: str, started: int, wish: bytes) -> None:
    """Add a job that is to be done."""
    connection.execute(sql("insert_job"), (uid, kind, started, wish))


def find(connection: Connection, uid: str) -> Job | None:
    """Return a job by its id."""
    row = connection.execute(sql("job"), (uid,)).fetchone()
    return Job(*row[1:]) if row else None


def next_one(connection: Connection) -> Job | None:
    """Return the oldest job that is to be done."""
    row = connection.execute(sql("next_job")).fetchone()
    return Job(*row[1:]) if row else None


def note(
    connection: Connection, uid: str, state: str, progress: str, result: bytes | None = None
) -> None:
    """Write down how far a job is."""
    connection.execute(sql("set_job"), (state, progress, result, uid))


def remove_older(connection: Connection, started: int) -> None:
    """Forget the jobs that began before a moment."""
    connection.execute(sql("delete_old_jobs"), (started,))


def remove(connection: Connection, uid: str) -> None:
    """Forget a job."""
    connection.execute(sql("delete_job"), (uid,))
