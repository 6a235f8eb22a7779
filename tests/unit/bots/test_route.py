"""Several routes as one: what goes on to the next, and what never does (x12 5.6)."""

from dataclasses import replace

import pytest
from msgspec import structs

from bots.connectors.route import Route
from bots.domain.eligibility import Answer, Reject
from bots.ports import Exchange, Failure
from bots.x12 import eligibility_271
from tests.fakes import FakeClearinghouse
from tests.unit.bots.test_270 import INQUIRY
from tests.x12_texts import answer_271

GOOD = Exchange("b", answer=eligibility_271.read(answer_271("EB*1**30")))


def failed(code: str, *, again: bool = True) -> Exchange:
    return Exchange("a", failure=Failure(code, "text", again=again))


def rejected(reason: str, follow_up: str = "C") -> Exchange:
    return Exchange("a", answer=Answer(rejects=(Reject("2100C", "N", reason, follow_up),)))


@pytest.mark.parametrize(
    ("first", "asked"),
    [
        (failed("not-delivered"), 1),
        (failed("route-failed"), 1),
        (failed("throttled"), 1),
        (failed("credentials"), 1),
        (failed("no-answer"), 1),
        (failed("payer-not-on-route", again=False), 1),
        (failed("request-refused", again=False), 0),
        (failed("rejected-by-clearinghouse", again=False), 0),
        (failed("unreadable-answer", again=False), 0),
        (rejected("42"), 1),
        (rejected("80"), 1),
        (rejected("42", follow_up="N"), 0),
        (
            Exchange(
                "a",
                answer=Answer(
                    rejects=(Reject("2100A", "Y", "42", "R"), Reject("2100C", "N", "75", "C"))
                ),
            ),
            0,
        ),
        (rejected("75"), 0),
        (rejected("72"), 0),
        (GOOD, 0),
    ],
)
def test_only_what_never_reached_the_payer_goes_on(first: Exchange, asked: int) -> None:
    """A payer's word on the data is the same by every route."""
    backup = FakeClearinghouse(GOOD)
    found = Route([FakeClearinghouse(first, first), backup]).check(INQUIRY, timeout_s=5)

    assert asked == len(backup.asked)
    assert replace(GOOD if asked else first, earlier=(first,) if asked else ()) == found


def test_the_most_hopeful_failure_is_told() -> None:
    """A payer's "not now" before a route's; one that may be repeated before one that may not."""
    final, hopeful, down = (
        failed("payer-not-on-route", again=False),
        failed("throttled"),
        rejected("42"),
    )

    def told(*exchanges: Exchange) -> Exchange:
        return Route([FakeClearinghouse(e, e) for e in exchanges]).check(INQUIRY, timeout_s=5)

    assert replace(hopeful, earlier=(final,)) == told(final, hopeful)
    assert replace(down, earlier=(hopeful,)) == told(hopeful, down)
    assert final.failure == told(final, final).failure


ROUTES = ("a", "b", "c")


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ((), ["a", "b", "c"]),
        ((("c", "live"), ("b", "supported")), ["c", "b", "a"]),
        ((("b", "live"),), ["b", "a", "c"]),
        ((("a", "not-supported"), ("b", "enrolment-needed"), ("c", "live")), ["c"]),
        ((("a", "pending"),), ["b", "c"]),
        ((("a", "a state of later"), ("nowhere", "live")), ["a", "b", "c"]),
    ],
)
def test_the_directory_says_which_route_goes_first(
    told: tuple[tuple[str, str], ...], expected: list[str]
) -> None:
    """Its order per payer before that of the settings; what may not be used is not asked."""
    houses = [
        FakeClearinghouse(replace(failed("route-failed"), route=name), name=name) for name in ROUTES
    ]
    found = Route(houses).check(structs.replace(INQUIRY, routes=told), timeout_s=5)
    tried = [one.route for one in (found, *found.earlier) if one.failure and one.failure.again]

    assert expected == tried
    assert set(expected) == {house.name for house in houses if house.asked}


@pytest.mark.parametrize(
    ("state", "code", "supported"),
    [
        ("not-supported", "payer-not-on-route", False),
        ("enrolment-needed", "enrolment-needed", True),
        ("pending", "enrolment-pending", True),
    ],
)
def test_a_closed_route_says_why(state: str, code: str, *, supported: bool) -> None:
    """Nothing goes out, and nothing is repeated by itself."""
    house = FakeClearinghouse(GOOD, name="a")
    failure = (
        Route([house]).check(structs.replace(INQUIRY, routes=(("a", state),)), timeout_s=5).failure
    )

    assert failure is not None
    assert ([], code, supported, False) == (
        house.asked, failure.code, failure.supported, failure.again)  # fmt: skip


