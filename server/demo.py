"""Starts the server, the bots and the sandbox on loopback and shows one whole check.

Each program is a child process, ended with this one. Nothing leaves the machine.
"""

import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from fhir_profiles import elements, systems
from server import settings as server_settings

START_LIMIT_S = 60.0
CHECK_LIMIT_S = 30.0
POLL_S = 0.1
ALERT_TO = "alerts@clinic.example"
_SECRETS = ("INFORCE_BOTS_HOOK_SECRET", "INFORCE_PAYLOAD_KEY")
PORTS = {"bots": 8081, "sandbox": 8082, "smtp": 8025}
_EXAMPLE = "demo-coverage-ben-okafor"


class DemoFailed(Exception):
    """The demo could not show what it promises; the message says what was missing."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the programs are: base URLs on loopback, and the environment they share."""

    server: str
    bots: str
    sandbox: str
    environment: Mapping[str, str]


def run(*, port: int, once: bool, empty: bool) -> int:
    """Run the three programs; with `once` end after one stored check, else at Ctrl-C.

    With `empty` nothing is loaded, and the database of INFORCE_DATABASE is kept, with the keys to
    it in a file beside it. Raises DemoFailed naming the step that failed.
    """
    for number in (signal.SIGINT, signal.SIGTERM):  # a job in the background ignores SIGINT
        signal.signal(number, _interrupt)
    with tempfile.TemporaryDirectory(prefix="inforce-") as folder:
        stage, ports = _stage(port, Path(folder), empty=empty)
        try:
            with _programs(stage, ports, Path(folder)):
                if empty:
                    _say(
                        f"Ready. FHIR: {stage.server}/fhir  Pages: {stage.server}/  "
                        f"Sandbox: {stage.sandbox}"
                    )
                    keys = _keys(stage.environment).resolve()
                    _say(f"keys      {keys}, for inforce-bots payload and reparse")
                else:
                    _show(stage)
                    if once:
                        _say(f"page      {stage.server}/ while `inforce demo` runs")
                        return 0
                    _say(f"open      {stage.server}/")
                _say("Ctrl-C ends it.")
                signal.pause()
        except KeyboardInterrupt:
            _say("ended")
    return 0


def _interrupt(*_args: object) -> None:
    raise KeyboardInterrupt


def _stage(port: int, folder: Path, *, empty: bool) -> tuple[Stage, dict[str, int]]:
    check_free("127.0.0.1", port)
    ports = {name: _port(preferred) for name, preferred in PORTS.items()}
    server = f"http://127.0.0.1:{port}"
    urls = {name: f"http://127.0.0.1:{ports[name]}" for name in ("bots", "sandbox")}
    given = server_settings.environment()
    if given.get("INFORCE_AUTH", "open") != "open":
        raise DemoFailed(
            "INFORCE_AUTH: this starts an open server on loopback; to start the programs behind "
            "the door, see docs/access.md"
        )
    environment = {
        **given,
        **_secrets(given, _keys(given) if empty else None),
        "INFORCE_AUTH": "open",
        "INFORCE_PUBLIC_URL": server,
        "INFORCE_ALLOW_PRIVATE_HOOKS": "true",
        "INFORCE_BOTS_FHIR_URL": f"{server}/fhir",
        "INFORCE_BOTS_PUBLIC_URL": urls["bots"],
        "INFORCE_BOTS_SANDBOX_URL": urls["sandbox"],
        "INFORCE_BOTS_SMTP": f"smtp://127.0.0.1:{ports['smtp']}",
        "INFORCE_BOTS_ALERT_TO": given.get("INFORCE_BOTS_ALERT_TO", ALERT_TO),
    }
    if not empty:
        environment["INFORCE_DATABASE"] = f"sqlite:///{folder / 'demo.db'}"
        environment["INFORCE_BOTS_ROUTES"] = "sandbox"
    return Stage(server, urls["bots"], urls["sandbox"], environment), ports


def _keys(given: Mapping[str, str]) -> Path:
    """Return the file of the keys to a database: beside it, or here where it is elsewhere."""
    url = given.get("INFORCE_DATABASE", "sqlite:///inforce.db")
    is_here = url.startswith("sqlite:///")
    return Path(url.removeprefix("sqlite:///") if is_here else "inforce.db").with_suffix(".env")


def _secrets(given: Mapping[str, str], file: Path | None) -> dict[str, str]:
    """Return the secrets of the programs: given, else from the file, else new ones, kept there.

    Without them what was sealed in the database is lost at the next start.
    """
    kept = file.read_text("utf-8").split() if file is not None and file.exists() else []
    found = dict(line.split("=", 1) for line in kept) | {
        name: given[name] for name in _SECRETS if given.get(name)
    }
    made = {name: found.get(name) or secrets.token_urlsafe(32) for name in _SECRETS}
    if file is not None and not file.exists():
        file.touch(0o600)
        file.write_text("".join(f"{name}={value}\n" for name, value in made.items()), "utf-8")
    return made


