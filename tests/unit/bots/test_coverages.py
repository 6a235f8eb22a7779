"""Availity's plans: each with its own dates, so that an old one never ends a new one."""

from datetime import date
from typing import Any

import pytest

from bots.domain import verdict
from bots.domain.verdict import Status
from bots.shapes import coverages, fields
from tests.unit.bots.test_shapes import BODIES

ON = date(2026, 11, 27)


def judged(*plans: dict[str, Any]) -> verdict.Verdict:
    body = fields.valid({**BODIES["coverages"], "plans": list(plans)}, "coverages")
    assert body is not None
    answer = coverages.read(body)
    assert answer is not None
    return verdict.judge(answer, ["30"], ON)


def plan(code: str, start: str, end: str = "", **more: Any) -> dict[str, Any]:
    found = {"planName": f"PLAN {start}", "statusCode": code, "coverageStartDate": start, **more}
    return found | ({"coverageEndDate": end} if end else {})


OLD = plan("1", "2025-01-01", "2026-06-30")
GONE = plan("6", "2025-01-01", "2025-12-31")
NEW = plan("1", "2026-07-01")
TOLD = [{"type": "30", "statusCode": "1"}]


@pytest.mark.parametrize("others", [(OLD, NEW), (NEW, OLD), (GONE, NEW), (NEW, GONE)])
def test_an_old_plan_does_not_end_a_new_one(others: tuple[dict[str, Any], ...]) -> None:
    """In either order, whichever status the old one has."""
    found = judged(*others)

    assert (Status.ACTIVE, date(2026, 7, 1), None) == (found.status, found.start, found.end)


def test_a_plan_told_by_its_benefit_keeps_its_dates() -> None:
    """The status stands on the benefit of type 30; the dates on the plan, or beside the status."""
    ended = judged(plan("1", "2025-01-01", "2026-06-30", benefits=TOLD))
    beside = judged({"benefits": [{**TOLD[0], "coverageStartDate": "2025-01-01",
                                   "coverageEndDate": "2025-12-31"}]})  # fmt: skip

    assert [Status.INACTIVE] * 2 == [ended.status, beside.status]
    two = judged({**OLD, "benefits": TOLD}, {**NEW, "benefits": TOLD})
    assert Status.ACTIVE is two.status
