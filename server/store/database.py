"""Connections, transactions and migrations of one SQLite database file.

One writer at a time in a process (a lock, then BEGIN IMMEDIATE); as many readers as are in use.
Every commit is durable: WAL with synchronous=FULL.
"""

import sqlite3
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

from server.store.statements import sql

BUSY_TIMEOUT_S = 10.0
_PREFIX = "sqlite:///"


class DatabaseRefused(Exception):
    """The database cannot be used; the message says why."""


class Names:
    """Numbers of parameters and code systems, remembered while their rows are sure to stay."""

    def __init__(self) -> None:
        """Start knowing none."""
        self._known: dict[tuple[int, str], int] = {}

    def parameter(self, connection: sqlite3.Connection, type_number: int, code: str) -> int:
        """Return the number of a search parameter, giving it one if it is new."""
        return self._number(connection, "param", (type_number, code))

    def system(self, connection: sqlite3.Connection, url: str) -> int:
        """Return the number of a code system or base URL, giving it one if it is new."""
        return self._number(connection, "system", (0, url))

    def forget(self) -> None:
        """Forget all, after a rollback may have taken rows away."""
        self._known.clear()

    def _number(self, connection: sqlite3.Connection, name: str, key: tuple[int, str]) -> int:
        found = self._known.get(key)
        if found is None:
            args = key if name == "param" else key[1:]
            connection.execute(sql(f"insert_{name}"), args)
            found = int(connection.execute(sql(name), args).fetchone()[0])
            self._known[key] = found
        return found


class Database:
    """One SQLite file, named by `sqlite:///PATH`; created and migrated when opened."""

    def __init__(self, url: str) -> None:
        """Open the database and bring its schema up to date. Raises DatabaseRefused if not."""
        if not url.startswith(_PREFIX) or url == _PREFIX:
            scheme = url.split(":", maxsplit=1)[0]
            raise DatabaseRefused(f"expected a URL like sqlite:///inforce.db, got {scheme}:…")
        self.path = Path(url.removeprefix(_PREFIX))
        self.names = Names()
        self._lock = threading.Lock()
        self._readers: deque[sqlite3.Connection] = deque()
        try:
            self._writer = self._connect()
            self._migrate()
        except sqlite3.Error as error:
            raise DatabaseRefused(f"cannot open {self.path}: {error}") from error

    def close(self) -> None:
        """Close every connection that is not in use."""
        self._writer.close()
        while self._readers:
            self._readers.pop().close()

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Give the writer inside one transaction: committed at the end, undone on any error."""
        with self._lock:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                self.names.forget()
                if self._writer.in_transaction:  # a full disk has rolled back already
                    self._writer.execute("ROLLBACK")
                raise

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Give a reader of our own, inside one snapshot."""
        connection = self._reader()
        connection.execute("BEGIN")
        try:
            yield connection
        finally:
            connection.execute("COMMIT")
            self._readers.append(connection)

    def _reader(self) -> sqlite3.Connection:
        try:
            return self._readers.pop()
        except IndexError:
            connection = self._connect()
            connection.execute("PRAGMA query_only = ON")
            return connection

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        return connection

    def _migrate(self) -> None:
        folder = resources.files("server.store").joinpath("migrations")
        steps = sorted(
            (f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name
        )
        with self.write() as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS migration (name TEXT PRIMARY KEY)")
            done = {row[0] for row in connection.execute("SELECT name FROM migration")}
            for step in steps:
                if step.name not in done:
                    for statement in _statements(step.read_text("utf-8")):
                        connection.execute(statement)
                    connection.execute("INSERT INTO migration (name) VALUES (?)", (step.name,))


def _statements(script: str) -> Iterator[str]:
    """Yield the statements of a script one by one, so that all run in the caller's transaction."""
    pending = ""
    for line in script.splitlines():
        pending += line + "\n"
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""
