"""What goes to a payer of PAS 2.0.1: one Claim, and cancellations on the items."""

from typing import Any

import pytest

from bots.handlers import submit_prior_auth
from bots.mapping import pas_older
from fhir_profiles import elements, pas, prior_auth
from tests import pas as given
from tests.contract.payer import actions, built, client, of_code, post, response_of
from tests.fakes import NOW, FakeFhir, FakePayer, tools
from tests.unit.bots.test_prior_auth import answered, endpoint, run, the_task, update_of, world

Resource = dict[str, Any]
OLD = "/fhir-2.0.1"


def of(edition: str) -> Resource:
    """Return an Endpoint of an edition."""
    return endpoint(
        payloadType=[{"coding": [{"code": f"davinci_pas_submission_endpoint#{edition}"}]}]
    )


def sent(fhir: FakeFhir, task: Resource) -> Resource:
    asked = FakePayer(answered)
    submit_prior_auth.handle(fhir.put(task), tools(fhir, prior_auth=asked))
    return asked.sent[0][1]


def update(fhir: FakeFhir, now: Resource) -> Resource:
    """Send a Claim that updates the first one; return the Bundle as it went out."""
    fhir.put(now)
    task = prior_auth.task(
        claim=f"Claim/{now['id']}", patient={"reference": "Patient/pat"}, bundle="",
        number=f"Claim/{now['id']}/_history/1", authored=NOW.isoformat(),
    )  # fmt: skip
    return sent(fhir, {**task, "id": "second"})


def kinds(bundle: Resource) -> list[str]:
    return [entry["resource"]["resourceType"] for entry in bundle["entry"]]


@pytest.mark.parametrize(("edition", "claims"), [("2.0", 1), ("2.0.1", 1), ("2.2", 2)])
def test_an_update_has_the_claims_that_the_edition_wants(edition: str, claims: int) -> None:
    """2.0 names the prior one by its identifier; nothing that only that one reached goes along."""
    first = of_code("97110", "97112")
    fhir = world(first)
    fhir.put(of(edition))
    run(fhir)
    bundle = update(fhir, update_of(first, first["item"][0]))
    claim = bundle["entry"][0]["resource"]

    assert claims == kinds(bundle).count("Claim")
    if claims == 1:
        assert first["identifier"][0] == claim["related"][0]["claim"]["identifier"]
        assert [] == [one for one in ("extension-documentInformation",) if one in str(bundle)]


def test_a_cancellation_stands_on_each_item() -> None:
    """And not on the Claim, which knows none in 2.0."""
    first = of_code("97110", "97112")
    fhir = world(first)
    fhir.put(of("2.0"))
    run(fhir)
    gone = {**prior_auth.cancellation(first, NOW.isoformat()), "id": "gone"}
    claim = update(fhir, gone)["entry"][0]["resource"]

    assert not elements.has_extension(claim, pas.EXT_CERTIFICATION)
    for item in claim["item"]:
        concept = elements.extension_value(item, pas.EXT_CERTIFICATION)
        assert pas.CANCEL == elements.code(concept, pas.CERTIFICATION_TYPE)
        assert [{"url": pas.EXT_CANCELLED, "valueBoolean": True}] == item["modifierExtension"]


def test_the_payer_of_the_older_edition_takes_it() -> None:
    """A request, its update and its cancellation; with two Claims it would refuse the update."""
    payer = client()
    first = of_code("97110")
    newer = built(update_of(first, first["item"][0], given.item(2)), first)
    post(payer, pas_older.bundle(built(first)), base=OLD)
    refused = post(payer, newer, base=OLD)
    taken = post(payer, pas_older.bundle(newer), base=OLD)

    assert 400 == refused.status_code
    assert {1: "A1", 2: "A1"} == actions(response_of(taken.json))


def test_what_an_ehr_built_goes_out_as_it_came() -> None:
    """In whatever edition it is."""
    fhir = world()
    fhir.put(of("2.0"))
    kept = fhir.put({**built(of_code("97110")), "id": "ehr"})
    task = the_task(fhir)
    number = [{"system": prior_auth.NUMBER, "value": "urn:ehr|1"}]
    part = prior_auth.with_part(task, "input", prior_auth.REQUEST, "Bundle/ehr")
    asked = sent(fhir, {**part, "identifier": number})

    assert kept["entry"] == asked["entry"]