def test_what_somebody_can_mend_is_told_before_what_nobody_can() -> None:
    """An enrolment that is on its way, and not the route that never will be."""
    houses = [FakeClearinghouse(name=name) for name in ("a", "b")]
    told = (("a", "not-supported"), ("b", "pending"))
    failure = Route(houses).check(structs.replace(INQUIRY, routes=told), timeout_s=5).failure

    assert failure is not None
    assert "enrolment-pending" == failure.code


def test_a_question_is_over_when_the_delivery_must_be() -> None:
    """However long a batch may wait for a payer."""
    now = [0.0]
    houses = [FakeClearinghouse(failed("route-failed"), name=name) for name in ("a", "b")]
    route = Route(houses, now=lambda: now[0], longest_s=30)
    route.check(structs.replace(INQUIRY, background=True), timeout_s=65)

    assert [[30.0], [30.0]] == [house.timeouts for house in houses]


def test_the_id_that_went_out_is_told() -> None:
    """The route's own before the plain one; none where nothing was sent."""
    sent = replace(GOOD, sent="ISA")
    own = structs.replace(INQUIRY, route_payer_ids=(("fake", "OWN"),))

    assert ["00099", ""] == [
        Route([FakeClearinghouse(one)]).check(own, timeout_s=5).payer_id for one in (sent, GOOD)
    ]


def test_no_route_is_a_mistake() -> None:
    """Said at the start, not at the first check."""
    with pytest.raises(ValueError, match="at least one"):
        Route([])


@pytest.mark.parametrize("code", ["not-delivered", "route-failed", "no-answer"])
def test_only_what_did_not_leave_is_tried_once_more(code: str) -> None:
    """x12 5.6: one quick retry by the same route, and none of a question that went out."""
    one = FakeClearinghouse(failed(code), GOOD)
    found = Route([one]).check(INQUIRY, timeout_s=5)

    assert (2 if code == "not-delivered" else 1) == len(one.asked)
    assert (code == "not-delivered") == (found.answer is not None)


OTHER = structs.replace(INQUIRY, payer_id="00088")
DOWN = rejected("42", follow_up="R")


@pytest.mark.req("R003-55")
@pytest.mark.parametrize("trouble", [failed("route-failed"), failed("no-answer"), DOWN])
def test_a_route_that_keeps_failing_for_a_payer_is_left_alone(trouble: Exchange) -> None:
    """Five times in a minute: then the next route at once, for this payer only; one try later."""
    now = [0.0]
    one = FakeClearinghouse(*[trouble] * 7, name="a")
    backup = FakeClearinghouse(*[GOOD] * 20, name="b")
    route = Route([one, backup], now=lambda: now[0])
    for _ in range(7):
        now[0] += 1
        assert route.check(INQUIRY, timeout_s=5).answer is not None
    assert 5 == len(one.asked)
    route.check(OTHER, timeout_s=5)
    assert 6 == len(one.asked)
    now[0] += 30
    route.check(INQUIRY, timeout_s=5)
    paused = route.check(INQUIRY, timeout_s=5).earlier[0].failure
    assert (7, "route-paused") == (len(one.asked), paused.code if paused else "")
    assert route.check(INQUIRY, timeout_s=5).route == "b"


def test_an_answer_lets_everything_through_again() -> None:
    """One question after the pause; answered, the route is as good as new."""
    now = [0.0]
    one = FakeClearinghouse(*[failed("route-failed")] * 5, GOOD, GOOD)
    route = Route([one], now=lambda: now[0])
    for _ in range(5):
        route.check(INQUIRY, timeout_s=5)
    failure = route.check(INQUIRY, timeout_s=5).failure
    assert failure is not None
    assert ("route-paused", True, 30) == (failure.code, failure.again, failure.after_s)
    now[0] += 30
    for _ in range(2):
        assert route.check(INQUIRY, timeout_s=5).answer is not None


def test_failures_far_apart_leave_a_route_open() -> None:
    """Four in a minute and one later are no reason."""
    now = [0.0]
    one = FakeClearinghouse(*[failed("route-failed")] * 9)
    route = Route([one], now=lambda: now[0])
    for _ in range(9):
        now[0] += 16
        assert route.check(INQUIRY, timeout_s=5).failure != Failure("route-paused", "", again=True)

    assert 9 == len(one.asked)
