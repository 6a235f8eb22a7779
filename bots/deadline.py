"""The time that a bot's run has: at its end it is stopped, whatever it waits for.

Python cannot end a thread from outside. So the caller is answered at the deadline, and a run that
goes on after it ends together with its process, which is started anew. Other runs in that process
are broken off as by a crash: the server sends their deliveries again, under the same id.
"""

import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context

GRACE_S = 0.5
_log = logging.getLogger(__name__)


class Overdue(Exception):
    """A run that did not end in its time."""


class Deadline:
    """Runs work, for at most `limit_s` seconds, in at most `threads` threads."""

    def __init__(self, limit_s: float, threads: int) -> None:
        """Start nothing yet."""
        self.limit_s = limit_s
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="bot")

    def run(self, work: Callable[[], None]) -> None:
        """Do `work` with the context of the caller. Raises what it raises, or Overdue."""
        run = self._pool.submit(copy_context().run, work)
        try:
            run.result(self.limit_s)
        except TimeoutError as error:
            if run.done():
                raise  # it was the run's own
            guard = threading.Timer(GRACE_S, _end, (run,))
            guard.daemon = True
            guard.start()
            raise Overdue from error


def _end(run: Future[None]) -> None:
    if not run.done():
        _log.critical("a bot that was stopped goes on: its process ends and is started anew")
        os._exit(1)
