"""What a person fills in <-> the Claim that asks for it."""

from dataclasses import replace
from typing import Any

import pytest

from fhir_profiles import elements, pas, pas_rules
from fhir_profiles.prior_auth_claim import Named, Wishes, claim, wishes
from tests import pas as given
from tests.unit.bots.test_pas_request import built

FILLED = Wishes(
    key="form-1", coverage="cov", order="ServiceRequest/order", clinician="dr-here", kind="HS",
    service_type="PT", place="11", start="2026-12-05", end="2026-12-19", quantity="8", unit="VS",
    diagnosis="M54.50", urgent="yes", note="Pain since May", documents=("DocumentReference/note",),
)  # fmt: skip
CREATED = "2026-11-26T10:00:00.000+00:00"


def made(**change: Any) -> dict[str, Any]:
    """Return the Claim of what is filled in, changed so, as it is stored."""
    named = Named(given.coverage(), given.order(), given.role())
    return {**claim(replace(FILLED, **change), named, CREATED), "id": "pa"}


@pytest.mark.parametrize(
    "change",
    [{}, {"urgent": ""}, {"end": ""}, {"note": ""}, {"documents": ()}, {"place": "21"},
     {"documents": (), "note": ""}],
)  # fmt: skip
def test_what_was_filled_in_comes_back(change: dict[str, Any]) -> None:
    """A draft is changed in the same form."""
    assert replace(FILLED, **change) == wishes(made(**change))


@pytest.mark.req("R07 R08 R21")
@pytest.mark.parametrize("change", [{}, {"urgent": "", "end": "", "note": "", "documents": ()}])
def test_it_is_complete_for_the_payer(change: dict[str, Any]) -> None:
    """The Bundle that is built of it breaks no rule of the guide."""
    assert [] == pas_rules.check(built(made(**change)))


def test_an_urgent_one_says_so_by_its_level_of_service() -> None:
    """X12 1338 U; one that is not urgent has none."""
    levels = [
        elements.code(
            elements.extension_value(made(urgent=urgent), pas.EXT_LEVEL_OF_SERVICE),
            pas.LEVEL_OF_SERVICE,
        )
        for urgent in ("yes", "")
    ]

    assert ["U", ""] == levels


@pytest.mark.parametrize(("place", "kind"), [("11", "professional"), ("21", "institutional")])
def test_a_bed_makes_it_institutional(place: str, kind: str) -> None:
    """By the place of service."""
    system = "http://terminology.hl7.org/CodeSystem/claim-type"

    assert kind == elements.code(made(place=place)["type"], system)


def test_a_claim_of_others_is_not_taken_for_a_form() -> None:
    """It has no key of ours."""
    assert not wishes(given.claim()).key
