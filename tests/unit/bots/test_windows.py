"""The boundary matrix of effective dates, case by case, and what holds for any events."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bots.domain import plan_rules, windows
from bots.domain.plan_rules import End, Start
from bots.domain.windows import Event, Kind, Segment, Standing
from fhir_profiles import codec

FIXTURES = Path(__file__).parents[3] / "fixtures"
CASES = codec.decode((FIXTURES / "windows/matrix.json").read_bytes())
EARLIEST = date(2026, 1, 1)


def event(told: dict[str, Any]) -> Event:
    end = date.fromisoformat(told["end"]) if "end" in told else None
    return Event(
        Kind(told["kind"]),
        told["plan"],
        date.fromisoformat(told["known"]),
        start=date.fromisoformat(told["start"]) if "start" in told else None,
        end=windows.uncovered_from(end, is_exclusive=told.get("endIsExclusive", False)),
        rank=told.get("rank", 1),
        status=told.get("status", ""),
    )


def words(found: Standing) -> str:
    """Return what holds as the matrix writes it: plan#rank(status), and flags."""
    told = [f"{s.plan}#{s.rank}" + (f"({s.status})" if s.status else "") for s in found.segments]
    return " ".join(["+".join(told) or "none", *(f"!{flag}" for flag in found.flags)])


def by_rule(ask: dict[str, Any]) -> Any:
    """Return what a plan's rule gives for a case without events."""
    if "birthday" in ask:
        born, late = date.fromisoformat(ask["birthday"]), ask.get("leapDayIs28th", False)
        return plan_rules.birthday(born, ask["age"], leap_day_is_28th=late).isoformat()
    day = date.fromisoformat(ask["day"])
    if "ends" in ask:
        return plan_rules.ends(End(ask["ends"]), day).isoformat()
    rule = Start(ask.get("begins") or ask["waits"])
    first = plan_rules.begins(rule, day, ask.get("days", 0))
    return plan_rules.waits_too_long(day, first) if "waits" in ask else first.isoformat()


def by_events(case: dict[str, Any]) -> Any:
    """Return what the events of a case come to."""
    ask = case["ask"]
    as_of = date.fromisoformat(ask["asOf"]) if "asOf" in ask else None
    folded = windows.fold(map(event, case["events"]), as_of)
    of_plan = {s.plan: [o for o in folded if o.plan == s.plan] for s in folded}
    if "count" in ask:
        return len(of_plan[ask["count"]])
    if "period" in ask:
        (only,) = of_plan[ask["period"]]
        return windows.period(only)
    if "between" in ask:
        first, second = (of_plan[plan][0] for plan in ask["between"])
        assert first.end is not None
        return (second.start - first.end).days
    if "stay" in ask:
        days = map(date.fromisoformat, ask["stay"])
        return words(windows.of_stay(folded, *days, splits=ask["splits"]))
    return words(windows.on(folded, date.fromisoformat(ask["on"])))


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_the_boundary_matrix(case: dict[str, Any]) -> None:
    """W01 to W68 of the effective-date rules."""
    found = by_events(case) if "events" in case else by_rule(case["ask"])

    assert case["expected"] == found


def test_the_matrix_is_whole() -> None:
    """68 cases, each once."""
    assert [f"W{n:02}" for n in range(1, 69)] == [case["id"] for case in CASES]


@pytest.mark.parametrize(
    ("day", "gap"), [("2025-12-30", 2), ("2026-02-01", 1), ("2026-02-10", 10), ("2026-03-30", 2)]
)
def test_an_uncovered_day_tells_how_far_the_coverage_is(day: str, gap: int) -> None:
    """Days to the nearest covered one, before or after."""
    there = [Segment("A", date(2026, 1, 1), date(2026, 2, 1)), Segment("A", date(2026, 4, 1))]

    assert Standing(gap_days=gap) == windows.on(there, date.fromisoformat(day))
    assert windows.on([], date(2026, 1, 1)).gap_days is None


def test_a_retroactive_change_names_the_days_to_check_again() -> None:
    """From the day that is not covered after all; nothing where nothing changed."""
    before = windows.fold([Event(Kind.ENROLL, "A", EARLIEST, EARLIEST)])
    ended = [Event(Kind.ENROLL, "A", EARLIEST, EARLIEST),
             Event(Kind.TERM, "A", date(2026, 5, 20), end=date(2026, 4, 1)),
             Event(Kind.ENROLL, "B", date(2026, 6, 1), date(2026, 7, 1))]  # fmt: skip
    after = windows.fold(ended)

    assert [] == windows.changed(before, before)
    assert [(date(2026, 4, 1), None)] == windows.changed(before, after)
    assert [(date(2026, 7, 1), None)] == windows.changed(windows.fold(ended[:2]), after)


DAYS = st.integers(0, 40).map(lambda n: EARLIEST + timedelta(days=n))
EVENTS = st.lists(
    st.builds(
        Event, st.sampled_from(Kind), st.sampled_from("AB"), DAYS,
        start=st.one_of(st.none(), DAYS), end=st.one_of(st.none(), DAYS),
        rank=st.integers(1, 2), status=st.sampled_from(["", "grace"]),
    ), max_size=8,
)  # fmt: skip


@given(EVENTS, st.randoms(use_true_random=False))
def test_any_events_fold_to_sound_segments(events: list[Event], random: Any) -> None:
    """No empty or overlapping days of one plan; told twice is told once; order of known days."""
    folded = windows.fold(events)
    for one in folded:
        assert one.end is None or one.start < one.end
        others = [o for o in folded if o.plan == one.plan and o is not one]
        assert not any(o.holds(one.start) for o in others)
    assert folded == windows.fold([one for one in events for _ in range(2)])
    if len({one.known for one in events}) == len(events):
        shuffled = list(events)
        random.shuffle(shuffled)
        assert folded == windows.fold(shuffled)


@given(EVENTS, DAYS)
def test_nothing_is_known_before_it_is_told(events: list[Event], day: date) -> None:
    """As of a day, later news does not exist."""
    known = [one for one in events if one.known <= day]

    assert windows.fold(known) == windows.fold(events, as_of=day)
