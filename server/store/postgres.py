"""PostgreSQL by psycopg 3: a pool, row locks for updates, and the same statements as SQLite."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from typing import Any, TypeVar

import psycopg
from psycopg import errors
from psycopg_pool import ConnectionPool, PoolTimeout

from fhir_profiles import codec
from server.store.bell import Local
from server.store.connection import (
    Connection,
    Contention,
    DatabaseRefused,
    Leads,
    Rows,
    Statement,
    statements,
)
from server.store.group import Group

POOL_LIMIT = 20
OPEN_TIMEOUT_S = 10.0
MIGRATION_WAIT, MIGRATION_TRIES = "1s", 30  # for a table that others use
LEAD_POLL_S = 0.25
BLOCK = 50  # numbers taken from the sequence at a time, so that most writes ask for none
_LEADER, _MIGRATION, _GUARD, _WRITERS = 7_301, 7_302, 7_303, 7_304  # our advisory locks
_CONTENTION = (errors.DeadlockDetected, errors.SerializationFailure, errors.UniqueViolation)
# The migrations are written once, for SQLite; these are all the words that differ.
_DDL = (
    (re.compile(r"\bINTEGER PRIMARY KEY\b"), "BIGINT PRIMARY KEY"),
    (re.compile(r"\bINTEGER\b"), "BIGINT"),
    (re.compile(r"\bBLOB\b"), "BYTEA"),
    (re.compile(r"\bREAL\b"), "DOUBLE PRECISION"),
    (re.compile(r"\bTEXT\b"), 'TEXT COLLATE "C"'),
    (re.compile(r"\) WITHOUT ROWID"), ")"),
)
T = TypeVar("T")
_TYPES: dict[type, str] = {int: "bigint", float: "double precision", str: "text"}
_NUMBERED = ("param.p", "code_system.sys", "delivery.did", "job.jid")


@lru_cache(maxsize=4096)
def _translated(sql: str) -> str:
    return sql.replace("%", "%%").replace("?", "%s")


@lru_cache(maxsize=1024)
def _together(texts: tuple[str, ...], tables: tuple[tuple[str, tuple[Any, ...]], ...]) -> str:
    """Return one statement that does what `texts` do, and inserts into tables from JSON."""
    parts = [f"s{place} AS ({_translated(text)})" for place, text in enumerate(texts)]
    for table, columns in tables:
        names = ", ".join(name for name, _ in columns)
        values = ", ".join(
            f"(r ->> {place})::{_TYPES[kind]}" for place, (_, kind) in enumerate(columns)
        )
        parts.append(
            f"{table}_rows AS (INSERT INTO {table} ({names})"  # noqa: S608 our own names
            f" SELECT {values} FROM json_array_elements(%s::json) r ON CONFLICT DO NOTHING)"
        )
    return f"WITH {', '.join(parts)} SELECT 1"


class _Connection:
    """A psycopg connection that takes `?` statements."""

    __slots__ = ("_guards", "_url", "is_alone", "raw")

    def __init__(self, raw: "psycopg.Connection[Any]", url: str, *, is_alone: bool = False) -> None:
        self.raw = raw
        self._url = url
        self.is_alone = is_alone
        self._guards: set[int] = set()

    def execute(self, sql: str, parameters: Any = (), /) -> Any:
        return self.raw.execute(_translated(sql), parameters, prepare=True)

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> Any:
        return self.raw.cursor().executemany(_translated(sql), list(parameters))

    def put(self, statements: Sequence[Statement], rows: Sequence[Rows]) -> None:
        # One statement, the rows as JSON: psycopg's work is by the statement and the value.
        tables = tuple((table, tuple(columns.items())) for table, columns, _ in rows)
        text = _together(tuple(text for text, _ in statements), tables)
        given = [value for _, parameters in statements for value in parameters]
        given += [codec.encode(list(values)).decode() for _, _, values in rows]
        if given:
            self.raw.execute(text, given, prepare=True)

    def hold(self, sql: str, parameters: Any, /) -> None:
        self.execute(f"{sql} FOR UPDATE", parameters)

    def guard(self, number: int) -> None:
        if number not in self._guards:
            self._guards.add(number)
            self.raw.execute("SELECT pg_advisory_xact_lock(%s, %s)", (_GUARD, number))

    @contextmanager
    def apart(self) -> Iterator[Connection]:
        """Give a new connection, committed at the end; the pool's may all be in such waits."""
        with psycopg.connect(self._url) as raw:
            yield _Connection(raw, self._url)


