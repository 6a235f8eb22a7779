"""One process of a database takes the turns, and another as soon as it cannot any more."""

import threading
from collections.abc import Callable, Iterator
from functools import partial
from itertools import groupby

import psycopg
import pytest

from server.interactions.turns import Turns
from server.store.database import Database
from tests.programs import wait_for

PAUSE_S = 0.02


@pytest.fixture
def database(new_database: Callable[[], str]) -> Iterator[Database]:
    made = Database(new_database())
    yield made
    made.close()


class Both:
    """Two that would take turns, and who took each."""

    def __init__(self, database: Database) -> None:
        self.taken: list[str] = []
        self.one, self.other = (
            Turns(database, "trial", partial(self.taken.append, name), PAUSE_S)
            for name in ("one", "other")
        )

    def goes_on(self) -> str:
        """Wait for two more turns and return who took the last."""
        count = len(self.taken)
        wait_for(lambda: len(self.taken) > count + 1, "turns are taken")
        return self.taken[-1]


@pytest.fixture
def both(database: Database) -> Iterator[Both]:
    made = Both(database)
    made.one.start()
    made.goes_on()
    made.other.start()
    yield made
    made.other.stop()


def test_one_takes_all_turns_until_it_stops(both: Both) -> None:
    """Then the other does."""
    threading.Event().wait(PAUSE_S * 10)
    assert {"one"} == set(both.taken)

    both.one.stop()

    assert "other" == both.goes_on()
    assert ["one", "other"] == [name for name, _ in groupby(both.taken)]


def test_a_turn_that_fails_is_not_the_last(database: Database) -> None:
    """The next one is taken."""
    taken: list[int] = []

    def turn() -> None:
        taken.append(len(taken))
        raise ValueError("a fault")

    turns = Turns(database, "trial", turn, PAUSE_S)
    turns.start()
    wait_for(lambda: len(taken) > 1, "the next turn")
    turns.stop()


def test_who_lost_the_connection_leads_no_more(database: Database, both: Both) -> None:
    """PostgreSQL frees the lock with the connection: from then on exactly one takes turns."""
    if not database.address:
        assert "one" == both.goes_on()  # a file lock ends with its process only
    else:
        with psycopg.connect(database.address, autocommit=True) as raw:
            raw.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
                " AND granted AND classid = 7301 AND objid = hashtext('trial')::oid"
                " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            )
        killed = len(both.taken)
        leader = both.goes_on()
        threading.Event().wait(PAUSE_S * 20)
        assert 2 >= len(list(groupby(both.taken[killed:])))
        assert leader == both.taken[-1]
    both.one.stop()
