"""Is the plan in force? Each row of the decision table (x12 3.7; prior-art checks 4, 5, 8)."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bots.domain import verdict
from bots.domain.eligibility import Answer
from bots.domain.verdict import Status
from bots.x12 import eligibility_271
from tests.x12_texts import answer_271, reject_271

ON = date(2026, 11, 24)
TABLE = [
    (["EB*1**30"], Status.ACTIVE, []),
    (["EB*4**30"], Status.ACTIVE, []),
    (["EB*1"], Status.ACTIVE, []),
    (["EB*5**30"], Status.ACTIVE, ["pending"]),
    (["EB*6**30"], Status.INACTIVE, []),
    (["EB*7**30"], Status.INACTIVE, []),
    (["EB*8"], Status.INACTIVE, []),
    (["EB*1**30", "EB*6**30"], Status.ACTIVE, ["mixed"]),
    (["EB*1**30*MA", "EB*1**30*MB"], Status.ACTIVE, ["multi-plan"]),
    (["EB*1**98"], Status.ACTIVE, ["no-plan-level"]),
    (["EB*1**30", "EB*6**35"], Status.ACTIVE, []),
    (["EB*6**98"], Status.NOT_COVERED, ["no-plan-level"]),
    (["EB*I**98"], Status.NOT_COVERED, ["no-plan-level"]),
    (["EB*B**98***27*25"], Status.UNKNOWN, ["no-status"]),
    (["EB*U**30"], Status.UNKNOWN, ["contact-payer"]),
    (["EB*1**30", "EB*R**30"], Status.ACTIVE, ["other-payer"]),
    (["EB*1**30", "EB*R**88"], Status.ACTIVE, []),
    (["EB*1**30", "AAA*N**70*C"], Status.ACTIVE, ["partial"]),
    ([], Status.UNKNOWN, ["no-status"]),
]


@pytest.mark.parametrize(("rows", "status", "flags"), TABLE)
def test_the_decision_table(rows: list[str], status: Status, flags: list[str]) -> None:
    """Silence is never active, and never inactive."""
    found = verdict.judge(eligibility_271.read(answer_271(*rows)), ["30"], ON)

    assert (status, flags) == (found.status, list(found.flags))


@pytest.mark.parametrize(
    ("reasons", "status"),
    [
        (["75"], Status.NOT_FOUND),
        (["72", "73"], Status.NOT_FOUND),
        (["42"], Status.OUTAGE),
        (["80"], Status.OUTAGE),
        (["41"], Status.REJECTED),
        (["51"], Status.REJECTED),
        (["62"], Status.REJECTED),
        (["15"], Status.REJECTED),
    ],
)
def test_a_reject_is_never_inactive(reasons: list[str], status: Status) -> None:
    """prior-art check 5: not found, payer down and refused are states of their own."""
    text = reject_271(*(f"AAA*N**{reason}*C" for reason in reasons))
    found = verdict.judge(eligibility_271.read(text), ["30"], ON)

    assert (status, None) == (found.status, found.inforce)


@pytest.mark.parametrize(
    ("start", "end", "status"),
    [
        ("20261124", "20261231", Status.ACTIVE),
        ("20260101", "20261124", Status.ACTIVE),
        ("20261125", "20271231", Status.INACTIVE),
        ("20260101", "20261123", Status.INACTIVE),
    ],
)
def test_the_days_at_the_edges(start: str, end: str, status: Status) -> None:
    """The first and the last day are inside; the day before and after are not."""
    rows = [f"DTP*346*D8*{start}", f"DTP*347*D8*{end}", "EB*1**30"]
    found = verdict.judge(eligibility_271.read(answer_271(*rows)), ["30"], ON)

    assert status is found.status
    assert (status is Status.INACTIVE) == ("status-date-conflict" in found.flags)


@pytest.mark.parametrize(
    ("rows", "start", "end"),
    [
        (["EB*1**30", "DTP*291*D8*20260301"], date(2026, 3, 1), None),
        (["EB*1**30", "DTP*291*RD8*20260101-20261231"], date(2026, 1, 1), date(2026, 12, 31)),
        (["DTP*346*D8*20250101", "EB*1**30", "DTP*346*D8*20260201"], date(2026, 2, 1), None),
        (["DTP*347*D8*20261231", "EB*1**30"], None, date(2026, 12, 31)),
        (["DTP*307*RD8*20260101-20261231", "EB*1**30"], date(2026, 1, 1), date(2026, 12, 31)),
        (["DTP*636*D8*20260101", "EB*1**30"], None, None),
    ],
)
def test_plan_dates(rows: list[str], start: date | None, end: date | None) -> None:
    """The row's own dates win; a pair joins; a lone end has no start (x12 3.6)."""
    found = verdict.judge(eligibility_271.read(answer_271(*rows)), ["30"], ON)

    assert (start, end) == (found.start, found.end)


def test_an_ended_service_is_not_active() -> None:
    """Service-level rows have dates too."""
    text = answer_271("EB*1**98", "DTP*347*D8*20200101")
    found = verdict.judge(eligibility_271.read(text), ["30"], ON)

    assert (Status.INACTIVE, False) == (found.status, found.inforce)


def test_a_single_date_may_be_the_day_asked() -> None:
    """DTP 307 of tomorrow: uncertain, so flagged, never an alarm."""
    text = answer_271("EB*1**30", "DTP*307*D8*20261125")
    found = verdict.judge(eligibility_271.read(text), ["30"], ON)

    assert Status.ACTIVE is found.status
    assert ("as-of-date", "status-date-conflict") == found.flags


def test_an_ended_plan_beside_the_new_one() -> None:
    """The dates of the plan that holds are the ones that count."""
    rows = ["EB*6**30*PR*OLD", "DTP*346*D8*20240101", "DTP*347*D8*20251231",
            "EB*1**30*PR*NEW", "DTP*346*D8*20260101"]  # fmt: skip
    found = verdict.judge(eligibility_271.read(answer_271(*rows)), ["30"], ON)

    assert (Status.ACTIVE, date(2026, 1, 1)) == (found.status, found.start)


def test_an_old_active_line_beside_the_end() -> None:
    """Active in the past, ended now: not in force."""
    rows = ["EB*1**30", "DTP*291*RD8*20240101-20251231", "EB*6**30", "DTP*346*D8*20260101"]
    found = verdict.judge(eligibility_271.read(answer_271(*rows)), ["30"], ON)

    assert Status.INACTIVE is found.status


@given(st.lists(st.sampled_from("A B C F G R D L MC H E I".split()), max_size=6))  # noqa: SIM905
def test_without_a_status_row_nothing_is_in_force(kinds: list[str]) -> None:
    """Whatever else a payer sends: no EB01 of 1 to 8, no word on the plan."""
    text = answer_271(*(f"EB*{kind}**30***27*5" for kind in kinds))
    found = verdict.judge(eligibility_271.read(text), ["30"], ON)

    assert found.inforce is None


def test_an_empty_answer_is_unknown() -> None:
    """The default of every value is not "active"."""
    assert Status.UNKNOWN is verdict.judge(Answer(), ["30"], ON).status
