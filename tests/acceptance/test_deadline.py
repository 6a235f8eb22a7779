"""A bot beyond its time is stopped, audited, and its delivery comes again."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import pytest

from tests import samples
from tests.programs import Programs, wait_for

pytestmark = pytest.mark.loopback

LIMIT_S = 1
PAYER_MS = 60_000  # far longer than the test waits


@pytest.fixture(scope="module")
def programs(
    tmp_path_factory: pytest.TempPathFactory, new_database: Callable[[], str]
) -> Iterator[Programs]:
    settings = {"INFORCE_BOTS_TIMEOUT": str(LIMIT_S)}
    started = Programs(tmp_path_factory.mktemp("deadline"), new_database(), settings)
    with started.running(samples.clinic(), samples.payer(), samples.patient()):
        yield started


@pytest.mark.req("check-33")
def test_a_bot_that_waits_for_a_payer_is_stopped(programs: Programs) -> None:
    """Stopped and audited within its time and a second; the next attempt answers."""
    programs.fault(route="primary", kind="none", times=1, latency_ms=PAYER_MS)
    assert programs.put(samples.coverage("waits")).ok

    told = programs.one(
        "AuditEvent?outcome=4&entity=Subscription/inforce-check-eligibility", LIMIT_S * 10
    )
    assert f"check-eligibility: stopped after {LIMIT_S} s" in told["outcomeDesc"]
    took = datetime.fromisoformat(told["period"]["end"]) - datetime.fromisoformat(
        told["period"]["start"]
    )
    assert timedelta(seconds=LIMIT_S) <= took < timedelta(seconds=LIMIT_S + 1)
    log = programs.logs / "bots.log"
    wait_for(lambda: "its process ends" in log.read_text("utf-8"), "the bot is ended", 1.0)
    answer = programs.one("CoverageEligibilityResponse?request:missing=false")
    assert "complete" == answer["outcome"]
