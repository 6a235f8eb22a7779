"""The record of each exchange about a prior authorization, and their summary."""

from copy import deepcopy
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from bots import payer_notices, prior_auth_report
from bots import prior_auth as room
from bots.mapping import pas_metric
from bots.ports import Failure, Submission, Tools
from fhir_profiles import elements, pas, prior_auth, systems
from server.validation import structure
from tests import pas as given
from tests.contract.payer import of_code
from tests.fakes import NOW, FakeFhir, FakePayer, tools
from tests.unit.bots.test_payer_notices import hear, message, newer
from tests.unit.bots.test_prior_auth import answered, run, the_task, updated, world

Resource = dict[str, Any]
DAY = date(2026, 11, 24)


def records(fhir: FakeFhir) -> list[Resource]:
    return [one for one in fhir.all("MeasureReport") if one["measure"] == prior_auth.EXCHANGE]


def kinds(fhir: FakeFhir) -> list[str]:
    return [elements.code(one["group"][0]["code"], prior_auth.METRIC) for one in records(fhir)]


def at(fhir: FakeFhir, moment: datetime) -> Tools:
    """Return the tools at a moment."""
    return tools(fhir, now=lambda: moment)


def said(group: Resource) -> dict[str, str]:
    """Return the stratifiers of a group by name."""
    return {
        one["code"][0]["coding"][0]["code"]: one["stratum"][0]["value"]["text"]
        for one in group.get("stratifier", [])
    }


@pytest.mark.req("R72")
def test_an_exchange_is_recorded_with_what_was_decided() -> None:
    """By whom, of whom, how, how long, and each item's decision with its reason; no patient."""
    fhir = world(of_code("97110", "22612", "72148"))
    run(fhir)
    (found,) = records(fhir)
    head, *items = found["group"]

    assert [] == structure.check(found)
    assert ["initial"] == kinds(fhir)
    assert {
        "method": "restful", "payer": "Organization/payer", "urgency": "standard",
        "request": "Claim/pa/_history/1",
    } == said(head)  # fmt: skip
    assert [{"reference": "Task/pa"}] == found["evaluatedResource"]
    assert ["A1", "A3", "A4"] == [said(one)["review-action"] for one in items]
    assert "01" == said(items[1])["reason-1"]
    assert [True, True, False] == ["measureScore" in one for one in items]
    assert "Rivera" not in str(found)
    assert "Patient" not in str(found)


