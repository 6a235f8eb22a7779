"""The three real programs on loopback, each a process group of its own that can be killed."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

import requests

from tests import receiver

ROOT = Path(__file__).parent.parent
START_LIMIT_S = 60.0
WAIT_S = 30.0
RECEIVERS = ("receiver", "stranger")
PAUSE_S = 0.02
SAMPLE_MEMBER = "INF100001"  # whom the 271s of tests are about
T = TypeVar("T")


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(look: Callable[[], T | None], what: str, limit_s: float = WAIT_S) -> T:
    """Return what `look` finds, asking again until it is true or the limit is over."""
    pause = threading.Event()
    limit = time.monotonic() + limit_s
    while time.monotonic() < limit:
        found = look()
        if found:
            return found
        pause.wait(PAUSE_S)
    raise AssertionError(f"not within {limit_s:.0f} s: {what}")


class Programs:
    """Server, bots and sandbox, with their data in `folder`."""

    def __init__(
        self,
        folder: Path,
        database: str = "",
        settings: Mapping[str, str] | None = None,
        serve: Sequence[str] = (),
    ) -> None:
        """Choose ports; nothing runs yet.

        `database` is a URL, by default of a SQLite file in `folder`; `settings` are added to the
        environment, `serve` to the server's command.
        """
        self._serve = serve
        names = ("server", "bots", "sandbox", "smtp", "receiver", "stranger")
        self.ports = {name: free_port() for name in names}
        self.server = f"http://127.0.0.1:{self.ports['server']}"
        self.fhir = f"{self.server}/fhir"
        self.bots = f"http://127.0.0.1:{self.ports['bots']}"
        self.sandbox = f"http://127.0.0.1:{self.ports['sandbox']}"
        self.receiver = f"http://127.0.0.1:{self.ports['receiver']}"
        self.stranger = f"http://127.0.0.1:{self.ports['stranger']}"
        self.journal = folder / "received.jsonl"
        self.deliveries = folder / "deliveries.jsonl"
        self.secret = secrets.token_urlsafe(32)
        self.logs = folder
        kept = {k: v for k, v in os.environ.items() if not k.startswith("INFORCE_")}
        self.environment = {
            **kept,
            "INFORCE_AUTH": "open",
            "INFORCE_ALLOW_PRIVATE_HOOKS": "true",
            "INFORCE_DATABASE": database or f"sqlite:///{folder / 'inforce.db'}",
            "INFORCE_PUBLIC_URL": self.server,
            "INFORCE_BOTS_FHIR_URL": self.fhir,
            "INFORCE_BOTS_PUBLIC_URL": self.bots,
            "INFORCE_BOTS_SANDBOX_URL": self.sandbox,
            "INFORCE_BOTS_SMTP": f"smtp://127.0.0.1:{self.ports['smtp']}",
            "INFORCE_BOTS_ALERT_TO": "desk@clinic.example",
            "INFORCE_BOTS_HOOK_SECRET": self.secret,
            "INFORCE_BOTS_SWEEP": "off",
            **(settings or {}),
        }
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self.authorization: dict[str, str] = {}  # headers that let a test in at the server

    @contextmanager
    def running(self, *resources: dict[str, Any]) -> Iterator[Self]:
        """Run sandbox, server and bots, with these resources stored, until the block ends."""
        try:
            self.start("sandbox", "server", "bots")
            self.register()
            for resource in resources:
                assert self.put(resource).ok
            yield self
        finally:
            self.stop()

    def start(self, *names: str) -> None:
        """Start programs by name and wait until each answers.

        Beside server, bots and sandbox there are `receiver`, which takes deliveries, `stranger`,
        which does and is asked by nobody what came, and `worker`, which may have a number behind
        it.
        """
        for name in names:
            with (self.logs / f"{name}.log").open("ab") as log:
                self._running[name] = subprocess.Popen(
                    [sys.executable, "-m", *self._command(name)], env=self.environment,
                    stdout=log, stderr=log, start_new_session=True, cwd=ROOT,
                )  # fmt: skip
        for name in names:
            wait_for(partial(self._answers, name), f"{name} answers", START_LIMIT_S)

    def _command(self, name: str) -> list[str]:
        if name.startswith("worker"):
            return ["server", "worker"]
        if name in RECEIVERS:
            journal = self.deliveries if name == "receiver" else os.devnull
            return ["tests.receiver", str(self.ports[name]), str(journal)]
        command = [name, "serve", "--port", str(self.ports[name])]
        if name == "sandbox":
            command += ["--smtp-port", str(self.ports["smtp"]), "--journal", str(self.journal)]
        if name == "server":
            command += self._serve
        return command

    def _answers(self, name: str) -> bool:
        assert self._running[name].poll() is None, f"{name} ended; see {self.logs / name}.log"
        if name.startswith("worker"):
            return "delivering" in (self.logs / f"{name}.log").read_text("utf-8")
        if name in RECEIVERS:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.ports[name])) == 0
        try:
            return requests.get(f"{getattr(self, name)}/healthz", timeout=2).ok
        except requests.RequestException:
            return False

    def run(self, *command: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run one command of the programs to its end, with other settings where they are given."""
        return subprocess.run(
            [sys.executable, "-m", *command], env={**self.environment, **settings},
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    def register(self) -> None:
        """Write the bots' Subscriptions."""
        done = self.run("bots", "register")
        assert 0 == done.returncode, done.stderr

    def kill(self, name: str) -> None:
        """End a program at once, as kill -9 does, with all its processes."""
        child = self._running.pop(name)
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()

    def process(self, name: str) -> int:
        """Return the process id of a running program."""
        return self._running[name].pid

    def stop(self) -> None:
        """End all programs."""
        for child in self._running.values():
            child.terminate()
        for child in self._running.values():
            child.wait()
        self._running.clear()

    # What tests say to the programs, and ask them.

    def received(self, path: str = "") -> list[receiver.Got]:
        """Return the deliveries that came to a path of the receiver, or to any."""
        found = receiver.read(self.deliveries)
        return [got for got in found if not path or got.path == path]

    def put(self, resource: dict[str, Any], **headers: str) -> requests.Response:
        """PUT a resource under its id."""
        address = f"{self.fhir}/{resource['resourceType']}/{resource['id']}"
        headers |= self.authorization
        return requests.put(address, json=resource, headers=headers, timeout=20)

    def search(self, query: str) -> list[dict[str, Any]]:
        """Return the matches of a search."""
        answer = requests.get(f"{self.fhir}/{query}", headers=self.authorization, timeout=20)
        assert answer.ok, answer.text
        return [entry["resource"] for entry in answer.json().get("entry", [])]

    def one(self, query: str, limit_s: float = WAIT_S) -> dict[str, Any]:
        """Wait for the first match of a search."""
        return wait_for(lambda: self.search(query), query, limit_s)[0]

    def answer(self, member_id: str, x12: str) -> None:
        """Let the sandbox answer checks of a member with these bytes, about that member."""
        x12 = x12.replace(SAMPLE_MEMBER, member_id)
        put = requests.put(
            f"{self.sandbox}/_control/eligibility/{member_id}", data=x12.encode(),
            headers={"Content-Type": "application/edi-x12"}, timeout=20,
        )  # fmt: skip
        assert put.ok, put.text

    def fault(self, **fault: Any) -> None:
        """Let the sandbox misbehave, once nothing else is under way that would take the fault."""
        self.settled()
        put = requests.put(f"{self.sandbox}/_control/faults", json=fault, timeout=20)
        assert put.ok, put.text

    def asked(self, member_id: str) -> list[str]:
        """Return the 270s that the clearinghouse got about a member."""
        found = requests.get(f"{self.sandbox}/_control/requests", timeout=20).json()
        return [r["x12"] for r in found if f"*MI*{member_id}~" in r["x12"]]

    def mails(self, coverage_id: str) -> list[dict[str, Any]]:
        """Return the mails that link to a coverage."""
        found = requests.get(f"{self.sandbox}/_control/mails", timeout=20).json()
        link = f"{self.server}/benefits/{coverage_id}"
        return [m for m in found if link in m["text"].splitlines()]

    def settled(self) -> None:
        """Wait until no delivery is due: nothing more will happen by itself."""
        wait_for(
            lambda: (
                "deliveries waiting: 0" in requests.get(f"{self.server}/readyz", timeout=5).text
            ),
            "no delivery waits",
        )
