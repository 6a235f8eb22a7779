"""Group commit: each keeps its own outcome, whoever does the work (DUR-01)."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from server.store.connection import Connection
from server.store.database import Database
from server.store.sqlite import Sqlite

WAIT_S = 10.0


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path / 'group.db'}")
    with made.write() as connection:
        connection.execute("CREATE TABLE kept (x TEXT)")
    yield made
    made.close()


def kept(database: Database) -> list[str]:
    with database.read() as connection:
        return [row[0] for row in connection.execute("SELECT x FROM kept ORDER BY x").fetchall()]


def keep(text: str, number: int = 0) -> Any:
    def work(connection: Connection) -> str:
        connection.execute("INSERT INTO kept VALUES (?)", (text,))
        if number:
            raise LookupError(number)
        return text

    return work


def together(
    database: Database, works: list[Any], first: Callable[[Connection], None] = lambda _c: None
) -> list[Any]:
    """Do all works in one group, in order; it forms while `first` holds the writer."""
    begun, go = threading.Event(), threading.Event()

    def hold(connection: Connection) -> None:
        begun.set()
        assert go.wait(WAIT_S)
        first(connection)

    group = database._engine._group  # type: ignore[attr-defined]
    with ThreadPoolExecutor(len(works) + 1) as pool:
        leading = pool.submit(database.transact, hold)
        assert begun.wait(WAIT_S)
        found = []
        for work in works:
            found.append(pool.submit(database.transact, work))
            while len(group._waiting) < len(found) + 1:
                threading.Event().wait(0.001)
        go.set()
        leading.result(WAIT_S)
        return [one.exception(WAIT_S) or one.result() for one in found]


def commits(database: Database) -> list[str]:
    """Record the commits of the writer from now on."""
    assert isinstance(database._engine, Sqlite)
    seen: list[str] = []
    database._engine._writer.set_trace_callback(
        lambda text: seen.append(text) if text == "COMMIT" else None
    )
    return seen


def test_those_who_wait_share_a_commit(database: Database) -> None:
    """Eight writes, two commits."""
    seen = commits(database)
    assert together(database, [keep(str(n)) for n in range(7)]) == [str(n) for n in range(7)]
    assert kept(database) == [str(n) for n in range(7)]
    assert len(seen) == 2  # of the one who held the writer, and of the seven


def test_one_that_fails_takes_nobody_along(database: Database) -> None:
    """An error is its own: the others are stored, nothing of it is."""
    found = together(database, [keep("a"), keep("b", 5), keep("c")])
    assert [found[0], found[2]] == ["a", "c"]
    assert isinstance(found[1], LookupError)
    assert kept(database) == ["a", "c"]


def test_a_name_of_one_that_failed_is_made_again(database: Database) -> None:
    """What a failed work learnt of the database is not believed by the next of its group."""

    def name(url: str, *, fails: bool) -> Any:
        def work(connection: Connection) -> int:
            number = database.names.system(connection, url)
            if fails:
                raise LookupError
            return number

        return work

    found = together(database, [name("http://a", fails=True), name("http://a", fails=False)])
    with database.read() as connection:
        row = connection.execute("SELECT sys FROM code_system WHERE url = 'http://a'").fetchone()
    assert row is not None
    assert found[1] == row[0]


def fill(connection: Connection) -> None:
    """Want more room than there is: SQLite undoes the whole transaction."""
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    connection.execute("INSERT INTO kept VALUES (zeroblob(100000))")


def test_what_a_full_disk_undid_is_done_one_by_one(database: Database) -> None:
    """Who fits is stored, and told so; who does not hears of the disk."""
    found = together(database, [keep("a"), fill, keep("b")])
    assert [found[0], found[2]] == ["a", "b"]
    assert "full" in str(found[1])
    assert kept(database) == ["a", "b"]


def test_a_database_that_is_away_is_so_for_all(database: Database) -> None:
    """Nobody waits for his own turn to hear it."""
    assert isinstance(database._engine, Sqlite)
    tries: list[str] = []

    def away() -> Any:
        tries.append("")
        raise sqlite3.OperationalError("away")

    def leave(_connection: Connection) -> None:
        group._write = away
        raise LookupError

    group = database._engine._group
    found = together(database, [leave, keep("a"), keep("b")])
    assert [str(one) for one in found] == ["away"] * 3
    assert tries == [""]


def test_a_commit_that_may_have_been_one_is_not_done_again(database: Database) -> None:
    """Where the answer to it is lost, all hear of that, and nothing is stored twice."""
    assert isinstance(database._engine, Sqlite)
    group = database._engine._group
    whole = group._write

    @contextmanager
    def lossy() -> Iterator[Connection]:
        with whole() as connection:
            yield connection
        group._write = whole
        raise ConnectionError("lost")

    def lose(_connection: Connection) -> None:
        group._write = lossy

    begun = together(database, [keep("a"), keep("b")], first=lose)
    assert [str(one) for one in begun] == ["lost"] * 2
    assert kept(database) == ["a", "b"]


def test_no_number_outlives_its_transaction(database: Database) -> None:
    """Two code systems never get one number, whatever of a group was undone, and when."""

    def name(url: str) -> Any:
        return lambda connection: database.names.system(connection, url)

    together(database, [name("http://a"), keep("b", 5), name("http://a"), fill])
    with database.write() as connection:
        connection.execute("PRAGMA max_page_count = 1000000")
    numbers = {url: database.transact(name(url)) for url in ("http://z", "http://a")}

    with database.read() as connection:
        rows = connection.execute("SELECT url, sys FROM code_system").fetchall()
    assert numbers == {url: number for url, number in rows if url in numbers}
    assert len(set(numbers.values())) == 2


def test_nobody_begins_when_the_database_refuses(database: Database) -> None:
    """A transaction that cannot be opened is an error for him who asked, not a wait for ever."""
    assert isinstance(database._engine, Sqlite)
    database._engine._writer.close()
    with pytest.raises(sqlite3.ProgrammingError):
        database.transact(keep("a"))
