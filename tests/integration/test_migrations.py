"""Forward-only migrations from every earlier schema, with data in it, on both engines."""

import threading
import time
from collections.abc import Callable
from importlib import resources as files
from pathlib import Path
from typing import Any

import psycopg
import pytest

from fhir_profiles import codec
from server import definitions
from server.app import engine_alone
from server.interactions import read, search
from server.interactions.reindex import is_due, reindex
from server.settings import Settings
from server.store import database as store
from server.store.connection import DatabaseRefused
from server.store.database import Database
from tests import databases, samples

STEPS = sorted(
    f.name for f in files.files("server.store").joinpath("migrations").iterdir()
    if f.name.endswith(".sql")
)  # fmt: skip

COVERAGE = definitions.type_numbers()["Coverage"]
ROW = 900_001  # beyond what the sequences give


def _old_rows(connection: Any) -> None:
    """Put in what the first release stored: a Coverage, indexed its way, and a Subscription."""
    coverage = codec.encode({**samples.coverage("old"), "meta": {"versionId": "1"}})
    connection.execute(
        "INSERT INTO resource (rid, tid, type, fhir_id, ver, upd, deleted, plan_ver, vrid)"
        " VALUES (?, 1, ?, 'old', 1, 1000, 0, 1, ?)",
        (ROW, COVERAGE, ROW),
    )
    connection.execute(
        "INSERT INTO version (vrid, rid, ver, upd, method, txn, actor, body)"
        " VALUES (?, ?, 1, 1000, 'PUT', 0, '', ?)",
        (ROW, ROW, coverage),
    )
    connection.execute("INSERT INTO param (p, type, code) VALUES (?, ?, 'status')", (ROW, COVERAGE))
    connection.execute("INSERT INTO code_system (sys, url) VALUES (?, '')", (ROW,))
    row = (ROW, ROW, ROW)
    connection.execute("INSERT INTO ix_token (p, v, rid, sys) VALUES (?, 'active', ?, ?)", row)


@pytest.mark.parametrize("known", range(1, len(STEPS) + 1))
def test_from_every_earlier_schema(
    known: int, new_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Data stays, new tables come, and the index is made as this release reads it."""
    url = new_database()
    whole = store._steps
    monkeypatch.setattr(store, "_steps", lambda: (s for s in whole() if s[0] in STEPS[:known]))
    old = Database(url)
    with old.write() as connection:
        _old_rows(connection)
    old.close()
    monkeypatch.undo()

    with engine_alone(Settings(database=url, auth="open")) as engine:
        assert is_due(engine)
        reindex(engine, lambda _done, _whole: None)
        assert not is_due(engine)
        assert 1 == read.read(engine, "Coverage", "old").version
        system = "http://hl7.org/fhir/fm-status"
        assert 1 == search.search(engine, "Coverage", [("status", f"{system}|active")]).total
        assert 0 == search.search(engine, "Coverage", [("status", "|active")]).total


def test_opening_twice_changes_nothing(new_database: Callable[[], str]) -> None:
    """Every step runs once."""
    url = new_database()
    for _ in range(2):
        made = Database(url)
        with made.read() as connection:
            names = connection.execute("SELECT name FROM migration ORDER BY name").fetchall()
        made.close()
        assert STEPS == [name for (name,) in names]


def test_the_first_schema_is_as_it_was_released() -> None:
    """Migrations are never edited: what a database has run stays what it has run."""
    path = Path(str(files.files("server.store").joinpath("migrations", STEPS[0])))

    assert 102 == len(path.read_text("utf-8").splitlines())


@pytest.fixture
def url(postgres: str, tmp_path: Path) -> str:
    """Return the URL of a PostgreSQL database that is up to date."""
    made = databases.new("postgresql", tmp_path, postgres)
    Database(made).close()
    return made


def _in_use(url: str) -> Any:
    """Return a connection whose open transaction has read a table, as a writer does."""
    held = psycopg.connect(url)
    held.execute("SELECT p FROM param LIMIT 1")
    return held


def _unnumbered(url: str) -> None:
    """Take away what a start then has to give back."""
    with psycopg.connect(url, autocommit=True) as raw:
        raw.execute("ALTER TABLE param ALTER COLUMN p DROP DEFAULT")


def test_a_process_that_starts_waits_for_nobody(url: str) -> None:
    """A schema that is up to date is locked by nothing: others may be in the middle of a write."""
    with _in_use(url):
        started = time.monotonic()
        Database(url).close()

    assert time.monotonic() - started < 1


def test_a_change_of_a_table_in_use_is_tried_again(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever comes after it is let through in between; when the table is free it is changed."""
    monkeypatch.setattr("server.store.postgres.MIGRATION_WAIT", "100ms")
    _unnumbered(url)
    held = _in_use(url)
    opened: list[Database] = []
    starting = threading.Thread(target=lambda: opened.append(Database(url)))
    starting.start()
    with psycopg.connect(url, autocommit=True) as other:
        for _ in range(5):
            other.execute("SELECT p FROM param LIMIT 1")
    assert starting.is_alive()
    held.close()
    starting.join(10)

    assert 1 == len(opened)
    opened[0].close()
    with psycopg.connect(url) as raw:
        raw.execute("INSERT INTO param (type, code) VALUES (1, 'numbered again')")


def test_a_table_that_is_never_free_is_told(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather than holding everybody up for ever."""
    monkeypatch.setattr("server.store.postgres.MIGRATION_WAIT", "20ms")
    monkeypatch.setattr("server.store.postgres.MIGRATION_TRIES", 2)
    _unnumbered(url)
    with _in_use(url), pytest.raises(DatabaseRefused, match="in use"):
        Database(url)
