"""Where a payer takes prior authorizations: discovered by the Coverage, else by the directory."""

from typing import Any

import pytest

from bots.handlers import submit_prior_auth
from fhir_profiles import pas, prior_auth
from tests import pas as given
from tests.contract.payer import of_code
from tests.fakes import FakeFhir, FakePayer, tools
from tests.unit.bots.test_prior_auth import answered, the_task, world

Resource = dict[str, Any]
LOCATION = f"https://found.example/fhir{pas.WELL_KNOWN}"
CODE = "davinci_pas_submission_endpoint"
pytestmark = pytest.mark.req("R79")


def member(**more: Any) -> Resource:
    """Return the coverage with where its payer publishes its addresses."""
    return given.coverage(extension=[{"url": pas.EXT_WELL_KNOWN, "valueUrl": LOCATION}], **more)


def sent(fhir: FakeFhir, published: dict[str, str]) -> FakePayer:
    asked = FakePayer(answered, answered)
    asked.published = published
    submit_prior_auth.handle(the_task(fhir), tools(fhir, prior_auth=asked))
    return asked


def address(asked: FakePayer) -> str:
    return asked.sent[-1][0]


@pytest.mark.parametrize(
    ("editions", "expected"),
    [(["2.0"], "2.0"), (["2.0", "2.2"], "2.2"), (["2.1", "2.0"], "2.1"), (["9.0", "2.0"], "2.0")],
)
def test_the_newest_edition_that_we_speak_is_taken(editions: list[str], expected: str) -> None:
    """Of those that the payer publishes; the Endpoint is kept, and the Task names it."""
    fhir = world(None, member())
    asked = sent(fhir, {f"{CODE}#{one}": f"https://found.example/{one}" for one in editions})
    there = prior_auth.part(the_task(fhir), prior_auth.ENDPOINT)
    (endpoint,) = fhir.read_all([there])

    assert [LOCATION] == asked.discovered
    assert f"https://found.example/{expected}" == address(asked)
    assert endpoint is not None
    assert address(asked) == endpoint["address"]
    assert f"{CODE}#{expected}" == endpoint["payloadType"][0]["coding"][0]["code"]


@pytest.mark.parametrize("published", [{}, {"davinci_crd_hook_endpoint": "https://found.example"}])
def test_else_the_directory_says(published: dict[str, str]) -> None:
    """Where nothing is published, or we do not trust who does."""
    fhir = world(None, member())

    assert "https://payer.example/fhir" == address(sent(fhir, published))
    assert not prior_auth.part(the_task(fhir), prior_auth.ENDPOINT)


def test_without_either_people_send_it() -> None:
    """The Task says so."""
    fhir = world(None, member(), given.payer())
    asked = sent(fhir, {})

    assert [] == asked.sent
    assert "no electronic way" in the_task(fhir)["statusReason"]["text"]


def test_a_plain_coverage_leads_nowhere() -> None:
    """Nobody is asked."""
    fhir = world()

    assert [] == sent(fhir, {f"{CODE}#2.2": "https://found.example"}).discovered


def test_one_address_is_one_endpoint() -> None:
    """However many requests it is discovered for."""
    fhir = world(None, member())
    sent(fhir, {f"{CODE}#2.2": "https://found.example/fhir"})
    claim = of_code("97110", fhir_id="two")
    fhir.put(claim)
    task = prior_auth.task(
        claim="Claim/two", patient={"reference": "Patient/pat"}, bundle="",
        number="Claim/two/_history/1", authored="2026-11-24T15:30:00Z",
    )  # fmt: skip
    kit = FakePayer(answered)
    kit.published = {f"{CODE}#2.2": "https://found.example/fhir"}
    submit_prior_auth.handle(fhir.put({**task, "id": "two"}), tools(fhir, prior_auth=kit))

    found = [one for one in fhir.all("Endpoint") if "identifier" in one]
    assert 1 == len(found)


@pytest.mark.req("R32")
def test_the_order_refers_to_the_decision() -> None:
    """To the newest one, beside what it refers to already."""
    fhir = world()
    order = given.order(insurance=[{"reference": "Coverage/cov"}])
    fhir.put(order)
    sent(fhir, {})
    (response,) = fhir.all("ClaimResponse")
    (kept,) = fhir.read_all(["ServiceRequest/order"])

    assert kept is not None
    assert [
        {"reference": "Coverage/cov"}, {"reference": f"ClaimResponse/{response['id']}"},
    ] == kept["insurance"]  # fmt: skip


@pytest.mark.req("R32")
def test_what_else_an_order_refers_to_stays() -> None:
    """A plan that is only named is not taken for an older decision."""
    fhir = world()
    named = {"display": "Aunt Mary's plan"}
    fhir.put(given.order(insurance=[named]))
    sent(fhir, {})
    (kept,) = fhir.read_all(["ServiceRequest/order"])

    assert kept is not None
    assert named == kept["insurance"][0]
    assert 2 == len(kept["insurance"])
