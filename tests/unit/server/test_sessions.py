"""Sessions of people in the store, on each of the databases."""

from server.store import sessions
from server.store.database import Database
from server.store.sessions import Session

NOW, HOUR = 1_795_000_000_000_000, 3_600_000_000
FRAN = Session("f-1", "Fran Desk", "billing front-desk", NOW + HOUR, NOW)


def test_a_session_is_found_by_what_the_browser_has(database: Database) -> None:
    """And by nothing that stands in the database."""
    with database.write() as connection:
        sessions.begin(connection, "secret", FRAN)
    with database.read() as connection:
        assert FRAN == sessions.found(connection, "secret")
        (kept,) = connection.execute("SELECT digest FROM session", ()).fetchone()
        assert "secret" != kept
        assert sessions.found(connection, kept) is None


def test_use_is_noted(database: Database) -> None:
    """Of this session alone."""
    with database.write() as connection:
        for text in ("one", "two"):
            sessions.begin(connection, text, FRAN)
        sessions.see(connection, "two", NOW + 5)
    with database.read() as connection:
        found = [sessions.found(connection, text) for text in ("one", "two")]
    assert [NOW, NOW + 5] == [one.seen for one in found if one is not None]


def test_a_session_ends_once(database: Database) -> None:
    """The second time there is none; those that are over go with the next that begins."""
    with database.write() as connection:
        sessions.begin(connection, "one", FRAN)
        assert [True, False] == [sessions.end(connection, "one") for _ in range(2)]
        sessions.begin(connection, "two", FRAN)
        later = Session("b-2", "Bea", "billing", NOW + 3 * HOUR, NOW + HOUR)
        sessions.begin(connection, "three", later)
        assert sessions.found(connection, "two") is None
        assert later == sessions.found(connection, "three")
