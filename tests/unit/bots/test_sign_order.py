"""A new order is shown to its payer, and what the payer says is kept on it."""

import json
from typing import Any

import pytest

from bots.handlers import sign_order
from bots.mapping import order_sign
from bots.ports import Failure, Submission
from fhir_profiles import coverage_information, elements, pas
from sandbox import crd
from server.validation import structure
from tests import pas as given
from tests.fakes import FakeFhir, FakeOrders, tools
from tests.unit.bots.test_prior_auth import payer

Resource = dict[str, Any]
pytestmark = pytest.mark.req("R75")


def endpoint(**more: Any) -> Resource:
    return {
        "resourceType": "Endpoint", "id": "pas", "status": "active",
        "payloadType": [{"coding": [{"code": "davinci_crd_hook_endpoint#2.2"}]}],
        "address": "https://payer.example", **more,
    }  # fmt: skip


def world(*more: Resource) -> FakeFhir:
    return FakeFhir(*given.world(payer(), endpoint()), *more)


def answered(body: Resource) -> Submission:
    """Answer as the sandbox's service does."""
    made, status = crd.answer(body)
    assert status == 200, made
    return Submission(json.dumps(made).encode(), answer=made)


def spoilt(change: Any) -> Any:
    """Answer as the service does, with its action changed so."""

    def answer(body: Resource) -> Submission:
        made, _ = crd.answer(body)
        change(made["systemActions"][0])
        return Submission(b"x", answer=made)

    return answer


def signed(fhir: FakeFhir, answer: Any = answered) -> FakeOrders:
    asked = FakeOrders(answer)
    sign_order.handle(order(fhir), tools(fhir, orders=asked))
    return asked


def order(fhir: FakeFhir) -> Resource:
    (found,) = fhir.all("ServiceRequest")
    return found


def words(fhir: FakeFhir) -> str:
    (found,) = fhir.all("AuditEvent")
    return str(found["outcomeDesc"])


@pytest.mark.req("R22")
def test_what_the_payer_says_is_on_the_order() -> None:
    """Covered, whether an authorization is needed, and the id that travels on."""
    fhir = world()
    ((address, body),) = signed(fhir).asked
    (said,) = coverage_information.of(order(fhir))

    assert "https://payer.example" == address
    assert ["covered"] == coverage_information.values(said, "covered")
    assert ["auth-needed"] == coverage_information.values(said, "pa-needed")
    assert coverage_information.values(said, "coverage-assertion-id")
    assert [] == structure.check(order(fhir))
    assert "order-sign" == body["hook"]
    assert (
        "ServiceRequest" == body["context"]["draftOrders"]["entry"][0]["resource"]["resourceType"]
    )


def test_the_call_and_its_answer_are_on_record() -> None:
    """An AuditEvent about the order, and both sealed."""
    fhir = world()
    signed(fhir)
    (event,) = fhir.all("AuditEvent")

    assert "ServiceRequest/order" == event["entity"][0]["what"]["reference"]
    assert 2 == len(fhir.all("Binary"))
    assert [] == structure.check(event)


def test_the_payer_gets_what_it_needs_and_no_more() -> None:
    """One coverage, complete; nothing that others call the person, or that we keep on it."""
    other = {"type": given.coded(pas.HREX_TEMP, "UMB"), "value": "UM-OTHER",
             "assigner": {"reference": "Organization/other"}}  # fmt: skip
    fhir = world(
        given.patient(identifier=[other]),
        given.coverage(extension=[{"url": "http://x/ours", "valueString": "ours"}]),
        given.coverage(id="second", order=2),
        given.coverage(id="old", status="cancelled", order=1),
    )
    fhir.put(given.coverage(extension=[{"url": "http://x/ours", "valueString": "ours"}], order=1))
    ((_, body),) = signed(fhir).asked
    listed = body["prefetch"]["coverage"]["entry"]

    assert ["cov"] == [one["resource"]["id"] for one in listed]
    assert "UM-OTHER" not in str(body)
    assert "http://x/ours" not in str(body)
    assert "fhirAuthorization" not in body


