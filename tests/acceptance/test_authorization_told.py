"""What a payer tells by phone, fax or portal is recorded by a person, and counts as its answer."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, Page, expect

from fhir_profiles import decisions, prior_auth
from fhir_profiles.decisions import Action
from tests import pas as given
from tests.acceptance.test_authorizations_page import opened, task
from tests.acceptance.test_prior_auth import payer
from tests.contract.payer import of_code
from tests.programs import Programs, wait_for

pytestmark = [pytest.mark.loopback, pytest.mark.browser]
Resource = dict[str, Any]


@pytest.fixture(scope="module")
def programs(
    tmp_path_factory: pytest.TempPathFactory, new_database: Callable[[], str]
) -> Iterator[Programs]:
    started = Programs(tmp_path_factory.mktemp("told"), new_database())
    by_hand = {**payer(), "endpoint": []}
    with started.running(*given.world({k: v for k, v in by_hand.items() if v != []})):
        for name in ("hand", "wrong", "none"):
            assert started.put(of_code("97110", "22612", fhir_id=name)).ok
            answer = requests.post(f"{started.fhir}/Claim/{name}/$submit", timeout=30)
            assert answer.ok  # people send it: pended
        yield started


def standing(programs: Programs, name: str) -> str:
    return prior_auth.status(task(programs, name))


def say_of_both(page: Page, word: str, by: str) -> None:
    page.get_by_text("Record what the payer told…").click()
    for line in ("1. 97110", "2. 22612"):
        page.get_by_label(line).select_option(word)
    page.get_by_label("Who told it, and how").fill(by)
    page.get_by_role("button", name="Record it").press("Enter")


def test_a_request_by_hand_is_decided_by_what_a_person_records(
    programs: Programs, browser: Browser
) -> None:
    """In review first, which starts the clock, then item by item, at last cancelled."""
    address = f"{programs.server}/authorizations/{task(programs, 'hand')['id']}"
    page = opened(browser, address)
    say_of_both(page, "In review", "fax confirmation")
    expect(page.get_by_role("status")).to_contain_text("is being recorded")
    wait_for(lambda: standing(programs, "hand") == "pended", "the review")
    assert task(programs, "hand")["restriction"]["period"]["end"]

    page.goto(address)
    page.get_by_text("Record what the payer told…").click()
    page.get_by_label("1. 97110").select_option("Approved")
    page.get_by_label("Approved number, if another").first.fill("5")
    page.get_by_label("2. 22612").select_option("Denied")
    page.get_by_label("Authorization number").fill("PHONE-7")
    page.get_by_label("Last day").fill("2027-02-28")
    page.get_by_label("Who told it, and how").fill("Kim at the payer, phone")
    page.get_by_label("Its words").fill("Therapy only.")
    page.get_by_role("button", name="Record it").click()
    wait_for(lambda: standing(programs, "hand") == "partial", "the decision")
    found = task(programs, "hand")
    (response,) = programs.search(
        f"ClaimResponse?_id={prior_auth.part(found, prior_auth.RESPONSE).partition('/')[2]}"
    )
    first, second = decisions.read(response, [1, 2]).items

    assert (Action.MODIFIED, Action.DENIED) == (first.action, second.action)
    assert ("PHONE-7", ("", "2027-02-28")) == (first.number, first.period)
    assert [5] == [one["quantity"]["value"] for one in first.authorized]
    assert ("Told by Kim at the payer, phone: Therapy only.",) == second.notes
    page.goto(address)
    expect(page.locator("main")).to_contain_text("Told by Kim at the payer")
    say_of_both(page, "Cancelled", "portal")
    wait_for(lambda: standing(programs, "hand") == "cancelled", "the cancellation")
    page.goto(address)
    expect(page.get_by_text("Record what the payer told…")).to_have_count(0)
    reports = programs.search(f"MeasureReport?evaluated-resource=Task/{found['id']}")
    assert any("by-hand" in str(one) for one in reports)
    page.context.close()


@pytest.mark.parametrize(
    ("form", "wrong"),
    [
        ({"decision-1": "A1"}, "wrong-by"), ({"by": "Kim"}, "wrong-decision"),
        ({"by": "Kim", "decision-1": "ZZ"}, "wrong-decision"),
        ({"by": "Kim", "decision-1": "A1", "units-1": "few"}, "wrong-units"),
        ({"by": "Kim", "decision-1": "A1", "start": "2027-02-01", "end": "2027-01-01"},
         "wrong-end"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_named_and_not_recorded(
    programs: Programs, form: dict[str, str], wrong: str
) -> None:
    """422; what was filled in stays."""
    address = f"{programs.server}/authorizations/{task(programs, 'wrong')['id']}/record"
    answer = requests.post(address, data=form, timeout=9)

    assert 422 == answer.status_code
    assert f'id="{wrong}"' in answer.text
    assert "ready" == standing(programs, "wrong")


def test_nothing_is_recorded_where_nothing_waits(programs: Programs) -> None:
    """A request that was withheld; 404 with the next step."""
    address = f"{programs.server}/authorizations/{task(programs, 'none')['id']}"
    assert requests.post(f"{address}/withhold", timeout=9).ok
    told = {"by": "Kim", "decision-1": "A1"}

    assert 404 == requests.post(f"{address}/record", data=told, timeout=9).status_code
