"""What a payer decided, read from a PAS ClaimResponse: item by item, never from its outcome."""

from typing import Any

import pytest

from fhir_profiles import decisions, elements, pas
from fhir_profiles.decisions import Action, State, Unreadable

X12 = "https://codesystem.x12.org/005010"
SUBMITTED = {
    "coding": [
        {"system": "http://terminology.hl7.org/CodeSystem/adjudication", "code": "submitted"}
    ]
}


def reviewed(code: str, *more: dict[str, Any]) -> dict[str, Any]:
    concept = {"coding": [{"system": f"{X12}/306", "code": code}]}
    action = {"url": pas.EXT_REVIEW_CODE, "valueCodeableConcept": concept}
    review = {"url": pas.EXT_REVIEW_ACTION, "extension": [action, *more]}
    return {"category": SUBMITTED, "extension": [review]}


def item(sequence: int, code: str = "", **more: Any) -> dict[str, Any]:
    made = [reviewed(code)] if code else [{"category": SUBMITTED}]
    return {"itemSequence": sequence, "adjudication": made, **more}


def response(*items: dict[str, Any], outcome: str = "complete", **more: Any) -> dict[str, Any]:
    return {"resourceType": "ClaimResponse", "outcome": outcome, "item": list(items), **more}


def error(code: str = "33") -> dict[str, Any]:
    return {
        "code": {"coding": [{"system": f"{X12}/901", "code": code, "display": "Input errors"}]},
        "extension": [
            {"url": pas.EXT_FOLLOW_UP, "valueCodeableConcept": {
                "coding": [{"system": f"{X12}/889", "code": "C"}]}},
            {"url": pas.EXT_ERROR_PATH, "valueString": "Bundle.entry[0].resource.item[0]"},
        ],
    }  # fmt: skip


@pytest.mark.req("R26 R28")
@pytest.mark.parametrize(
    ("codes", "state"),
    [
        (["A1"], State.APPROVED),
        (["A1", "A1", "NA"], State.APPROVED),
        (["NA", "NA"], State.NOT_REQUIRED),
        (["A3", "A3"], State.DENIED),
        (["A1", "A3"], State.PARTIAL),
        (["A2"], State.PARTIAL),
        (["A6", "A3"], State.PARTIAL),
        (["A1", "C"], State.PARTIAL),
        (["A6"], State.MODIFIED),
        (["A6", "A1"], State.MODIFIED),
        (["A4", "A1"], State.PENDED),
        (["A4", "CT"], State.PENDED),
        (["CT", "A1"], State.CONTACT_PAYER),
        (["C", "C"], State.CANCELLED),
    ],
)
def test_the_state_follows_from_all_items(codes: list[str], state: State) -> None:
    """4.2 of the field's table; A6 is "modified", never cancelled (T1)."""
    answer = response(*(item(n, code) for n, code in enumerate(codes, 1)))

    assert state is decisions.read(answer, range(1, len(codes) + 1)).state


@pytest.mark.req("R26")
@pytest.mark.parametrize(
    ("outcome", "code", "state"),
    [
        ("queued", "", State.PENDED),
        ("queued", "A4", State.PENDED),
        ("partial", "A4", State.PENDED),
        ("complete", "A4", State.PENDED),
        ("queued", "A1", State.APPROVED),
        ("error", "A3", State.DENIED),
    ],
)
def test_pended_is_never_read_from_the_outcome(outcome: str, code: str, state: State) -> None:
    """T4: complete in one edition, queued in another; an old server may give no action at all."""
    assert state is decisions.read(response(item(1, code), outcome=outcome), [1]).state


@pytest.mark.req("R25 R28")
def test_an_error_alone_is_a_rejection_and_beside_decisions_a_warning() -> None:
    """With the X12 code, what to do, and the element it names."""
    alone = decisions.read(response(outcome="error", error=[error()]), [1])
    beside = decisions.read(response(item(1, "A1"), error=[error("04")]), [1])

    assert (State.REJECTED, State.APPROVED) == (alone.state, beside.state)
    (problem,) = alone.problems
    assert ("33", "C") == (problem.code, problem.follow_up)
    assert ("Input errors", "Bundle.entry[0].resource.item[0]") == (problem.text, problem.place)
    assert ["04"] == [one.code for one in beside.problems]


def test_an_item_that_is_not_answered_yet_waits() -> None:
    """The payer decided one of two: the other is not taken for decided."""
    answer = decisions.read(response(item(1, "A1")), [1, 2])

    assert State.PENDED is answer.state
    assert [Action.CERTIFIED, None] == [one.action for one in answer.items]


def test_a_decision_on_the_whole_event_holds_for_its_items() -> None:
    """At the root; an item's own goes before it."""
    answer = response(item(1), item(2, "A3"), adjudication=[reviewed("A1")])

    assert [Action.CERTIFIED, Action.DENIED] == [
        one.action for one in decisions.read(answer, [1, 2]).items
    ]


