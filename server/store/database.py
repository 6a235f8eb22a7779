"""The database of a URL: its engine, its schema brought up to date, and the numbers of names."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from importlib import resources
from pathlib import Path
from typing import TypeVar

from server.store.connection import Bell, Connection, Contention, DatabaseRefused, Engine, Leads
from server.store.sqlite import Sqlite
from server.store.statements import sql

__all__ = ["Database", "DatabaseRefused"]
T = TypeVar("T")
TRIES = 4
_SQLITE = "sqlite:///"
_POSTGRES = ("postgresql://", "postgres://")


class Names:
    """Numbers of parameters and code systems, remembered while their rows are sure to stay.

    Begin and forget are for an engine whose names are undone with the transaction that made them.
    """

    def __init__(self) -> None:
        """Start knowing none."""
        self._known: dict[tuple[int, str], int] = {}
        self.generation = 0  # moves whenever a number that was given out may mean another
        self._is_new = False  # whether the open write transaction made one

    def parameter(self, connection: Connection, type_number: int, code: str) -> int:
        """Return the number of a search parameter, giving it one if it is new."""
        return self._known.get((type_number, code)) or self._new(connection, type_number, code)

    def system(self, connection: Connection, url: str) -> int:
        """Return the number of a code system or base URL, giving it one if it is new."""
        return self._known.get((0, url)) or self._new(connection, 0, url)

    def find(self, connection: Connection, type_number: int, text: str) -> int:
        """Return the number of a parameter, or of a system (type 0); 0 if it has none yet."""
        found = self._known.get((type_number, text))
        if found is None:
            name, args = _named(type_number, text)
            row = connection.execute(sql(name), args).fetchone()
            found = int(row[0]) if row else 0
            if found:
                self._known[type_number, text] = found
        return found

    def begin(self) -> None:
        """Begin a write transaction: what the one before made is committed."""
        self._is_new = False

    def forget(self) -> None:
        """Forget all, where the open transaction made any, before it is undone."""
        if self._is_new:
            self._known.clear()
            self.generation += 1  # last: who read a number before must not keep it

    def _new(self, connection: Connection, type_number: int, text: str) -> int:
        if not self.find(connection, type_number, text):
            name, args = _named(type_number, text)
            with connection.apart() as other:
                other.execute(sql(f"insert_{name}"), args)
            self._is_new = True
        return self.find(connection, type_number, text)


def _named(type_number: int, text: str) -> tuple[str, tuple[int | str, ...]]:
    return ("param", (type_number, text)) if type_number else ("system", (text,))


class Database:
    """What `sqlite:///PATH` or `postgresql://…` names; created and migrated when opened."""

    def __init__(self, url: str) -> None:
        """Open the database and bring its schema up to date. Raises DatabaseRefused if not."""
        self.names = Names()
        self._engine = _engine(url, self.names)
        self._engine.migrate(_steps())

    def close(self) -> None:
        """Close every connection that is not in use."""
        self._engine.close()

    @property
    def address(self) -> str:
        """The URL of a PostgreSQL database, for libraries that connect by themselves; else ""."""
        return self._engine.address

    def write(self) -> AbstractContextManager[Connection]:
        """Open one write transaction: committed at the end, undone on any error.

        Raises Contention where another transaction stood in the way.
        """
        return self._engine.write()

    def transact(
        self, work: Callable[[Connection], T], *, alone: bool = False, fresh: bool = False
    ) -> T:
        """Do `work` in a write transaction and return its result when that is committed.

        Others' work may share the commit, and run in this thread: always where there is one
        writer, else where it is `fresh`: it writes new rows only, so it waits for nobody's. With
        `alone` no other transaction writes at the same time. `work` runs again, from the start,
        where another stood in the way. Raises what it raises, with nothing of it stored, and
        Contention when that does not end.
        """
        for _ in range(TRIES - 1):
            try:
                return self._engine.transact(work, alone=alone, fresh=fresh)
            except Contention:
                continue
        return self._engine.transact(work, alone=alone, fresh=fresh)

    def read(self) -> AbstractContextManager[Connection]:
        """Open one snapshot to read in."""
        return self._engine.read()

    def next_numbers(self, connection: Connection) -> tuple[int, int]:
        """Return unused numbers for a row of `resource` and a row of `version`."""
        return self._engine.next_numbers(connection)

    def lead(self, what: str, stop: Callable[[float], bool]) -> AbstractContextManager[Leads]:
        """Wait to be the one process that leads `what` (dispatch, jobs) on this database.

        Gives a call that tells whether it still does: the lead may be lost with a connection.
        `stop` waits that many seconds and tells whether to give up; then nobody was led.
        """
        return self._engine.lead(what, stop)

    def bell(self, what: str) -> Bell:
        """Return the bell by which writers wake whoever leads `what`."""
        return self._engine.bell(what)


def _engine(url: str, names: Names) -> Engine:
    if url.startswith(_POSTGRES):
        from server.store.postgres import Postgres  # noqa: PLC0415 40 ms that SQLite does not need

        return Postgres(url)
    if url.startswith(_SQLITE) and url != _SQLITE:
        return Sqlite(Path(url.removeprefix(_SQLITE)), names)
    scheme = url.split(":", maxsplit=1)[0]
    raise DatabaseRefused(
        f"expected a URL like sqlite:///inforce.db or postgresql://…, got {scheme}:…"
    )


def _steps() -> Iterator[tuple[str, str]]:
    folder = resources.files("server.store").joinpath("migrations")
    for step in sorted(folder.iterdir(), key=lambda file: file.name):
        if step.name.endswith(".sql"):
            yield step.name, step.read_text("utf-8")
