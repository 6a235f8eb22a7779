"""The README's blocks, run as they stand, and the wheel alone in a clean environment."""

import os
import re
import signal
import socket
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
import requests

from tests.documents import BLOCK
from tests.programs import free_port, wait_for

pytestmark = pytest.mark.loopback

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = BLOCK.findall(README)
# What differs from run to run: ids, times, days, counts.
VARYING = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|\d+ \w{3} \d{4}|\d{4}-\d\d-\d\d|\d+(\.\d+)?")


TRACE = (
    "curl -s 'http://127.0.0.1:8080/fhir/CoverageEligibilityResponse?coverage=Coverage/first' "
    '| grep -o \'/trace","value":"[^"]*\' | head -1 | grep -o \'[^"]*$\''
)


def told_after(command: str) -> str:
    """Return the output block that stands after the block with this command."""
    place = next(i for i, (kind, text) in enumerate(BLOCKS) if kind == "sh" and command in text)
    return str(BLOCKS[place + 1][1])


def same(left: str, right: str) -> bool:
    """Tell whether two outputs differ in nothing but what varies."""
    return VARYING.sub("#", left.strip()) == VARYING.sub("#", right.strip())


def environment(tmp_path: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("INFORCE_", "MAKE", "MFLAGS"))}
    return {**kept, "INFORCE_DATABASE": f"sqlite:///{tmp_path / 'readme.db'}"}