@pytest.mark.req("R33 R72")
@pytest.mark.parametrize(("seconds", "slow"), [(15, False), (16, True)])
def test_the_time_from_the_click_is_recorded(
    seconds: int, slow: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """From the moment that the Task was turned; above 15 s a warning is logged and kept."""
    fhir = world()
    (task,) = fhir.all("Task")
    turned = (NOW - timedelta(seconds=seconds)).isoformat()
    fhir.put({**task, "meta": {"lastUpdated": turned}})
    run(fhir)
    (found,) = records(fhir)

    assert {"value": seconds, "unit": "s", "code": "s"} == {
        k: v for k, v in found["group"][0]["measureScore"].items() if k != "system"
    }
    assert slow is ("slow" in said(found["group"][0]))
    assert slow is ("more than 15 s" in caplog.text)


@pytest.mark.req("R72")
@pytest.mark.parametrize(
    ("answer", "issue"),
    [
        (Submission(failure=Failure("request-refused", "No.", again=False)), "request-refused"),
        (Submission(b"x"), "unreadable"),
    ],
)
def test_what_failed_is_recorded_too(answer: Submission, issue: str) -> None:
    """With why, and no items."""
    fhir = world()
    run(fhir, answer)
    (found,) = records(fhir)

    assert issue == said(found["group"][0])["issue"]
    assert 1 == len(found["group"])


@pytest.mark.req("R72")
def test_an_update_and_a_later_word_are_exchanges_of_their_own() -> None:
    """So that volumes can be told apart."""
    first = of_code("97110")
    fhir, _ = updated(first, first["item"][0])

    assert ["initial", "update"] == kinds(fhir)
    assert 1 == len(pas_metric.decided(records(fhir)))


@pytest.mark.req("R71")
def test_what_an_update_changed_is_decided_anew() -> None:
    """What it left alone is not; a new item is one more."""
    first = of_code("97110", "22612")
    changed = {**first["item"][1], "productOrService": given.coded(systems.CPT, "97112")}
    fhir, _ = updated(first, first["item"][0], changed, given.item(3))

    assert [True, False, True, True] == [
        one.is_approved for one in pas_metric.decided(records(fhir))
    ]


@pytest.mark.req("R71")
def test_what_an_update_added_and_the_next_left_alone_counts_once() -> None:
    """It is the same item, under another Task."""
    first = of_code("97110")
    fhir, _ = updated(first, first["item"][0], given.item(2))
    made = records(fhir)
    again = deepcopy(made[-1])
    again["evaluatedResource"] = [{"reference": "Task/later"}]
    for group in again["group"][1:]:
        group["stratifier"] = [
            one for one in group["stratifier"] if "changed" not in str(one["code"])
        ]

    assert 2 == len(pas_metric.decided([*made, again]))


@pytest.mark.req("R71")
def test_what_was_decided_before_is_no_first_decision() -> None:
    """A period counts what was decided first in it."""
    fhir = world(of_code("22612"))
    run(fhir)
    later = NOW + timedelta(days=3)
    hear(fhir, message(newer(fhir, "97110"), count=1), at(fhir, later))
    days = [NOW.date(), later.date()]
    found = [
        prior_auth_report.run(tools(fhir, now=lambda: later), day, day)["group"][0]["population"]
        for day in days
    ]

    assert [1, 0] == [counts[0]["count"] for counts in found]


@pytest.mark.req("R72")
def test_a_stop_before_the_task_moves_loses_no_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is made before, and once: the same exchange told again makes no second one."""
    fhir = world()

    class Killed(Exception):
        pass

    def die(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as dead, pytest.raises(Killed):
        dead.setattr(room, "move", die)
        run(fhir)
    assert ("ready", ["initial"]) == (prior_auth.status(the_task(fhir)), kinds(fhir))
    run(fhir)

    assert ("approved", ["initial"]) == (prior_auth.status(the_task(fhir)), kinds(fhir))


@pytest.mark.req("R72")
def test_an_inquiry_that_comes_to_nothing_is_recorded() -> None:
    """What failed, and that the payer knows nothing of it."""
    fhir = world(of_code("72148"))
    run(fhir)
    down = Submission(failure=Failure("not-delivered", "The payer is away.", again=True))
    for hours, answer in ((1, down), (3, Submission(b"{}", answer={"resourceType": "Parameters"}))):
        case = room.case_of(the_task(fhir), tools(fhir))
        assert case is not None
        later = NOW + timedelta(hours=hours)
        payer_notices.inquire(case, replace(at(fhir, later), prior_auth=FakePayer(answer)))

    assert ["initial", "query", "query"] == kinds(fhir)
    assert ["not-delivered", "unknown-request"] == [
        said(one["group"][0])["issue"] for one in records(fhir)[1:]
    ]


@pytest.mark.req("R71")
def test_the_summary_counts_each_item_once_by_its_first_decision() -> None:
    """A pended item is decided by the later word, and takes the time since it was sent."""
    fhir = world(of_code("72148"))
    run(fhir)
    later = NOW + timedelta(hours=30)
    hear(fhir, message(newer(fhir, "97110"), count=1), at(fhir, later))
    hear(fhir, message(newer(fhir, "22612", 120), count=2), at(fhir, later + timedelta(hours=1)))
    made = prior_auth_report.run(tools(fhir, now=lambda: later), DAY, DAY + timedelta(days=3))
    scores = {
        elements.code(one["code"], prior_auth.METRIC): one.get("measureScore", {}).get("value")
        for one in made["group"]
    }

    assert [] == structure.check(made)
    assert (1, 0) == (scores["standard-approved"], scores["standard-denied"])
    assert (30, 30) == (scores["standard-average-time"], scores["standard-median-time"])
    assert scores["expedited-approved"] is None
    assert scores["expedited-median-time"] is None
    assert made == prior_auth_report.run(
        tools(fhir, now=lambda: later), DAY, DAY + timedelta(3)
    ) | {"meta": made["meta"]}


@pytest.mark.parametrize(
    ("code", "level", "name"),
    [("97110", "U", "expedited-approved"), ("22612", "03", "expedited-denied"),
     ("22612", "E", "standard-denied")],
)  # fmt: skip
def test_an_urgent_one_counts_as_expedited(code: str, level: str, name: str) -> None:
    """By its level of service (X12 1338)."""
    concept = given.coded(pas.LEVEL_OF_SERVICE, level)
    wish = [{"url": pas.EXT_LEVEL_OF_SERVICE, "valueCodeableConcept": concept}]
    fhir = world(of_code(code, extension=wish))
    run(fhir, answered)
    made = prior_auth_report.run(tools(fhir), DAY, DAY)
    ones = {
        elements.code(one["code"], prior_auth.METRIC)
        for one in made["group"]
        if len(one["population"]) == 2 and one["population"][1]["count"] == 1
    }

    assert {name} == ones


def test_when_it_went_out_stays() -> None:
    """A later word does not move it."""
    fhir = world(of_code("72148"))
    run(fhir)
    (task,) = [one for one in fhir.all("Task") if prior_auth.status(one)]

    assert NOW == prior_auth.sent_at(task)
    assert task == prior_auth.with_sent(task, NOW + timedelta(days=1))
