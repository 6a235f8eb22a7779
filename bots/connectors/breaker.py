"""A circuit breaker per route and payer: one that keeps failing is left alone for a while.

Opens after OPENS_AFTER failures in WINDOW_S without an answer between them; after OPEN_S one
question is let through, and its answer closes it.
"""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

OPENS_AFTER, WINDOW_S, OPEN_S = 5, 60.0, 30.0


@dataclass(slots=True)
class _State:
    failures: deque[float] = field(default_factory=lambda: deque(maxlen=OPENS_AFTER))
    closed_until: float = 0.0


class Breaker:
    """What is known of routes; `now` gives the seconds of a steady clock."""

    def __init__(self, now: Callable[[], float]) -> None:
        """Let everything through."""
        self._now = now
        self._states: dict[tuple[str, str], _State] = {}
        self._lock = threading.Lock()

    def wait_s(self, route: str, payer: str) -> float:
        """Return how long to leave a payer alone on a route; 0 lets this question through.

        When the time is up, one question goes through, and the next ones wait for what it meets.
        """
        with self._lock:
            state = self._states.get((route, payer))
            if state is None or not state.closed_until:
                return 0.0
            now = self._now()
            if now < state.closed_until:
                return state.closed_until - now
            state.closed_until = now + OPEN_S
            return 0.0

    def heard(self, route: str, payer: str, *, failed: bool) -> None:
        """Note how a question ended."""
        with self._lock:
            if not failed:
                self._states.pop((route, payer), None)
                return
            now = self._now()
            state = self._states.setdefault((route, payer), _State())
            state.failures.append(now)
            is_full = len(state.failures) == OPENS_AFTER
            if state.closed_until or (is_full and now - state.failures[0] <= WINDOW_S):
                state.closed_until = now + OPEN_S
