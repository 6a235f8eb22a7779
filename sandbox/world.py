"""What the sandbox remembers: requests and mails it received, answers and faults put into it."""

import json
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(slots=True)
class Fault:
    """The next `times` calls on a route misbehave: `kind`, after `latency_ms`."""

    kind: str
    times: int
    latency_ms: int = 0


@dataclass(slots=True)
class Question:
    """A question in Availity's shape: who it is about, and how often it was asked after."""

    member: str
    polls: int = 0
    is_down: bool = False


@dataclass(slots=True)
class World:
    """Everything that control calls read and change. Methods are safe to call from any thread.

    With `journal`, each request and mail is also appended to that file, one JSON object a line,
    and so outlives the process.
    """

    journal: Path | None = None
    requests: list[dict[str, Any]] = field(default_factory=list)
    mails: list[dict[str, Any]] = field(default_factory=list)
    answers: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    faults: dict[str, Fault] = field(default_factory=dict)
    questions: dict[str, Question] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def received(self, request: dict[str, Any]) -> None:
        """Keep one request."""
        with self.lock:
            self.requests.append(request)
            self._note({"request": request})

    def mailed(self, mail: dict[str, Any]) -> None:
        """Keep one mail that was accepted."""
        with self.lock:
            self.mails.append(mail)
            self._note({"mail": mail})

    def next_fault(self, route: str) -> Fault | None:
        """Take one misbehaviour of a route, None if it behaves."""
        with self.lock:
            fault = self.faults.get(route)
            if fault is None or fault.times < 1:
                return None
            fault.times -= 1
            return fault

    def clear(self) -> None:
        """Go back to the start; the journal stays."""
        with self.lock:
            for kept in (self.requests, self.mails):
                kept.clear()
            self.answers.clear()
            self.faults.clear()
            self.questions.clear()

    def _note(self, entry: dict[str, Any]) -> None:
        if self.journal is not None:
            with self.journal.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")