@pytest.mark.req("R27")
def test_what_is_authorized_instead_stands_beside_what_was_asked() -> None:
    """A6 with an addItem of the same sequence; another sequence is an extra item."""
    code = {"coding": [{"code": "97110"}]}
    added = {"itemSequence": [1], "productOrService": code, "adjudication": [reviewed("A1")]}
    extra = {"itemSequence": [9], "productOrService": code, "adjudication": [reviewed("A1")]}
    answer = decisions.read(response(item(1, "A6"), addItem=[added, extra]), [1])

    assert [code] == [one["productOrService"] for one in answer.items[0].authorized]
    assert [9] == [one.sequence for one in answer.extra]
    assert State.MODIFIED is answer.state


@pytest.mark.req("R29 R30")
def test_everything_a_decision_says_is_kept() -> None:
    """Number, reason and the payer's words, dates, provider; what is absent is no error."""
    reason = {"coding": [{"system": pas.DECISION_REASON, "code": "0Q", "display": "Not covered"}]}
    review = reviewed(
        "A3",
        {"url": "number", "valueString": "AUTH1"},
        {"url": "reasonCode", "valueCodeableConcept": reason},
    )
    provider = {"url": "provider", "valueReference": {"reference": "Organization/clinic"}}
    whole = item(1, noteNumber=[2], extension=[
        {"url": pas.EXT_ISSUED, "valueDate": "2026-11-25"},
        {"url": pas.EXT_PERIOD, "valuePeriod": {"start": "2026-12-01", "end": "2026-12-31"}},
        {"url": pas.EXT_PROVIDER, "extension": [provider]},
    ]) | {"adjudication": [review]}  # fmt: skip
    notes = [{"number": 1, "text": "other"}, {"number": 2, "text": "Try therapy first."}]
    found, bare = decisions.read(response(whole, item(2, "A1"), processNote=notes), [1, 2]).items

    assert ("AUTH1", "2026-11-25") == (found.number, found.issued)
    assert (("0Q", "Not covered"),) == found.reasons
    assert ("Try therapy first.",) == found.notes
    assert ("2026-12-01", "2026-12-31") == found.period
    assert ("Organization/clinic",) == found.providers
    assert ("", "", ("", ""), ()) == (bare.number, bare.issued, bare.period, bare.providers)


def test_a_pended_answer_that_asks_is_a_question() -> None:
    """Its CommunicationRequests are kept; with a decision they change nothing."""
    asks = [{"reference": "CommunicationRequest/1"}]
    pended = decisions.read(response(item(1, "A4"), communicationRequest=asks), [1])
    decided = decisions.read(response(item(1, "A1"), communicationRequest=asks), [1])

    assert (State.MORE_INFORMATION, State.APPROVED) == (pended.state, decided.state)
    assert ("CommunicationRequest/1",) == pended.asks


def test_items_that_we_cancelled_do_not_count() -> None:
    """Only live items make the state; where all are gone, theirs do."""
    answer = response(item(1, "A1"), item(2, "C"))

    assert State.APPROVED is decisions.read(answer, [1, 2], cancelled=[2]).state
    assert State.CANCELLED is decisions.read(response(item(1, "C")), [1], cancelled=[1]).state


@pytest.mark.req("R31")
def test_what_is_unknown_is_left_alone_unless_it_changes_the_meaning() -> None:
    """An unknown extension is ignored, an unknown modifier extension is told."""
    unknown = {"url": "http://payer.example/x", "valueString": "y"}
    quiet = decisions.read(response(item(1, "A1", extension=[unknown])), [1])
    loud = decisions.read(response(item(1, "A1", modifierExtension=[unknown])), [1])

    assert ((), ("http://payer.example/x",)) == (quiet.flags, loud.flags)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (response(item(1, "A7")), "306"),
        (response(item(1, "A1"), item(1, "A3")), "twice"),
        (response(item(2, "A1")), "not asked for"),
        (response(item(1)), "without a review action"),
        (response(outcome="error"), "without a review action"),
        (response(item(1), adjudication=[reviewed("ZZ")]), "306"),
    ],
)
def test_a_contradiction_is_not_read(answer: dict[str, Any], why: str) -> None:
    """Nothing is guessed: a person looks at it."""
    with pytest.raises(Unreadable, match=why):
        decisions.read(answer, [1])


def test_review_actions_of_another_list_are_none() -> None:
    """The system counts, not the letters."""
    answer = response(item(1, "A1"))
    (adjudication,) = answer["item"][0]["adjudication"]
    concept = elements.extension_value(adjudication["extension"][0], pas.EXT_REVIEW_CODE)
    concept["coding"][0]["system"] = "http://payer.example/actions"

    with pytest.raises(Unreadable, match="306"):
        decisions.read(answer, [1])
