"""A payer that is named by words or a bare id, looked up in the directory before a check."""

from typing import Any

import pytest

from bots.handlers import check_eligibility
from bots.ports import Exchange
from bots.x12 import eligibility_271
from fhir_profiles import elements, systems
from tests import samples
from tests.fakes import FakeClearinghouse, tools
from tests.unit.bots.test_handlers import responses, world
from tests.x12_texts import answer_271

DIRECTORY: dict[str, Any] = {"type": [{"coding": [{"code": "pay"}]}], "alias": ["EHP"]}
UNKNOWN = ["no-payer"]


@pytest.mark.req("R002-15 R002-35 check-14")
@pytest.mark.parametrize(
    ("insurer", "expected"),
    [
        ({"display": "example health"}, "payer"),
        ({"display": "E.H.P."}, "payer"),
        ({"identifier": {"system": systems.PAYER_ID, "value": "00099"}}, "payer"),
        ({"identifier": {"value": "00099"}, "display": "Whatever"}, "payer"),
        ({"display": "Example"}, UNKNOWN),
        ({"display": "Example Health Inc"}, UNKNOWN),
        ({"display": "Riverside Clinic"}, UNKNOWN),
        ({"identifier": {"system": systems.PAYER_ID, "value": "99"}, "display": "EHP"}, UNKNOWN),
        ({"display": "Twin Health"}, ["ambiguous-payer"]),
        ({"identifier": {"value": "TWIN"}}, ["ambiguous-payer"]),
        ({"reference": "Organization/gone", "display": "EHP"}, UNKNOWN),
        ({"reference": "Organization/bare", "display": "EHP"}, "payer"),
        ({"reference": "Organization/stranger"}, ["missing-payer-id"]),
        ({}, UNKNOWN),
    ],
)
def test_a_payer_is_found_by_its_whole_name_or_id(
    insurer: dict[str, Any], expected: str | list[str]
) -> None:
    """The directory helps where it is sure; else nothing goes out, and the reason is told."""
    twins = [
        samples.payer(fhir_id, name=name, **{**DIRECTORY, "alias": ["Twin Health"]}, identifier=[
            {"system": systems.PAYER_ID, "value": value}, {"value": "TWIN", "system": "x"}])
        for fhir_id, name, value in (("t1", "One", "001"), ("t2", "Two", "002"))
    ]  # fmt: skip
    bare = [
        samples.payer("bare", identifier=[]),
        samples.payer("stranger", name="S", identifier=[]),
    ]
    fhir = world(samples.payer(**DIRECTORY), *twins, *bare)
    house = FakeClearinghouse(Exchange("fake", answer=eligibility_271.read(answer_271("EB*1**30"))))
    check_eligibility.handle(samples.request(insurer=insurer), tools(fhir, house))

    (stored,) = responses(fhir)
    if isinstance(expected, list):
        assert [] == house.asked
        assert expected == [elements.code(e["code"], systems.CHECK_ERROR) for e in stored["error"]]
    else:
        assert ["00099"] == [question.payer_id for question in house.asked]
        assert {"reference": f"Organization/{expected}"}.items() <= stored["insurer"].items()
