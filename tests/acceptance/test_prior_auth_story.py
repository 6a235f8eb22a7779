"""The whole story of a prior authorization over the real programs, from the order to its end."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from fhir_profiles import elements, pas, prior_auth, systems
from tests import pas as given
from tests.acceptance.test_prior_auth import endpoint, payer
from tests.contract.payer import actions, of_code, response_of
from tests.programs import Programs, wait_for
from tests.x12_texts import answer_271

pytestmark = pytest.mark.loopback
Resource = dict[str, Any]


def task(programs: Programs, claim_id: str) -> Resource:
    (found,) = programs.search(f"Task?focus=Claim/{claim_id}")
    return found


def submit(programs: Programs, claim: Resource) -> dict[int, str]:
    assert programs.put(claim).ok
    reply = requests.post(f"{programs.fhir}/Claim/{claim['id']}/$submit", timeout=30)
    assert 200 == reply.status_code, reply.text
    return actions(response_of(reply.json()))


def update_of(before: Resource, fhir_id: str, *items: Resource) -> Resource:
    prior = {
        "claim": {"reference": f"Claim/{before['id']}"},
        "relationship": given.coded(pas.RELATED, "prior"),
    }
    identifier = {**before["identifier"][0], "value": f"PA-{fhir_id}"}
    return {
        **before,
        "id": fhir_id,
        "related": [prior],
        "identifier": [identifier],
        "item": [*items],
    }


@pytest.mark.req("R003-10 R66")
def test_from_the_order_to_the_cancellation(
    tmp_path: Path, new_database: Callable[[], str]
) -> None:
    """Order, requirement in the 271, submit, pended, told, approved in part, updated, cancelled."""
    programs = Programs(tmp_path, new_database())
    with programs.running(*given.world(payer(), endpoint(programs))):
        # The payer says that therapy needs an authorization.
        programs.answer("INF100001", answer_271("EB*1**30", "EB*1**PT********Y"))
        programs.put(given.coverage(period={"start": "2026-01-01"}))
        wait_for(lambda: required(programs), "the requirement")

        # The request is pended, and the payer's answer comes later.
        decision = {
            "items": [{"sequence": 1, "code": "A1"}, {"sequence": 2, "code": "A3", "note": "No."}],
            "after_s": 1,
        }
        requests.put(f"{programs.sandbox}/_control/decisions/PA-first", json=decision, timeout=9)
        first = of_code("97110", "97110", fhir_id="first")
        assert {1: "A4", 2: "A4"} == submit(programs, first)
        assert "pended" == prior_auth.status(task(programs, "first"))
        assert task(programs, "first")["restriction"]["period"]["end"]
        wait_for(lambda: prior_auth.status(task(programs, "first")) == "partial", "the decision")

        # An update leaves one service out and adds another.
        second = update_of(first, "second", first["item"][0], given.item(3))
        assert {1: "A1", 2: "C", 3: "A1"} == submit(programs, second)
        assert "approved" == prior_auth.status(task(programs, "second"))
        assert "cancelled" == prior_auth.status(task(programs, "first"))

        # A person cancels all of it on its page; pressed twice it is one cancellation.
        address = f"{programs.server}/authorizations/{task(programs, 'second')['id']}"
        for _ in range(2):
            assert requests.post(f"{address}/cancel", timeout=9).ok
        wait_for(lambda: "Cancelled" in requests.get(address, timeout=9).text, "the cancellation")
        (gone,) = programs.search("Claim?identifier=PA-second-cancel")
        wait_for(lambda: prior_auth.status(task(programs, gone["id"])) == "cancelled", "its end")
        programs.settled()
        assert {1: "C", 2: "C", 3: "C"} == actions(newest(programs, gone["id"]))

        # Every exchange is on record, and the year's figures follow from them.
        page = requests.get(
            f"{programs.server}/authorizations/{task(programs, 'first')['id']}", timeout=9
        )
        assert "Request, answered in" in page.text
        assert "Word of the payer" in page.text
        year = ["--from", "2026-01-01", "--to", "2026-12-31"]
        told = programs.run("bots", "prior-auth-report", *year)
        assert "standard-approved            2 of 3" in told.stdout
        made = json.loads(programs.run("bots", "prior-auth-report", *year, "--json").stdout)
        (stored,) = programs.search(f"MeasureReport?_id={made['id']}")
        assert stored["group"] == made["group"]


def required(programs: Programs) -> bool:
    """Tell whether an answer of the payer says that an authorization is required."""
    found = programs.search("CoverageEligibilityResponse?coverage=Coverage/cov")
    items = [i for one in found for entry in one["insurance"] for i in entry.get("item", [])]
    return any(item.get("authorizationRequired") for item in items)


def newest(programs: Programs, claim_id: str) -> Resource:
    """Return the newest answer about a Claim, from its Task."""
    address = prior_auth.part(task(programs, claim_id), prior_auth.RESPONSE)
    found: Resource = requests.get(f"{programs.fhir}/{address}", timeout=9).json()
    assert elements.identifier(found, systems.CAUSE)
    return found
