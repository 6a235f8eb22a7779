"""What one process of a database does again and again: jobs, and the signals of Subscriptions."""

import logging
import threading
from collections.abc import Callable

from server.errors import log_fault
from server.store.database import Database

_log = logging.getLogger(__name__)


class Turns:
    """A thread that takes turns while its process leads, of all that work on one database."""

    def __init__(
        self, database: Database, what: str, turn: Callable[[], None], pause_s: float
    ) -> None:
        """Do nothing before start(); `what` names it, for the lead and the log."""
        self._database = database
        self._what = what
        self._turn = turn
        self._pause_s = pause_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=what, daemon=True)

    def start(self) -> None:
        """Begin, as soon as no other process leads."""
        self._thread.start()

    def stop(self) -> None:
        """Take no more turns and wait for the one under way."""
        self._stop.set()
        self._thread.join()

    def wait(self, seconds: float) -> bool:
        """Pause within a turn; tell whether to stop."""
        return self._stop.wait(seconds)

    def _run(self) -> None:
        while not self._stop.is_set():
            with self._database.lead(self._what, self._stop.wait) as leads:
                while leads() and not self._stop.wait(self._pause_s):
                    self._take()

    def _take(self) -> None:
        try:
            self._turn()
        except Exception as error:  # noqa: BLE001 the loop outlives a full disk or a database that is away
            log_fault(_log, f"turn of {self._what} failed", error)