class Postgres:
    """One database. Raises DatabaseRefused if it cannot be reached."""

    def __init__(self, url: str) -> None:
        """Connect."""
        self.address = url
        self._url = url
        self._group = Group(self.write)
        self._numbers: dict[str, list[int]] = {"resource_rid": [], "version_vrid": []}
        self._pool = ConnectionPool(url, min_size=1, max_size=POOL_LIMIT, open=False)
        try:
            psycopg.connect(url, connect_timeout=int(OPEN_TIMEOUT_S)).close()
            self._pool.open(wait=True, timeout=OPEN_TIMEOUT_S)
        except (psycopg.Error, PoolTimeout) as error:
            self._pool.close()
            reason = str(error).strip().splitlines()[0] if str(error) else "no answer"
            raise DatabaseRefused(f"cannot open the PostgreSQL database: {reason}") from error

    @contextmanager
    def write(self, *, alone: bool = False) -> Iterator[Connection]:
        """Give a pooled connection inside one READ COMMITTED transaction.

        Statements go out in a pipeline: only those whose answer is read wait for it. The first is
        a lock that writers share; who has to be alone takes it whole, before any other, so that
        nobody waits for a row while others wait for him.
        """
        lock = "pg_advisory_xact_lock" if alone else "pg_advisory_xact_lock_shared"
        try:
            with self._pool.connection() as raw, raw.pipeline():
                raw.execute(f"SELECT {lock}(%s)", (_WRITERS,))
                yield _Connection(raw, self._url, is_alone=alone)
                raw.commit()  # goes out with what waits in the pipeline, whose end tells of both
        except _CONTENTION as error:
            raise Contention(type(error).__name__) from error

    def transact(self, work: Callable[[Connection], T], *, alone: bool, fresh: bool) -> T:
        """Do `work` in a transaction of its own, or with others' where none waits for a row."""
        if fresh and not alone:
            return self._group.transact(work)
        with self.write(alone=alone) as connection:
            return work(connection)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a pooled connection inside one snapshot."""
        with self._pool.connection() as raw:
            raw.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield _Connection(raw, self._url)

    def next_numbers(self, connection: Connection) -> tuple[int, int]:
        """Return unused numbers, from blocks that this process has taken."""
        return self._next(connection, "resource_rid"), self._next(connection, "version_vrid")

    def _next(self, connection: Connection, sequence: str) -> int:
        # Without a lock: who waits for the database may hold none. A list's pop is one step.
        left = self._numbers[sequence]
        try:
            return left.pop()
        except IndexError:
            found = connection.execute(
                "SELECT nextval(?::regclass) FROM generate_series(1, ?)", (sequence, BLOCK)
            ).fetchall()
            first, *others = (row[0] for row in found)
            left.extend(reversed(others))
            return int(first)

    @contextmanager
    def lead(self, what: str, stop: Callable[[float], bool]) -> Iterator[Leads]:
        """Hold an advisory lock on a connection of its own; it ends with the connection."""
        while True:
            try:
                with psycopg.connect(self._url, autocommit=True) as raw:
                    leads = self._leads(raw, what, stop)
                    yield partial(_is_alive, raw) if leads else lambda: False
                    return
            except psycopg.OperationalError:  # the database is away for a while
                if stop(LEAD_POLL_S):
                    yield lambda: False
                    return

    def _leads(
        self, raw: "psycopg.Connection[Any]", what: str, stop: Callable[[float], bool]
    ) -> bool:
        lock = "SELECT pg_try_advisory_lock(%s, hashtext(%s))"
        while True:
            row = raw.execute(lock, (_LEADER, what)).fetchone()
            if row and row[0]:
                return True
            if stop(LEAD_POLL_S):
                return False

    def bell(self, _what: str) -> Local:
        """Return a bell for this process: others hear of new deliveries from their worker."""
        return Local()

    def migrate(self, steps: Iterator[tuple[str, str]]) -> None:
        """Bring the schema up to date; of several processes one does it, the others wait.

        A table that others use is waited for only briefly: whoever came after would wait behind us,
        and among them who holds the table. Then everything is given back and tried again.
        """
        listed = tuple(steps)
        for left in reversed(range(MIGRATION_TRIES)):
            try:
                with psycopg.connect(self._url) as raw:
                    raw.execute("SELECT pg_advisory_xact_lock(%s)", (_MIGRATION,))
                    raw.execute(f"SET LOCAL lock_timeout = '{MIGRATION_WAIT}'")
                    self._migrated(raw, listed)
            except psycopg.errors.LockNotAvailable as error:
                if left == 0:
                    text = "cannot migrate the PostgreSQL database: its tables are in use"
                    raise DatabaseRefused(text) from error
            except psycopg.Error as error:
                raise DatabaseRefused(f"cannot migrate the PostgreSQL database: {error}") from error
            else:
                return

    def _migrated(self, raw: "psycopg.Connection[Any]", steps: Iterable[tuple[str, str]]) -> None:
        raw.execute("CREATE TABLE IF NOT EXISTS migration (name TEXT PRIMARY KEY)")
        done = {row[0] for row in raw.execute("SELECT name FROM migration").fetchall()}
        for name, script in steps:
            if name not in done:
                for statement in statements(script):
                    raw.execute(_ddl(statement))
                raw.execute("INSERT INTO migration (name) VALUES (%s)", (name,))
        self._number(raw)

    def _number(self, raw: "psycopg.Connection[Any]") -> None:
        """Give the tables that SQLite numbers by itself their sequences."""
        for sequence in ("resource_rid", "version_vrid"):
            raw.execute(f"CREATE SEQUENCE IF NOT EXISTS {sequence}")
        for column in _NUMBERED:
            table, _, name = column.partition(".")
            row = raw.execute(
                "SELECT column_default FROM information_schema.columns"
                " WHERE table_schema = current_schema() AND table_name = %s AND column_name = %s",
                (table, name),
            ).fetchone()
            if row is None or row[0] is not None:
                continue  # a later step makes it, or it is done: who only starts locks nothing
            sequence = f"{table}_{name}"
            raw.execute(f"CREATE SEQUENCE IF NOT EXISTS {sequence} OWNED BY {column}")
            raw.execute(
                f"ALTER TABLE {table} ALTER COLUMN {name} SET DEFAULT nextval('{sequence}')"
            )

    def close(self) -> None:
        """Close every connection that is not in use."""
        self._pool.close()


def _is_alive(raw: "psycopg.Connection[Any]") -> bool:
    try:
        raw.execute("SELECT 1")
    except psycopg.Error:
        return False
    return True


def _ddl(statement: str) -> str:
    for pattern, words in _DDL:
        statement = pattern.sub(words, statement)
    return statement
