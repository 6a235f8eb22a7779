"""A circuit breaker per endpoint: one that gives no answer is asked by one attempt at a time.

Only silence counts: whoever answers, even with an error, is there. So the many deliveries that
wait for a dead endpoint cost one attempt each few seconds, and no threads that others need.
"""

import threading
from dataclasses import dataclass

OPENS_AFTER = 5  # attempts without any answer, one after the other
OPEN_S = 5.0


@dataclass(slots=True)
class _State:
    silent: int = 0
    closed_until: float = 0.0
    is_probed: bool = False


class Breaker:
    """What is known of endpoints; times are seconds of any steady clock."""

    def __init__(self) -> None:
        """Let everything through."""
        self._states: dict[str, _State] = {}
        self._proven: set[str] = set()
        self._lock = threading.Lock()

    def wait_s(self, endpoint: str, now: float) -> float:
        """Return how long to wait before the next attempt; 0 lets this one through."""
        with self._lock:
            state = self._states.get(endpoint)
            if state is None or state.silent < OPENS_AFTER:
                return 0.0
            if state.is_probed:
                return OPEN_S
            if now < state.closed_until:
                return state.closed_until - now
            state.is_probed = True
            return 0.0

    def is_proven(self, endpoint: str) -> bool:
        """Tell whether the last attempt was answered; False where there was none yet."""
        return endpoint in self._proven

    def heard(self, endpoint: str, now: float, *, answered: bool | None) -> None:
        """Note how an attempt ended; None where it was not made, so that the next one is."""
        with self._lock:
            if answered is None:
                if endpoint in self._states:
                    self._states[endpoint].is_probed = False
                return
            if answered:
                self._states.pop(endpoint, None)
                self._proven.add(endpoint)
                return
            self._proven.discard(endpoint)
            state = self._states.setdefault(endpoint, _State())
            state.silent += 1
            state.is_probed = False
            state.closed_until = now + OPEN_S