def shell(script: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-eu", "-c", script], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )


def test_every_block_is_known_here() -> None:
    """A new block in the README needs a test; `make test` is what runs this one."""
    commands = [text for kind, text in BLOCKS if kind == "sh"]

    assert ["make demo ARGS=--once\n", "make test\n"] == [c for c in commands if "curl" not in c]
    assert 4 == len(commands)
    assert re.fullmatch(r"\d+ passed in [\d.]+s \([\d:]+\)\n", told_after("make test"))


def test_the_demo_does_what_the_readme_shows(tmp_path: Path) -> None:
    """Make demo ARGS=--once: exit 0 and this output; on a free port, for 8080 may be taken."""
    command = f"make --silent demo ARGS='--once --port {free_port()}'"
    done = shell(command, environment(tmp_path))

    assert 0 == done.returncode, done.stderr
    assert same(told_after("make demo"), done.stdout)


def test_posting_a_coverage_with_curl(tmp_path: Path) -> None:
    """`make run` in one terminal, the blocks in another: a coverage, then an authorization."""
    env, port = environment(tmp_path), free_port()
    blocks = [text for kind, text in BLOCKS if kind == "sh" and "curl" in text]
    with subprocess.Popen(
        ["make", "--silent", "run", f"ARGS=--port {port}"], cwd=ROOT, env=env,
        stdout=subprocess.PIPE, text=True, start_new_session=True,
    ) as running:  # fmt: skip
        try:
            assert running.stdout is not None
            ready = running.stdout.readline()
            assert ready.startswith("Ready.")
            sandbox = ready.rpartition("Sandbox: ")[2].strip()
            scripts = [
                block.replace(":8080/", f":{port}/").replace("http://127.0.0.1:8082", sandbox)
                for block in blocks
            ]
            checked, authorized = (shell(script, env) for script in scripts)
        finally:
            os.killpg(running.pid, signal.SIGINT)

    assert (0, 0) == (checked.returncode, authorized.returncode), authorized.stderr
    assert same(told_after("curl"), checked.stdout)
    assert same(told_after("Claim/first"), authorized.stdout)


def test_what_make_run_has_sealed_opens_after_a_restart(tmp_path: Path) -> None:
    """The keys are kept beside the database, for their owner alone, and read by the commands."""
    env = {**environment(tmp_path), "INFORCE_DATABASE": f"sqlite:///{tmp_path / 'kept.db'}"}
    keys = tmp_path / "kept.env"
    post = next(text for kind, text in BLOCKS if kind == "sh" and "curl" in text)
    told = []
    for command in (post, f"inforce-bots payload $({TRACE})"):
        port = free_port()
        with subprocess.Popen(
            [sys.executable, "-m", "server", "demo", "--empty", "--port", str(port)], cwd=ROOT,
            env=env, stdout=subprocess.PIPE, text=True, start_new_session=True,
        ) as running:  # fmt: skip
            try:
                assert running.stdout is not None
                assert running.stdout.readline().startswith("Ready.")
                assert str(keys) in running.stdout.readline()
                script = command.replace(":8080/", f":{port}/")
                read = f"set -a; . {keys}; INFORCE_BOTS_FHIR_URL=http://127.0.0.1:{port}/fhir"
                told.append(
                    shell(f"{read}; PATH={Path(sys.executable).parent}:$PATH; {script}", env)
                )
            finally:
                os.killpg(running.pid, signal.SIGINT)

    assert [0, 0] == [done.returncode for done in told], told[-1].stderr
    assert "ISA*00*" in told[-1].stdout
    assert [0o600, 0o600] == [one.stat().st_mode & 0o777 for one in (keys, tmp_path / "kept.db")]


def test_the_open_programs_are_not_started_behind_a_door(tmp_path: Path) -> None:
    """INFORCE_AUTH that asks for the door is not passed over in silence."""
    done = subprocess.run(
        [sys.executable, "-m", "server", "demo", "--once"], cwd=ROOT, capture_output=True,
        env={**environment(tmp_path), "INFORCE_AUTH": "smart"}, text=True, check=False,
    )  # fmt: skip

    assert 1 == done.returncode
    assert "this starts an open server on loopback" in done.stderr


def test_the_wheel_runs_alone(tmp_path: Path) -> None:
    """Built, installed in a clean environment, without the checkout: inforce demo --once."""
    build = [sys.executable, "-m", "build", "--wheel", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    listed = zipfile.ZipFile(wheel).namelist()
    names = {name.split("/")[0] for name in listed}
    fixtures = {str(one.relative_to(ROOT)) for one in (ROOT / "fixtures").rglob("*.*")}
    assert fixtures == {name[8:] for name in listed if name.startswith("sandbox/fixtures/")}
    venv.create(tmp_path / "clean", with_pip=True)
    bin_folder = tmp_path / "clean" / "bin"
    install = [str(bin_folder / "python"), "-m", "pip", "install", "--quiet", str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    done = subprocess.run(
        [bin_folder / "inforce", "demo", "--once", "--port", str(free_port())], cwd=tmp_path,
        env=environment(tmp_path), capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert {"server", "bots", "sandbox", "fhir_profiles", "inforce-0.1.0.dist-info"} == names
    assert 0 == done.returncode, done.stderr
    assert "inactive" in done.stdout


@pytest.mark.parametrize(
    "command",
    [
        ["server"], ["server", "serve"], ["server", "demo"], ["server", "migrate"],
        ["server", "doctor"], ["bots"], ["bots", "serve"], ["bots", "register"], ["bots", "run"],
        ["bots", "payload"], ["bots", "reparse"], ["bots", "sweep"], ["bots", "probe"],
        ["bots", "prior-auth-report"],
        ["bots", "import-payers"], ["server", "worker"], ["server", "load"],
        ["server", "reindex"], ["server", "client"], ["server", "client", "add"],
        ["server", "client", "list"], ["server", "client", "scope"],
        ["server", "client", "remove"], ["server", "token"], ["bots", "jwks"],
        ["sandbox"], ["sandbox", "serve"], ["sandbox", "seed"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_every_command_helps_with_an_example(command: list[str]) -> None:
    """--help, exit 0, an example."""
    done = subprocess.run(
        [sys.executable, "-m", *command, "--help"], cwd=ROOT, capture_output=True, text=True,
        check=False,
    )  # fmt: skip

    assert (0, True) == (done.returncode, "example:" in done.stdout)


@pytest.mark.parametrize(
    ("command", "env", "code", "told"),
    [
        (["server", "serve", "--host", "192.0.2.1"], {}, 2, "INFORCE_PUBLIC_URL"),
        (["server", "serve", "--host", "192.0.2.1"], {"INFORCE_AUTH": "open"}, 2, "loopback"),
        (["server", "nothing"], {}, 2, "usage"),
        (["server", "doctor"], {"INFORCE_AUTH": "open"}, 0, ""),
        (["server", "doctor"], {}, 0, "no program may call yet"),
        (["server", "serve", "--port", "99999"], {}, 2, "expected a port"),
        (["bots", "run", "check-eligibility", "Coverage/1"], {"INFORCE_BOTS_HOOK_SECRET": "x" * 32},
         2, "handles CoverageEligibilityRequest/id"),
        (["server", "migrate"], {}, 0, ""),
        (["server", "doctor"], {"INFORCE_AUTH": "open", "INFORCE_DATABASE": "mysql://x"}, 2,
         "sqlite:///"),
        (["server", "migrate"], {"INFORCE_DATABASE": "sqlite:////no/such/x.db"}, 2, "cannot open"),
        (["bots", "serve"], {}, 2, "INFORCE_BOTS_HOOK_SECRET"),
        (["bots", "serve"], {"INFORCE_BOTS_HOOK_SECRET": "short"}, 2, "at least 32"),
        (["bots", "reparse"], {"INFORCE_BOTS_HOOK_SECRET": "x" * 32, "INFORCE_PAYLOAD_KEY": "x"},
         2, "INFORCE_PAYLOAD_KEY"),
        (["bots", "register"], {"INFORCE_BOTS_HOOK_SECRET": "x" * 32, "INFORCE_BOTS_FHIR_URL":
                                "http://127.0.0.1:1/fhir"}, 1, "FHIR server"),
    ],
)  # fmt: skip
def test_exit_codes(
    tmp_path: Path, command: list[str], env: dict[str, str], code: int, told: str
) -> None:
    """0 done, 1 failed, 2 wrong use; the reason on stderr, with the next step."""
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=tmp_path, capture_output=True, text=True,
        check=False, env={**environment(tmp_path), "PYTHONPATH": str(ROOT), **env},
    )  # fmt: skip

    assert code == done.returncode, done.stderr
    assert told in done.stderr


def test_secrets_are_generated() -> None:
    """`inforce doctor --generate` prints new ones each time."""
    command = [sys.executable, "-m", "server", "doctor", "--generate"]
    texts = [
        subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]

    assert "INFORCE_BOTS_HOOK_SECRET=" in texts[0]
    assert texts[0] != texts[1]


@pytest.mark.parametrize(
    "command", [["server", "demo", "--once"], ["server", "serve"], ["bots", "serve"]], ids=" ".join
)
def test_a_busy_port_is_said(tmp_path: Path, command: list[str]) -> None:
    """Not a second server on the same port, nor a stack trace: which port, and what to do."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        env = {**environment(tmp_path), "PYTHONPATH": str(ROOT), "INFORCE_AUTH": "open",
               "INFORCE_BOTS_HOOK_SECRET": "x" * 32}  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-m", *command, "--port", str(port)], cwd=tmp_path, env=env,
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    assert 1 == done.returncode
    assert f"port {port} is in use; choose another with --port\n" in done.stderr


def test_a_program_ends_with_its_supervisor(tmp_path: Path) -> None:
    """Kill -9 of the parent alone leaves no worker behind on the port."""
    port = free_port()
    child = subprocess.Popen(
        [sys.executable, "-m", "server", "serve", "--port", str(port)], cwd=ROOT,
        env={**environment(tmp_path), "INFORCE_AUTH": "open"}, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip

    def answers() -> bool:
        try:
            return requests.get(f"http://127.0.0.1:{port}/healthz", timeout=2).ok
        except requests.RequestException:
            return False

    wait_for(answers, "the server answers")
    os.kill(child.pid, signal.SIGKILL)
    child.wait()

    wait_for(lambda: not answers(), "the port is free")
