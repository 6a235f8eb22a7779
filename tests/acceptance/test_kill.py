"""kill -9 of any program at any moment of a check: one response, one mail, nothing lost."""

import random
import re
import secrets
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests

from bots.connectors import wire
from fhir_profiles import codec, elements, systems
from tests import samples
from tests.programs import ROOT, Programs, wait_for

pytestmark = pytest.mark.loopback

KILLS = 21
WINDOW_S = 0.15  # a whole check, mail included, takes less than this
# A second attempt may have to wait for the second step of the delivery schedule.
# A payer that dies half through its answer is asked again after 90 s at the earliest (CORE 153).
LIMIT_S = wire.NO_RESEND_S + 30.0
TAKES_S = timedelta(seconds=0.1)  # from the decision to kill to the death
INACTIVE_MEMBER = "INF100002"  # a member of the fixtures, so that a restarted sandbox knows it


@pytest.fixture(scope="module")
def programs(
    tmp_path_factory: pytest.TempPathFactory, new_database: Callable[[], str]
) -> Iterator[Programs]:
    started = Programs(tmp_path_factory.mktemp("killed"), new_database())
    ben = samples.patient(name=[{"family": "Okafor", "given": ["Ben"]}], birthDate="1979-08-30")
    with started.running(samples.clinic(), samples.payer(), ben):
        yield started


def post_until_taken(programs: Programs, coverage_id: str) -> None:
    """PUT the Coverage as an EHR does: again until it is acknowledged."""
    coverage = samples.coverage(coverage_id, subscriberId=INACTIVE_MEMBER)

    def put() -> bool:
        try:
            return programs.put(coverage).ok
        except requests.RequestException:
            return False

    wait_for(put, "the coverage is acknowledged", LIMIT_S)


def received(programs: Programs) -> list[dict[str, dict[str, str]]]:
    lines = programs.journal.read_bytes().splitlines() if programs.journal.exists() else []
    return [codec.decode(line) for line in lines]


@pytest.mark.parametrize(
    ("victim", "number"),
    [(("server", "bots", "sandbox")[n % 3], n) for n in range(KILLS)],
)
def test_a_kill_loses_and_doubles_nothing(programs: Programs, victim: str, number: int) -> None:
    """Exactly one response, at most one extra 270, one mail (or one more with the same id)."""
    seed = secrets.randbelow(10**6)
    delay_s = random.Random(seed).uniform(0, WINDOW_S)  # noqa: S311 no secret
    print(f"kill {number}: {victim} after {delay_s * 1000:.0f} ms (seed {seed})")
    coverage_id = f"killed-{number}"
    poster = threading.Thread(target=post_until_taken, args=(programs, coverage_id))
    poster.start()
    threading.Event().wait(delay_s)
    killed_at = datetime.now(UTC)
    programs.kill(victim)
    programs.start(victim)
    poster.join()

    query = f"?coverage=Coverage/{coverage_id}"
    response = wait_for(
        lambda: [
            r for r in programs.search(f"CoverageEligibilityResponse{query}")
            if elements.tag(r, systems.ELIGIBILITY_STATE) == "inactive"
        ],
        "the answer", LIMIT_S,
    )[0]  # fmt: skip
    about = f"CoverageEligibilityResponse/{response['id']}"
    wait_for(
        lambda: [
            c for c in programs.search("Communication?_count=1000")
            if c["status"] == "completed" and {"reference": about} in c["about"]
        ],
        "the mail is recorded", LIMIT_S,
    )  # fmt: skip
    wait_for(lambda: _is_quiet(programs), "nothing waits", LIMIT_S)

    trace = elements.identifier(response, systems.TRACE)
    noted = received(programs)
    asked = [n for n in noted if "request" in n and trace in n["request"]["x12"]]
    mails = [n["mail"] for n in noted if "mail" in n and f"/{coverage_id}\n" in n["mail"]["text"]
             .replace("\r\n", "\n")]  # fmt: skip
    assert 1 == len(programs.search(f"CoverageEligibilityResponse{query}"))
    assert 1 == len(programs.search(f"CoverageEligibilityRequest{query}"))
    assert 1 <= len(asked) <= 2
    assert len(mails) == 1 or _fell_between(mails, killed_at, victim)
    assert 1 == len({mail["headers"]["Message-ID"] for mail in mails})  # type: ignore[index]  # a mapping


def _fell_between(mails: list[dict[str, str]], killed_at: datetime, victim: str) -> bool:
    """Tell whether a second mail is the one that a crash may cost.

    The relay had taken the first before the kill, and bots or server died before its record.
    """
    first, *more = (datetime.fromisoformat(mail["received"]) for mail in mails)
    return victim in ("bots", "server") and first <= killed_at + TAKES_S and len(more) == 1


def _is_quiet(programs: Programs) -> bool:
    text = requests.get(f"{programs.server}/readyz", timeout=5).text
    found = re.search(r"deliveries waiting: (\d+)", text)
    return found is not None and found[1] == "0"


@pytest.mark.req("check-26")
def test_what_was_written_is_delivered_after_a_kill(programs: Programs) -> None:
    """The server dies between write and delivery; the hook hears of it after the restart."""
    programs.kill("bots")

    coverage_id = "outbox"
    post_until_taken(programs, coverage_id)
    programs.kill("server")
    programs.start("server")
    programs.start("bots")

    programs.one(f"CoverageEligibilityResponse?coverage=Coverage/{coverage_id}", LIMIT_S)


@pytest.mark.req("check-26 SUBT-31")
def test_what_was_rolled_back_is_told_to_nobody(programs: Programs) -> None:
    """A transaction with one bad entry: nothing stored, nothing asked."""
    wait_for(lambda: _is_quiet(programs), "the mail of an earlier test", LIMIT_S)
    before = len(received(programs))
    good = samples.coverage("rolled-back", subscriberId=INACTIVE_MEMBER)
    entries = [
        {"resource": good, "request": {"method": "PUT", "url": "Coverage/rolled-back"}},
        {"resource": samples.patient("p"), "request": {
            "method": "PUT", "url": "Patient/p", "ifMatch": 'W/"99"'}},
    ]  # fmt: skip
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    answer = requests.post(programs.fhir, json=bundle, timeout=9)

    assert 412 == answer.status_code
    wait_for(lambda: _is_quiet(programs), "nothing waits")
    assert [] == programs.search("Coverage?_id=rolled-back")
    assert before == len(received(programs))


@pytest.mark.parametrize("name", ["server", "bots"])
def test_a_program_that_has_just_begun_can_be_ended(tmp_path: Path, name: str) -> None:
    """SIGTERM while it starts: nothing goes on with old settings, and holds the port."""
    programs = Programs(tmp_path)
    pause = threading.Event()
    for wait_s in (0.1, 0.25, 0.4):
        with (tmp_path / "begun.log").open("w+b") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", name, "serve", "--port", str(programs.ports[name])],
                env=programs.environment, stderr=log, start_new_session=True, cwd=ROOT,
            )  # fmt: skip
            wait_for(lambda: b"://" in (tmp_path / "begun.log").read_bytes(), "it begins")
            pause.wait(wait_s)
            child.terminate()
            child.wait(10)
