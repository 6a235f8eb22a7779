"""Updates of prior authorizations: the whole picture, and flags against the version before only."""

from typing import Any

import pytest

from bots.mapping import pas_update
from fhir_profiles import elements, pas, pas_rules, prior_auth
from server.validation import check
from tests import pas as given
from tests.contract.payer import actions, built, client, post, response_of

Resource = dict[str, Any]


def claim(fhir_id: str, *items: Resource, before: str = "") -> Resource:
    prior = {
        "claim": {"reference": f"Claim/{before}"},
        "relationship": given.coded(pas.RELATED, "prior"),
    }
    related = {"related": [prior]} if before else {}
    return given.claim(fhir_id) | related | {"item": [*items]}


def flags(current: Resource, name: str = "item") -> dict[int, tuple[str, bool, str]]:
    """Return sequence -> flag of change, cancelled or not, certification type."""
    return {
        one["sequence"]: (
            elements.extension_value(one, pas.EXT_CHANGED) or "",
            pas_update.is_cancelled(one),
            elements.code(
                elements.extension_value(one, pas.EXT_CERTIFICATION), pas.CERTIFICATION_TYPE
            ),
        )
        for one in current[name]
    }


def item(sequence: int, day: str = "2026-12-05") -> Resource:
    return given.item(sequence, servicedDate=day)


FIRST = claim("one", item(1), item(2), item(3))
SECOND = claim("two", item(1), item(2, "2026-12-06"), item(4), before="one")
THIRD = claim("three", item(1), item(2, "2026-12-06"), item(4, "2026-12-07"), before="two")


@pytest.mark.req("R35 R36 R37")
def test_an_update_is_the_whole_picture() -> None:
    """Untouched, changed, left out, new: each with its flag, under its sequence."""
    current, before = pas_update.whole([SECOND, FIRST])

    assert FIRST == before
    assert {
        1: ("", False, "I"),
        2: ("changed", False, "I"),
        3: ("changed", True, "3"),
        4: ("added", False, "I"),
    } == flags(current)


@pytest.mark.req("R36 R37")
def test_flags_are_against_the_version_before_only() -> None:
    """What changed earlier is no news; what was cancelled stays so."""
    current, before = pas_update.whole([THIRD, SECOND, FIRST])
    assert before is not None

    assert {
        1: ("", False, "I"),
        2: ("", False, "I"),
        3: ("", True, "3"),
        4: ("changed", False, "I"),
    } == flags(current)
    assert flags(pas_update.whole([SECOND, FIRST])[0]) == flags(before)


@pytest.mark.req("R35 R36")
def test_supporting_information_goes_along_too() -> None:
    """Left out it is cancelled, without a certification type."""
    second = claim("two", item(1), item(2), item(3), before="one")
    document, message = second["supportingInfo"]
    news = {**message, "sequence": 3, "valueString": "Worse since June"}
    second["supportingInfo"] = [document, news]
    current, _ = pas_update.whole([second, FIRST])

    assert {1: ("", False, ""), 2: ("changed", True, ""), 3: ("added", False, "")} == flags(
        current, "supportingInfo"
    )


@pytest.mark.req("R37")
def test_what_was_cancelled_cannot_come_back() -> None:
    """Under a new sequence it can."""
    third = claim("three", item(1), item(2, "2026-12-06"), item(3), item(4), before="two")
    current, _ = pas_update.whole([third, SECOND, FIRST])

    assert ("", True, "3") == flags(current)[3]


def test_a_new_request_has_no_flags() -> None:
    """And nothing before it."""
    assert (FIRST, None) == pas_update.whole([FIRST])


@pytest.mark.req("R38")
def test_cancelling_all_keeps_status_and_items() -> None:
    """Certification type 3 on the Claim; a payer cancels each item."""
    made = {**prior_auth.cancellation(FIRST, "2026-11-25T10:00:00Z"), "id": "gone"}
    current, before = pas_update.whole([made, FIRST])
    assert before is not None
    bundle = built(current, before)
    payer = client()
    post(payer, built(FIRST))

    assert ("active", [1, 2, 3]) == (
        current["status"],
        [one["sequence"] for one in current["item"]],
    )
    assert {("", False, "I")} == set(flags(current).values())
    assert pas.CANCEL == elements.code(
        elements.extension_value(current, pas.EXT_CERTIFICATION), pas.CERTIFICATION_TYPE
    )
    assert {1: "C", 2: "C", 3: "C"} == actions(response_of(post(payer, bundle).json))


@pytest.mark.req("R34")
@pytest.mark.parametrize("chain", [[SECOND, FIRST], [THIRD, SECOND, FIRST]])
def test_an_update_holds_to_profile_and_rules(chain: list[Resource]) -> None:
    """The Claim it updates goes along as it was sent, and no older one; a strict payer takes it."""
    current, before = pas_update.whole(chain)
    assert before is not None
    bundle = built(current, before)
    payer = client()
    answers = []
    for number in range(1, len(chain) + 1):
        sent, prior = pas_update.whole(chain[-number:])
        request = built(sent, *([prior] if prior else []), number=f"{sent['id']}-{len(chain)}")
        answers.append(post(payer, request).json)

    assert [] == [one.path for one in pas_rules.check(bundle) if one.is_error]
    assert [] == [str(one) for one in check.against(bundle, pas.REQUEST_BUNDLE)]
    claims = [
        e["resource"]["id"] for e in bundle["entry"] if e["resource"]["resourceType"] == "Claim"
    ]
    assert [one["id"] for one in chain[:2]] == claims
    assert {item["sequence"] for item in current["item"]} == actions(
        response_of(answers[-1])
    ).keys()
