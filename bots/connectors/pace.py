"""How fast and how many at once: the limits that routes, payers and providers set us.

A route has a rate; a payer and a provider have a number of questions in flight, of which those that
nobody waits for may hold SHARE at most: a batch never keeps a person from asking.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

SHARE = 0.75


class Full(Exception):
    """There was no room within the time; `after_s` is a wait after which there may be."""

    def __init__(self, what: str, after_s: float) -> None:
        """Say of what there is too much."""
        super().__init__(what)
        self.after_s = after_s


class Pace:
    """The limits of one process; `now` gives the seconds of a steady clock."""

    def __init__(
        self, rates: Mapping[str, float], in_flight: int, now: Callable[[], float]
    ) -> None:
        """Take questions per second by route, and how many at once; 0 is without a limit."""
        self._rates = rates
        self._limit = in_flight
        self._now = now
        self._next: dict[str, float] = {}
        self._running: Counter[str] = Counter()
        self._room = threading.Condition()

    @contextmanager
    def turn(self, keys: tuple[str, ...], *, background: bool, wait_s: float) -> Iterator[None]:
        """Hold a place for each key. Raises Full where there is none within `wait_s`."""
        limit = max(1, int(self._limit * SHARE)) if background else self._limit
        with self._room:
            there = self._room.wait_for(
                lambda: not self._limit or all(self._running[key] < limit for key in keys),
                timeout=wait_s,
            )
            if not there:
                raise Full("the payer or the provider has as many questions as it may", wait_s)
            self._running.update(keys)
        try:
            yield
        finally:
            with self._room:
                self._running.subtract(keys)
                self._room.notify_all()

    def slot_s(self, route: str, *, within_s: float) -> float:
        """Return how long to wait before the next question by a route, which is counted as sent.

        Raises Full, and counts nothing, where that is longer than `within_s`.
        """
        rate = self._rates.get(route, 0.0)
        if not rate:
            return 0.0
        with self._room:
            now = self._now()
            start = max(self._next.get(route, 0.0), now)
            if start - now > within_s:
                raise Full("the route has as many questions as it may", start - now)
            self._next[route] = start + 1 / rate
            return start - now
