"""The bots against a FHIR R4 server that is not ours: they need plain R4 and nothing else.

The server carries no Subscriptions, so each notification is delivered by hand, as its
channel.header would have it.
"""

import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from fhir_profiles import elements, systems
from tests import node_tools, samples
from tests.programs import Programs, free_port, wait_for
from tests.x12_texts import answer_271, file_271

pytestmark = [pytest.mark.loopback, pytest.mark.node]


class Elsewhere:
    """The other server, and hooks called by hand."""

    def __init__(self, base: str, programs: Programs) -> None:
        self.base = base
        self.programs = programs

    def put(self, resource: dict[str, Any]) -> dict[str, Any]:
        address = f"{self.base}/{resource['resourceType']}/{resource['id']}"
        answer = requests.put(address, json=resource, timeout=20)
        assert answer.ok, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def all(self, query: str) -> list[dict[str, Any]]:
        found = requests.get(f"{self.base}/{query}", timeout=20).json()
        return [entry["resource"] for entry in found.get("entry", [])]

    def notify(self, bot: str, resource: dict[str, Any]) -> int:
        headers = {"Authorization": f"Bearer {self.programs.secret}"}
        hook = f"{self.programs.bots}/hooks/{bot}"
        return requests.post(hook, json=resource, headers=headers, timeout=60).status_code

    def check(self, coverage: dict[str, Any]) -> dict[str, Any]:
        """Deliver a coverage and then its request; return the newest response of the patient."""
        assert 200 == self.notify("request-eligibility", coverage)
        patient = coverage["beneficiary"]["reference"]
        asked = self.all(f"CoverageEligibilityRequest?patient={patient}")
        for request in asked:
            assert 200 == self.notify("check-eligibility", request)
        return self.all(f"CoverageEligibilityResponse?patient={patient}")[-1]


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Elsewhere]:
    node_tools.packages()
    port = free_port()
    base = f"http://127.0.0.1:{port}/fhir"
    programs = Programs(tmp_path_factory.mktemp("second"), settings={"INFORCE_BOTS_FHIR_URL": base})
    server = subprocess.Popen([node_tools.NODE, node_tools.FOLDER / "second_server.mjs", str(port)])

    def answers() -> bool:
        try:
            return requests.get(f"{base}/Patient", timeout=2).ok
        except requests.RequestException:
            return False

    try:
        wait_for(answers, "the second server answers", 60)
        programs.start("sandbox", "bots")
        there = Elsewhere(base, programs)
        for resource in (samples.clinic(), samples.payer()):
            there.put(resource)
        yield there
    finally:
        programs.stop()
        server.terminate()
        server.wait()


def person(there: Elsewhere, name: str) -> dict[str, Any]:
    """Store a patient and the coverage of that patient; return the coverage as stored."""
    there.put(samples.patient(name))
    return there.put(
        samples.coverage(
            f"coverage-{name}", subscriberId=f"SECOND-{name.upper()}",
            beneficiary={"reference": f"Patient/{name}"},
        )
    )  # fmt: skip


def test_a_coverage_becomes_an_answer(elsewhere: Elsewhere) -> None:
    """The same path, the same response, the mark on the Coverage."""
    elsewhere.programs.answer("SECONDANA", file_271("active-ppo"))
    response = elsewhere.check(person(elsewhere, "ana"))

    assert (True, "complete", "active") == (
        response["insurance"][0]["inforce"], response["outcome"],
        elements.tag(response, systems.ELIGIBILITY_STATE))  # fmt: skip
    (coverage,) = elsewhere.all("Coverage?_id=coverage-ana")
    assert list(elements.extensions(coverage, systems.EXT_COVERAGE_STATE))


def test_an_inactive_plan_becomes_one_mail(elsewhere: Elsewhere) -> None:
    """Delivered twice, mailed once."""
    elsewhere.programs.answer("SECONDBEN", answer_271("EB*6**30"))
    response = elsewhere.check(person(elsewhere, "ben"))
    for _ in range(2):
        assert 200 == elsewhere.notify("alert-inactive", response)

    assert 1 == len(elsewhere.programs.mails("coverage-ben"))
    (message,) = elsewhere.all("Communication?subject=Patient/ben")
    assert "completed" == message["status"]


def test_only_changes_that_matter_ask_again(elsewhere: Elsewhere) -> None:
    """By the history of a server whose version ids are no numbers."""
    elsewhere.programs.answer("SECONDCAT", answer_271("EB*1**30"))
    coverage = person(elsewhere, "cat")
    elsewhere.check(coverage)
    del coverage["meta"]
    noted = elsewhere.put({**coverage, "network": "north"})
    assert 200 == elsewhere.notify("request-eligibility", noted)
    assert 1 == len(elsewhere.all("CoverageEligibilityRequest?patient=Patient/cat"))

    changed = elsewhere.put({**coverage, "period": {"start": "2026-02-01"}})
    assert 200 == elsewhere.notify("request-eligibility", changed)
    assert 2 == len(elsewhere.all("CoverageEligibilityRequest?patient=Patient/cat"))


def test_a_hook_without_the_secret_is_refused(elsewhere: Elsewhere) -> None:
    """401, and nothing happens."""
    hook = f"{elsewhere.programs.bots}/hooks/request-eligibility"

    assert 401 == requests.post(hook, json=samples.coverage(), timeout=9).status_code
