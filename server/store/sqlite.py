"""SQLite: one file, one writer at a time, every commit durable (WAL, synchronous=FULL)."""

import fcntl
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TypeVar

from server.store.bell import Fifo
from server.store.connection import (
    Connection,
    DatabaseRefused,
    Leads,
    Memory,
    Rows,
    Statement,
    statements,
)
from server.store.group import Group

BUSY_TIMEOUT_S = 10.0
CACHED_STATEMENTS = 512
LEAD_POLL_S = 0.25
T = TypeVar("T")


class _Connection(sqlite3.Connection):
    is_alone = True
    raw = None  # nothing else writes to the file

    def put(self, statements: Sequence[Statement], rows: Sequence[Rows]) -> None:
        for text, parameters in statements:
            self.execute(text, parameters)
        for table, columns, values in rows:
            self.executemany(_insert(table, tuple(columns)), values)

    def hold(self, _sql: str, _parameters: object, /) -> None:
        """Do nothing: the one writer holds everything."""

    def guard(self, _number: int) -> None:
        """Do nothing: the one writer is alone."""

    @contextmanager
    def apart(self) -> "Iterator[_Connection]":
        """Give the one writer itself."""
        yield self


@cache
def _insert(table: str, columns: tuple[str, ...]) -> str:
    marks = ", ".join("?" * len(columns))
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks}) ON CONFLICT DO NOTHING"  # noqa: S608 our own names


class Sqlite:
    """One database file, created when opened. Raises DatabaseRefused if it cannot be."""

    address = ""

    def __init__(self, path: Path, memory: Memory) -> None:
        """Open the file; `memory` hears when a transaction begins, and when it is undone."""
        self._path = path
        self._memory = memory
        self._group = Group(self.write)
        self._last: tuple[int, int] | None = None  # numbers given out in the open transaction
        self._lock = threading.Lock()
        self._readers: deque[_Connection] = deque()
        self._bells: list[Fifo] = []
        try:
            # Whoever holds this file writes: a fair queue between processes, which SQLite's own
            # busy timeout is not (it polls, and under load one process starves).
            self._path.touch(0o600)  # health data: for who runs the server alone
            self._queue = self._beside("write").open("w")
            self._writer = self._connect()
        except (sqlite3.Error, OSError) as error:
            raise DatabaseRefused(f"cannot open {path}: {error}") from error

    def _beside(self, what: str) -> Path:
        return self._path.with_name(f"{self._path.name}.{what}")

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Give the writer inside one transaction."""
        with self._lock:
            fcntl.flock(self._queue, fcntl.LOCK_EX)
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                self._memory.begin()
                self._last = None
                try:
                    yield self._writer
                    self._writer.execute("COMMIT")
                except BaseException:
                    self._memory.forget()  # before the next writer can believe it
                    if self._writer.in_transaction:  # a full disk has rolled back already
                        self._writer.execute("ROLLBACK")
                    raise
            finally:
                fcntl.flock(self._queue, fcntl.LOCK_UN)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a reader of our own, inside one snapshot."""
        connection = self._reader()
        connection.execute("BEGIN")
        try:
            yield connection
        finally:
            connection.execute("COMMIT")
            self._readers.append(connection)

    def transact(self, work: Callable[[Connection], T], **_how: bool) -> T:
        """Do `work` in one transaction with what other threads want done."""
        return self._group.transact(work)

    def next_numbers(self, connection: Connection) -> tuple[int, int]:
        """Return the numbers after the last ones; the writer's lock keeps them ours."""
        if self._last is None:
            self._last = connection.execute(
                "SELECT coalesce((SELECT max(rid) FROM resource), 0),"
                " coalesce((SELECT max(vrid) FROM version), 0)"
            ).fetchone()
        row, version = self._last
        self._last = row + 1, version + 1
        return self._last

    @contextmanager
    def lead(self, what: str, stop: Callable[[float], bool]) -> Iterator[Leads]:
        """Hold a file lock, which ends with the process, however it ends."""
        with self._beside(what).open("w") as file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    if stop(LEAD_POLL_S):
                        yield lambda: False
                        return
                else:
                    yield lambda: True
                    return

    def bell(self, what: str) -> Fifo:
        """Return the bell of `what`, for all processes that work on this file."""
        made = Fifo(self._beside(f"{what}-bell"))
        self._bells.append(made)
        return made

    def migrate(self, steps: Iterator[tuple[str, str]]) -> None:
        """Bring the schema up to date."""
        try:
            with self.write() as connection:
                connection.execute("CREATE TABLE IF NOT EXISTS migration (name TEXT PRIMARY KEY)")
                done = {row[0] for row in connection.execute("SELECT name FROM migration")}
                for name, script in steps:
                    if name not in done:
                        for statement in statements(script):
                            connection.execute(statement)
                        connection.execute("INSERT INTO migration (name) VALUES (?)", (name,))
        except sqlite3.Error as error:
            raise DatabaseRefused(f"cannot open {self._path}: {error}") from error

    def close(self) -> None:
        """Close every connection that is not in use."""
        self._writer.close()
        self._queue.close()
        while self._bells:
            self._bells.pop().close()
        while self._readers:
            self._readers.pop().close()

    def _reader(self) -> _Connection:
        try:
            return self._readers.pop()
        except IndexError:
            connection = self._connect()
            connection.execute("PRAGMA query_only = ON")
            return connection

    def _connect(self) -> _Connection:
        connection = sqlite3.connect(
            self._path,
            timeout=BUSY_TIMEOUT_S,
            isolation_level=None,
            check_same_thread=False,
            factory=_Connection,
            cached_statements=CACHED_STATEMENTS,
        )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        return connection