@pytest.mark.parametrize(
    "failure",
    [Failure("no-answer", "No answer in time.", again=True),
     Failure("route-failed", "The payer failed.", again=True)],
)  # fmt: skip
def test_a_slow_payer_is_passed_over(failure: Failure) -> None:
    """The order stays as it is, nothing is tried again, and it is on record."""
    fhir = world()
    before = order(fhir)
    signed(fhir, Submission(failure=failure))

    assert before == order(fhir)
    assert failure.text == words(fhir)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda one: one["resource"].update(status="revoked"), "changes its coverage"),
        (lambda one: one.update(type="delete"), "changes its coverage"),
        (lambda one: one["resource"]["extension"][0]["extension"].pop(), "assertion-id once"),
        (lambda one: one["resource"]["extension"][0]["extension"].append(
            {"url": "satisfied-pa-id", "valueString": "X"}), "satisfied"),
    ],
)  # fmt: skip
def test_an_action_that_says_more_is_not_stored(change: Any, why: str) -> None:
    """Nor one that contradicts itself."""
    fhir = world()
    before = order(fhir)
    signed(fhir, spoilt(change))

    assert before == order(fhir)
    assert why in words(fhir)


@pytest.mark.parametrize(
    "answer",
    [{"cards": []}, {"cards": [], "systemActions": []},
     {"cards": [], "systemActions": [{"type": "update", "resource": given.order("another")}]}],
)  # fmt: skip
def test_nothing_about_the_order_changes_nothing(answer: Resource) -> None:
    """An action on another resource is not ours to take."""
    fhir = world()
    before = order(fhir)
    signed(fhir, Submission(b"x", answer=answer))

    assert before == order(fhir)


@pytest.mark.parametrize("answer", [None, {"cards": "none"}])
def test_what_is_no_answer_is_told(answer: Any) -> None:
    """On record."""
    fhir = world()
    signed(fhir, Submission(b"x", answer=answer))

    assert "not stored" in words(fhir)


@pytest.mark.parametrize(
    "more",
    [given.payer(), given.coverage(status="cancelled"), given.order(subject={"display": "x"}),
     given.coverage(period={"end": "2026-01-01"}), endpoint(status="off")],
)  # fmt: skip
def test_without_a_service_or_an_active_coverage_nobody_is_asked(more: Resource) -> None:
    """Patients who pay themselves, plans that are over, payers without CRD."""
    fhir = world(more)

    assert [] == signed(fhir).asked
    assert [] == fhir.all("AuditEvent")


def test_somebody_elses_change_is_kept() -> None:
    """The extension goes onto the order as it is now."""
    fhir = world()
    fhir.lose_next_update = True
    signed(fhir)

    assert coverage_information.of(order(fhir))


def test_a_newer_word_takes_the_place_of_an_older() -> None:
    """Other extensions stay."""
    old = {"url": coverage_information.EXT, "extension": []}
    kept = {"url": "http://x/kept", "valueString": "kept"}
    fhir = world(given.order(extension=[old, kept]))
    signed(fhir)
    urls = [one["url"] for one in order(fhir)["extension"]]

    assert ["http://x/kept", coverage_information.EXT] == urls
    assert elements.has_extension(order(fhir), coverage_information.EXT)


def test_the_same_version_of_an_order_is_the_same_call() -> None:
    """A delivery that comes twice is one to the payer, too."""
    one = given.order(meta={"versionId": "1"})
    calls = [
        order_sign.call(o, given.patient(), given.coverage(), "http://me/fhir")["hookInstance"]
        for o in (one, one, {**one, "meta": {"versionId": "2"}})
    ]

    assert calls[0] == calls[1] != calls[2]
