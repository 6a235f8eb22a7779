"""Bells: how a writer wakes whoever waits for what was written."""

import os
import select
import threading
from contextlib import suppress
from pathlib import Path

_FULL = 65_536


class Local:
    """A bell within one process."""

    def __init__(self) -> None:
        """Be silent."""
        self._rung = threading.Event()

    def ring(self) -> None:
        """Wake who waits, or who will wait next."""
        self._rung.set()

    def wait(self, limit_s: float) -> bool:
        """Wait until it rings, at most that long; tell whether it did."""
        is_rung = self._rung.wait(limit_s)
        self._rung.clear()
        return is_rung


class Fifo:
    """A bell for all processes on one machine: a named pipe beside the database."""

    def __init__(self, path: Path) -> None:
        """Make the pipe if it is not there."""
        with suppress(FileExistsError):
            os.mkfifo(path, 0o600)
        # For both directions, so that neither end ever waits for the other to be there.
        self._pipe = os.open(path, os.O_RDWR | os.O_NONBLOCK)

    def ring(self) -> None:
        """Wake who waits, or who will wait next; a full pipe has rung already."""
        with suppress(BlockingIOError):
            os.write(self._pipe, b"!")

    def wait(self, limit_s: float) -> bool:
        """Wait until it rings, at most that long; tell whether it did."""
        ready, _, _ = select.select([self._pipe], [], [], limit_s)
        if ready:
            with suppress(BlockingIOError):
                os.read(self._pipe, _FULL)
        return bool(ready)

    def close(self) -> None:
        """Let go of the pipe."""
        os.close(self._pipe)