@contextmanager
def _programs(stage: Stage, ports: Mapping[str, int], folder: Path) -> Iterator[None]:
    server_port = stage.server.rpartition(":")[2]
    commands = {
        "sandbox": [
            "sandbox",
            "serve",
            "--port",
            str(ports["sandbox"]),
            "--smtp-port",
            str(ports["smtp"]),
        ],
        "server": ["server", "serve", "--port", server_port],
        "bots": ["bots", "serve", "--port", str(ports["bots"])],
    }
    children: list[subprocess.Popen[bytes]] = []
    try:
        for name, command in commands.items():
            log = folder / f"{name}.log"
            children.append(_start(command, stage.environment, log))
            _await(name, getattr(stage, name), children[-1], log)
        _command(["bots", "register"], stage.environment)
        yield
    finally:
        for child in reversed(children):
            child.terminate()
        for child in children:
            child.wait()


def _start(
    command: list[str], environment: Mapping[str, str], log: Path
) -> "subprocess.Popen[bytes]":
    with log.open("wb") as file:
        shown = None if "INFORCE_DEMO_LOG" in environment else file
        return subprocess.Popen(  # noqa: S603 our own programs, fixed arguments
            [sys.executable, "-m", *command],
            env=dict(environment),
            stdout=shown,
            stderr=shown,
            start_new_session=True,
        )


def _command(command: list[str], environment: Mapping[str, str]) -> None:
    done = subprocess.run(  # noqa: S603 our own programs, fixed arguments
        [sys.executable, "-m", *command],
        env=dict(environment),
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise DemoFailed(f"{' '.join(command)} failed: {done.stderr.strip()}")


def _await(name: str, url: str, child: "subprocess.Popen[bytes]", log: Path) -> None:
    limit = time.monotonic() + START_LIMIT_S
    while time.monotonic() < limit:
        if child.poll() is not None:
            told = log.read_text("utf-8", "replace").strip().splitlines() or ["it said nothing"]
            raise DemoFailed(f"the {name} ended at once: {told[-1]}")
        try:
            if requests.get(f"{url}/healthz", timeout=1).ok:
                return
        except requests.RequestException:
            pass
        time.sleep(POLL_S)
    raise DemoFailed(f"the {name} did not answer within {START_LIMIT_S:.0f} s")


def _show(stage: Stage) -> None:
    """Load the synthetic patients, post one more Coverage, and tell what became of it."""
    _command(["sandbox", "seed", f"{stage.server}/fhir"], stage.environment)
    _say("loaded    synthetic patients, one for each eligibility state")
    coverage = _example()
    started = time.monotonic()
    answer = requests.put(f"{stage.server}/fhir/Coverage/{_EXAMPLE}", json=coverage, timeout=10)
    if not answer.ok:
        raise DemoFailed(f"the server refused the example Coverage: HTTP {answer.status_code}")
    _say(f"posted    Coverage/{_EXAMPLE}")
    response = _await_response(stage)
    took_ms = (time.monotonic() - started) * 1000
    state = elements.tag(response, systems.ELIGIBILITY_STATE)
    _say(f"checked   270 sent, 271 read, {took_ms:.0f} ms: {state}")
    _say(f"stored    CoverageEligibilityResponse/{response['id']}: {response['disposition']}")
    mail = _await_mail(stage)
    _say(f"mailed    to {', '.join(mail['to'])}: {mail['headers']['Subject']}")


def _example() -> dict[str, Any]:
    relationship = {"system": systems.RELATIONSHIP, "code": "self"}
    return {
        "resourceType": "Coverage",
        "id": _EXAMPLE,
        "status": "active",
        "subscriberId": "INF100002",
        "beneficiary": {"reference": "Patient/ben-okafor"},
        "relationship": {"coding": [relationship]},
        "payor": [{"reference": "Organization/example-health", "display": "Example Health"}],
    }


def _await_response(stage: Stage) -> dict[str, Any]:
    address = f"{stage.server}/fhir/CoverageEligibilityResponse?coverage=Coverage/{_EXAMPLE}"
    limit = time.monotonic() + CHECK_LIMIT_S
    while time.monotonic() < limit:
        entries = requests.get(address, timeout=10).json().get("entry", [])
        if entries:
            found: dict[str, Any] = entries[0]["resource"]
            return found
        time.sleep(POLL_S / 5)
    raise DemoFailed(f"no response was stored within {CHECK_LIMIT_S:.0f} s")


def _await_mail(stage: Stage) -> dict[str, Any]:
    limit = time.monotonic() + CHECK_LIMIT_S
    while time.monotonic() < limit:
        mails: list[dict[str, Any]] = requests.get(
            f"{stage.sandbox}/_control/mails", timeout=10
        ).json()
        found = next((one for one in mails if f"/benefits/{_EXAMPLE}" in one["text"]), None)
        if found is not None:
            return found
        time.sleep(POLL_S)
    raise DemoFailed(f"no mail arrived within {CHECK_LIMIT_S:.0f} s")


def check_free(host: str, port: int) -> None:
    """Raise DemoFailed if somebody listens on the port: the server would share it silently."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise DemoFailed(f"port {port} is in use; choose another with --port") from error


def _port(preferred: int) -> int:
    """Return `preferred` if it is free on loopback, else any free port."""
    for wish in (preferred, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", wish))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise DemoFailed("no free port on loopback")


def _say(text: str) -> None:
    print(text, flush=True)
