"""The limits that routes, payers and providers set: kept, and never at the cost of a person."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from msgspec.structs import replace

from bots.connectors.pace import Full, Pace
from bots.connectors.route import Route
from bots.ports import Exchange, Failure
from tests.fakes import FakeClearinghouse
from tests.unit.bots.test_270 import INQUIRY
from tests.unit.bots.test_route import GOOD

KEYS = ("payer 00099", "provider 1999999984")


def test_a_rate_spreads_questions() -> None:
    """Two a second: one each half second, whatever was not used before."""
    now = [10.0]
    pace = Pace({"a": 2.0}, 0, lambda: now[0])

    assert [0, 0.5, 1.0] == [pace.slot_s("a", within_s=9) for _ in range(3)]
    now[0] += 9
    assert [0, 0.5] == [pace.slot_s("a", within_s=9) for _ in range(2)]
    assert [0.0] * 9 == [pace.slot_s("b", within_s=9) for _ in range(9)]


def test_who_would_wait_too_long_is_told_and_not_counted() -> None:
    """The place stays free for who waits longer."""
    pace = Pace({"a": 1.0}, 0, lambda: 10.0)
    assert [0, 1.0] == [pace.slot_s("a", within_s=9) for _ in range(2)]
    for _ in range(3):
        with pytest.raises(Full) as told:
            pace.slot_s("a", within_s=1.5)
        assert 2.0 == told.value.after_s
    assert 2.0 == pace.slot_s("a", within_s=9)


def test_a_batch_leaves_room_for_a_person() -> None:
    """Of four places three are for the sweep; a person takes the fourth."""
    pace = Pace({}, 4, lambda: 0.0)
    with ExitStack() as held:
        for _ in range(3):
            held.enter_context(pace.turn(KEYS, background=True, wait_s=0))
        with pytest.raises(Full), pace.turn(KEYS, background=True, wait_s=0):
            pass
        held.enter_context(pace.turn(KEYS, background=False, wait_s=0))
        with pytest.raises(Full), pace.turn(KEYS, background=False, wait_s=0):
            pass
        other = ("payer 00088", "provider 1")
        held.enter_context(pace.turn(other, background=False, wait_s=0))
    with pace.turn(KEYS, background=True, wait_s=0):
        pass


def test_one_waits_until_there_is_room() -> None:
    """Whoever ends lets the next one in."""
    pace = Pace({}, 1, lambda: 0.0)
    inside, out = threading.Event(), threading.Event()

    def hold() -> None:
        with pace.turn(KEYS, background=False, wait_s=0):
            inside.set()
            out.wait(9)

    first = threading.Thread(target=hold)
    first.start()
    assert inside.wait(9)
    threading.Timer(0.05, out.set).start()
    with pace.turn(KEYS, background=False, wait_s=9):
        assert out.is_set()
    first.join()


@contextmanager
def busy(pace: Pace) -> Iterator[None]:
    with pace.turn(KEYS, background=False, wait_s=0):
        yield


def test_a_route_tells_of_its_limit() -> None:
    """By rate the next route is asked; a payer at its limit is asked by none, and later."""
    now = [10.0]
    pace = Pace({"a": 0.001}, 1, lambda: now[0])
    one, other = FakeClearinghouse(GOOD, GOOD, name="a"), FakeClearinghouse(GOOD, name="b")
    route = Route([one, other], now=lambda: now[0], pace=pace, longest_s=9)
    inquiry = replace(INQUIRY, payer_id="00099", provider_npi="1999999984")
    assert [GOOD.answer] * 2 == [route.check(inquiry, timeout_s=4).answer for _ in range(2)]
    assert (1, 1) == (len(one.asked), len(other.asked))
    with busy(pace):
        found: Exchange = route.check(inquiry, timeout_s=0.1)
    failure = found.failure
    assert isinstance(failure, Failure)
    assert ("throttled", True) == (failure.code, failure.again)
    assert (1, 1) == (len(one.asked), len(other.asked))
