"""The database of a URL: its engine, its schema brought up to date, and the numbers of names."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib import resources
from pathlib import Path

from server.store.connection import Connection, DatabaseRefused, Engine
from server.store.sqlite import Sqlite
from server.store.statements import sql

__all__ = ["Database", "DatabaseRefused"]
_SQLITE = "sqlite:///"
_POSTGRES = ("postgresql://", "postgres://")


class Names:
    """Numbers of parameters and code systems, remembered while their rows are sure to stay."""

    def __init__(self, engine: Engine) -> None:
        """Start knowing none."""
        self._engine = engine
        self._known: dict[tuple[int, str], int] = {}
        self.generation = 0  # moves whenever a number that was given out may mean another
        self._fresh: list[tuple[int, str]] = []  # made in the open write transaction

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
        self._fresh.clear()

    def forget(self) -> None:
        """Forget what the open transaction made, before it is undone."""
        if self._fresh and not self._engine.keeps_names:
            self.generation += 1
            for key in self._fresh:
                self._known.pop(key, None)
        self._fresh.clear()

    def _new(self, connection: Connection, type_number: int, text: str) -> int:
        if not self.find(connection, type_number, text):
            name, args = _named(type_number, text)
            with self._engine.apart(connection) as other:
                other.execute(sql(f"insert_{name}"), args)
            self._fresh.append((type_number, text))
        return self.find(connection, type_number, text)


def _named(type_number: int, text: str) -> tuple[str, tuple[int | str, ...]]:
    return ("param", (type_number, text)) if type_number else ("system", (text,))


class Database:
    """What `sqlite:///PATH` or `postgresql://…` names; created and migrated when opened."""

    def __init__(self, url: str) -> None:
        """Open the database and bring its schema up to date. Raises DatabaseRefused if not."""
        self._engine = _engine(url)
        self.names = Names(self._engine)
        self._engine.migrate(_steps())

    def close(self) -> None:
        """Close every connection that is not in use."""
        self._engine.close()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open one write transaction: committed at the end, undone on any error.

        Raises Contention where another transaction stood in the way.
        """
        try:
            with self._engine.write() as connection:
                self.names.begin()
                try:
                    yield connection
                except BaseException:
                    # Before the next writer can see numbers that are about to be undone.
                    self.names.forget()
                    raise
        except BaseException:
            self.names.forget()  # a commit that failed undoes them too
            raise

    def read(self) -> AbstractContextManager[Connection]:
        """Open one snapshot to read in."""
        return self._engine.read()

    def next_numbers(self, connection: Connection) -> tuple[int, int]:
        """Return unused numbers for a row of `resource` and a row of `version`."""
        return self._engine.next_numbers(connection)

    def lead(self, what: str, stop: Callable[[float], bool]) -> AbstractContextManager[bool]:
        """Wait to be the one process that leads `what` (dispatch, jobs) on this database.

        `stop` waits that many seconds and tells whether to give up; then False is given.
        """
        return self._engine.lead(what, stop)


def _engine(url: str) -> Engine:
    if url.startswith(_POSTGRES):
        from server.store.postgres import Postgres  # noqa: PLC0415 40 ms that SQLite does not need

        return Postgres(url)
    if url.startswith(_SQLITE) and url != _SQLITE:
        return Sqlite(Path(url.removeprefix(_SQLITE)))
    scheme = url.split(":", maxsplit=1)[0]
    raise DatabaseRefused(
        f"expected a URL like sqlite:///inforce.db or postgresql://…, got {scheme}:…"
    )


def _steps() -> Iterator[tuple[str, str]]:
    folder = resources.files("server.store").joinpath("migrations")
    for step in sorted(folder.iterdir(), key=lambda file: file.name):
        if step.name.endswith(".sql"):
            yield step.name, step.read_text("utf-8")
