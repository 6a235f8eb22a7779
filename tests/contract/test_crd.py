"""The sandbox's CDS service: a coverage-information with all its parts, and never a card."""

import json
from typing import Any

import pytest

from bots.connectors.backend_services import BackendServices, new_key, public
from bots.connectors.wire import Wire
from bots.mapping import order_sign
from fhir_profiles import coverage_information
from fhir_profiles.coverage_information import EXT, values
from tests import pas as given
from tests.contract.payer import client

Resource = dict[str, Any]
PATH = "/cds-services/order-sign-crd"
pytestmark = pytest.mark.req("R76")


def body(code: str = "97110", **more: Any) -> Resource:
    order = given.order(code=given.coded("http://www.ama-assn.org/go/cpt", code))
    parts = {"order": order, "patient": given.patient(), "coverage": given.coverage(), **more}
    return order_sign.call(parts["order"], parts["patient"], parts["coverage"], "http://me/fhir")


def said(made: Resource) -> Resource:
    answer = client().post(PATH, json=made)
    assert 200 == answer.status_code, answer.json
    assert [] == answer.json["cards"]
    (action,) = answer.json["systemActions"]
    assert "update" == action["type"]
    (found,) = coverage_information.of(action["resource"])
    return dict(found)


def test_the_service_is_found() -> None:
    """With its hook, its prefetch, and the editions and options that CRD wants."""
    (found,) = client().get("/cds-services").json["services"]

    assert ("order-sign", "order-sign-crd") == (found["hook"], found["id"])
    assert {"patient", "coverage"} == found["prefetch"].keys()
    assert "2.2" in found["extension"]["davinci-crd.version"]
    (option,) = found["extension"]["davinci-crd.configuration-options"]
    assert {"code", "type", "name", "description", "default"} == option.keys()


@pytest.mark.parametrize(
    ("code", "needed", "documents"),
    [("97110", "auth-needed", []), ("36415", "no-auth", []), ("99213", "no-auth", []),
     ("63685", "auth-needed", ["clinical"])],
)  # fmt: skip
def test_it_says_what_is_needed(code: str, needed: str, documents: list[str]) -> None:
    """Every part that is mandatory, and no invariant broken."""
    found = said(body(code))

    assert [] == coverage_information.breaches(found)
    assert ["covered"] == values(found, "covered")
    assert [needed] == values(found, "pa-needed")
    assert documents == values(found, "doc-needed")


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"patient": given.patient(birthDate="1999-01-01")}, "no-member-found"),
        ({"coverage": given.coverage(status="cancelled")}, "no-active-coverage"),
    ],
)
def test_who_is_not_covered_is_told_why(more: Resource, reason: str) -> None:
    """Not covered, and no word on an authorization."""
    found = said(body(**more))

    assert [] == coverage_information.breaches(found)
    assert (["not-covered"], []) == (values(found, "covered"), values(found, "pa-needed"))
    assert reason == values(found, "reason")[0]["coding"][0]["code"]


def test_nothing_new_is_no_action() -> None:
    """The order has it already."""
    first = body()
    order = first["context"]["draftOrders"]["entry"][0]["resource"]
    known = {**order, "extension": [said(first)]}

    assert [] == client().post(PATH, json=body(order=known)).json["systemActions"]


def test_the_order_is_changed_in_nothing_else() -> None:
    """Other extensions stay."""
    kept = {"url": "http://x/kept", "valueString": "kept"}
    made = body(order=given.order(extension=[kept]))
    (action,) = client().post(PATH, json=made).json["systemActions"]
    others = [one for one in action["resource"]["extension"] if one["url"] != EXT]

    assert given.order(extension=[kept]) == {**action["resource"], "extension": others}


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"hook": "patient-view"}, 400), ({"hookInstance": ""}, 400), ({"prefetch": None}, 412),
        ({"prefetch": {"patient": given.patient(), "coverage": {"entry": []}}}, 400),
        ({"context": {"draftOrders": {}}}, 422),
    ],
)  # fmt: skip
def test_a_call_that_is_wrong_is_refused(change: Resource, status: int) -> None:
    """By the status that CRD names."""
    assert status == client().post(PATH, json={**body(), **change}).status_code


def test_only_a_signed_call_comes_in() -> None:
    """Once a client is known: signed by its key, for this address."""
    payer, key = client(), new_key()
    payer.put("/_control/client", json={
        "client_id": "clinic", "jwks": public(json.dumps(key)),
    })  # fmt: skip
    door = BackendServices("clinic", json.dumps(key), Wire())
    right, wrong = (
        door.signature(f"http://localhost{path}") for path in (PATH, "/cds-services/other")
    )
    tried = [payer.post(PATH, json=body(), headers=headers) for headers in ({}, wrong, right)]

    assert [401, 401, 200] == [one.status_code for one in tried]
