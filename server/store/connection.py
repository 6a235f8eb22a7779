"""What the store's modules ask of a database, and the two engines' ways to give it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
# A table, its columns (each int, float or str), and rows of it.
Rows = tuple[str, Mapping[str, type], Iterable[tuple[Any, ...]]]
Statement = tuple[str, tuple[Any, ...]]  # and its parameters
Leads = Callable[[], bool]  # tells whether this process leads, now


class DatabaseRefused(Exception):
    """The database cannot be used; the message says why."""


class Contention(Exception):
    """Two transactions stood in each other's way; this one was undone and may be tried again."""


class Connection(Protocol):
    """An open transaction. Statements are written with `?`, in the SQL that both engines know.

    `is_alone` tells that no other transaction writes before the end of this one: what others wrote
    is seen, and those that follow see all of this one from their beginning. `raw` is
    PostgreSQL's own connection, for a library that writes in the same transaction.
    """

    is_alone: bool
    raw: Any

    def execute(self, sql: str, parameters: Any = ..., /) -> Any:
        """Run one statement and return its cursor."""
        ...

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> Any:
        """Run one statement for every row of parameters."""
        ...

    def put(self, statements: Sequence[Statement], rows: Sequence[Rows]) -> None:
        """Run statements without results, and insert the rows that are not there yet.

        Each is about another table than all others.
        """
        ...

    def hold(self, sql: str, parameters: Any, /) -> None:
        """Let nobody else change the rows of a SELECT of one table before the end.

        What was changed meanwhile is seen by the statements after this one. A SELECT that joins
        would lose rows that another transaction changed while this one waited for them.
        """
        ...

    def guard(self, number: int) -> None:
        """Let nobody else pass this guard before the end of the transaction."""
        ...

    def apart(self) -> "AbstractContextManager[Connection]":
        """Give a connection whose writes stay, whatever becomes of this transaction.

        Where an engine has one writer, that is the connection itself, and nothing stays.
        """
        ...


class Bell(Protocol):
    """Wakes whoever waits for it, in whichever process of this database."""

    def ring(self) -> None:
        """Wake who waits, or who will wait next."""
        ...

    def wait(self, limit_s: float) -> bool:
        """Wait until it rings, at most that long; tell whether it did."""
        ...


class Memory(Protocol):
    """What is remembered of a database and may have to be forgotten again."""

    def begin(self) -> None:
        """A write transaction begins: what came before it is committed."""
        ...

    def forget(self) -> None:
        """What was written since it began is undone."""
        ...


class Engine(Protocol):
    """One database engine: how to open transactions, number rows, and lead.

    `address` is the URL of a server that other libraries may connect to, "" where there is none.
    """

    address: str

    def write(self) -> AbstractContextManager[Connection]:
        """Open a write transaction: committed at the end, undone on any error."""
        ...

    def transact(self, work: Callable[[Connection], T], *, alone: bool, fresh: bool) -> T:
        """Do `work` as write() would, in whichever thread; return when it is committed."""
        ...

    def read(self) -> AbstractContextManager[Connection]:
        """Open a read transaction: one snapshot."""
        ...

    def next_numbers(self, connection: Connection) -> tuple[int, int]:
        """Return unused numbers for a row of `resource` and a row of `version`."""
        ...

    def lead(self, what: str, stop: Callable[[float], bool]) -> AbstractContextManager[Leads]:
        """Wait until no other process leads `what`, or `stop` says to end."""
        ...

    def bell(self, what: str) -> Bell:
        """Return the bell of `what`."""
        ...

    def migrate(self, steps: Iterator[tuple[str, str]]) -> None:
        """Run the (name, script) steps that were not run yet, in one transaction."""
        ...

    def close(self) -> None:
        """Close every connection that is not in use."""
        ...


def statements(script: str) -> Iterator[str]:
    """Yield the statements of a migration; each ends with `;` at the end of a line."""
    pending = ""
    for line in script.splitlines():
        code = line.partition("--")[0].rstrip()
        pending += f"{code}\n"
        if code.endswith(";"):
            yield pending.strip().rstrip(";")
            pending = ""
