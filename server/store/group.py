"""Group commit: work that waits to be written shares the next transaction and its commit.

Measured: of what a create costs a SQLite file, the commit is four fifths; of what it costs a server
on PostgreSQL, a third is opening and ending its transaction. Whoever comes first leads: it does the
work of all who wait by then, commits once, and hands on to the next who waits. Where that fails,
all of it is undone, and each is done alone.
"""

import threading
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from server.store.connection import Connection, Contention

T = TypeVar("T")
Open = Callable[[], AbstractContextManager[Connection]]


class _Work:
    """What one thread wants done, and what came of it."""

    __slots__ = ("do", "error", "is_done", "result", "turn")

    def __init__(self, do: Callable[[Connection], Any]) -> None:
        self.do = do
        self.result: Any = None
        self.error: BaseException | None = None
        self.is_done = False
        self.turn = threading.Lock()  # let go when the work is done, or to lead
        self.turn.acquire()


class Group:
    """The threads of one process that write to one database."""

    def __init__(self, write: Open) -> None:
        """`write` opens a transaction."""
        self._write = write
        self._gate = threading.Lock()
        self._waiting: deque[_Work] = deque()

    def transact(self, do: Callable[[Connection], T]) -> T:
        """Do it in a transaction, committed when this returns; undone where it raises."""
        mine = _Work(do)
        with self._gate:
            self._waiting.append(mine)
            leads = len(self._waiting) == 1
        broken = None if leads else _wait(mine)
        if not mine.is_done:
            self._lead()
        if broken is not None:
            raise broken
        if mine.error is not None:
            raise mine.error
        result: T = mine.result
        return result

    def _lead(self) -> None:
        """Do the work of all who wait, the first of them being the caller."""
        group: list[_Work] = []
        is_ending = False
        try:
            with self._write() as connection:
                group = list(self._waiting)
                for work in group:
                    work.result = work.do(connection)
                is_ending = True
        except BaseException as error:  # noqa: BLE001 it is raised where it waits
            # A commit whose answer was lost may have been one: nothing is done again after it,
            # unless the database itself has said that it undid all.
            if len(group) > 1 and (not is_ending or isinstance(error, Contention)):
                self._one_by_one(group)
            else:
                group = group or list(self._waiting)  # a database that is away is so for all
                for work in group:
                    work.error = error
        self._end(group)

    def _one_by_one(self, group: list[_Work]) -> None:
        away: BaseException | None = None
        for work in group:
            work.error = away
            is_open = False
            try:
                if away is None:
                    with self._write() as connection:
                        is_open = True
                        work.result = work.do(connection)
            except BaseException as error:  # noqa: BLE001 it is raised where it waits
                work.error = error
                away = None if is_open else error

    def _end(self, group: list[_Work]) -> None:
        with self._gate:
            for _ in group:
                self._waiting.popleft()
            following = self._waiting[0] if self._waiting else None
        for work in group:
            work.is_done = True
        if following is not None:
            following.turn.release()
        for work in group[1:]:
            work.turn.release()


def _wait(work: _Work) -> BaseException | None:
    """Wait for one's turn, even when told to break off: others may wait for what follows it."""
    broken = None
    while True:
        try:
            work.turn.acquire()
        except BaseException as error:  # noqa: BLE001 it is raised when the turn is over
            broken = error
        else:
            return broken
