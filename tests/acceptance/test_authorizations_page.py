"""The pages of prior authorizations in a real browser: the worklist, and one with its story."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, Page, expect

from fhir_profiles import prior_auth
from tests import browser_tools
from tests import pas as given
from tests.acceptance.test_prior_auth import endpoint, payer
from tests.contract.payer import of_code
from tests.programs import Programs, wait_for

pytestmark = [pytest.mark.loopback, pytest.mark.browser, pytest.mark.node]
Resource = dict[str, Any]
CLAIMS = {
    "approved": ["97110", "36415"], "denied": ["22612"], "partial": ["97110", "22612"],
    "modified": ["97112"], "pended": ["72148"], "more-information": ["63685"],
    "send-failed": ["99499"], "draft": ["97110"],
}  # fmt: skip


@pytest.fixture(scope="module")
def programs(
    tmp_path_factory: pytest.TempPathFactory, new_database: Callable[[], str]
) -> Iterator[Programs]:
    started = Programs(tmp_path_factory.mktemp("authorizations"), new_database())
    with started.running(*given.world(payer(), endpoint(started))):
        for name, codes in CLAIMS.items():
            claim = of_code(*codes, fhir_id=name)
            if name == "pended":
                requests.put(f"{started.sandbox}/_control/decisions/PA-pended", timeout=9,
                             json={"items": [{"sequence": 1, "code": "A4"}]})  # fmt: skip
                claim["item"][0]["servicedDate"] = "2026-11-20"
            if name == "draft":
                del claim["item"][0]["category"]
            assert started.put(claim).ok
            requests.post(f"{started.fhir}/Claim/{name}/$submit", timeout=30)
        yield started


def opened(browser: Browser, address: str, *, scripts: bool = False) -> Page:
    page = browser.new_context(
        viewport={"width": 1366, "height": 768}, java_script_enabled=scripts
    ).new_page()  # fmt: skip
    page.goto(address)
    return page


def task(programs: Programs, name: str) -> Resource:
    (found,) = programs.search(f"Task?focus=Claim/{name}")
    return found


def test_the_worklist_stands_by_the_clock(programs: Programs, browser: Browser) -> None:
    """What is open: by the time left, then what waits for us; a word and a next step for each."""
    page = opened(browser, f"{programs.server}/authorizations")
    states = page.locator("tbody td[data-label=State]").all_inner_texts()

    assert ["In review", "More information asked"] == sorted(t.lstrip("…!\n ") for t in states[:2])
    assert 4 == len(states)
    expect(page.locator("tbody tr").first).to_contain_text("days left")
    expect(page.locator("tbody")).to_contain_text("before decision")
    expect(page.locator("tbody")).to_contain_text("item[0].category")
    page.context.close()


@pytest.mark.parametrize("state", ["denied", "modified", "open"])
def test_a_filter_stands_in_the_address(programs: Programs, browser: Browser, state: str) -> None:
    """By keyboard, without JavaScript; the way back restores it."""
    page = opened(browser, f"{programs.server}/authorizations")
    page.get_by_label("State").select_option(state)
    page.get_by_role("button", name="Show").press("Enter")

    assert f"/authorizations?state={state}&" in page.url
    assert {"denied": 1, "modified": 1, "open": 4}[state] == page.locator("tbody tr").count()
    page.context.close()


@pytest.mark.req("R27 R29 R30")
def test_one_shows_what_was_decided_on_each_service(programs: Programs, browser: Browser) -> None:
    """With number, validity, reason and the payer's words; what was approved instead beside it."""
    partial = opened(browser, f"{programs.server}/authorizations/{task(programs, 'partial')['id']}")
    rows = partial.locator("tbody tr")
    expect(rows.nth(0)).to_contain_text("AUTH")
    expect(rows.nth(0)).to_contain_text("X12 306 A1")
    expect(rows.nth(1)).to_contain_text("Try six weeks of therapy first.")
    expect(rows.nth(1)).to_contain_text("X12 886 01")
    partial.context.close()
    changed = opened(
        browser, f"{programs.server}/authorizations/{task(programs, 'modified')['id']}"
    )
    expect(changed.locator("tbody tr")).to_contain_text("× 8")
    expect(changed.locator("tbody td[data-label='Approved instead']")).to_contain_text("× 4")
    changed.context.close()


def test_what_the_payer_asks_for_is_shown(programs: Programs, browser: Browser) -> None:
    """The codes as they came, and the story with its turns."""
    page = opened(
        browser, f"{programs.server}/authorizations/{task(programs, 'more-information')['id']}"
    )

    expect(page.locator("main")).to_contain_text("document of LOINC 34117-2")
    expect(page.locator("main")).to_contain_text("document of X12 755 OB")
    expect(page.locator("main")).to_contain_text("a questionnaire to fill in")
    expect(page.locator("ol li")).to_have_count(2)
    page.context.close()


def test_a_person_asks_the_payer(programs: Programs, browser: Browser) -> None:
    """By a button; what came of it stands on the page."""
    address = f"{programs.server}/authorizations/{task(programs, 'pended')['id']}"
    page = opened(browser, address)
    page.get_by_role("button", name="Ask now").click()
    expect(page.get_by_role("status")).to_contain_text("The payer is asked")
    wait_for(lambda: "The payer answered." in requests.get(address, timeout=9).text, "the inquiry")
    page.context.close()


def test_a_draft_is_mended_and_sent(programs: Programs, browser: Browser) -> None:
    """The Claim is completed, the person sends it."""
    claim = of_code("97110", fhir_id="mended")
    category = claim["item"][0].pop("category")
    assert programs.put(claim).ok
    assert 422 == requests.post(f"{programs.fhir}/Claim/mended/$submit", timeout=30).status_code
    found = task(programs, "mended")
    claim["item"][0]["category"] = category
    assert programs.put(claim).ok
    page = opened(browser, f"{programs.server}/authorizations/{found['id']}")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("status")).to_contain_text("The request is sent")
    wait_for(lambda: prior_auth.status(task(programs, "mended")) == "approved", "the decision")
    page.reload()

    expect(page.locator(".band")).to_contain_text("Approved")
    expect(page.get_by_role("button", name="Send")).to_have_count(0)
    page.context.close()


@pytest.mark.parametrize("name", ["", *CLAIMS])
@pytest.mark.parametrize(("width", "theme"), browser_tools.VIEWS)
def test_everybody_can_use_the_pages(
    programs: Programs, browser: Browser, name: str, width: int, theme: str
) -> None:
    """0 axe violations, in light and dark, wide and at 320 px, where nothing scrolls sideways."""
    path = f"authorizations/{task(programs, name)['id']}" if name else "authorizations?state=all"

    assert [] == browser_tools.violations(browser, f"{programs.server}/{path}", width, theme)


def test_another_task_is_no_authorization(programs: Programs) -> None:
    """404, with the next step."""
    other = {"resourceType": "Task", "id": "other", "status": "requested", "intent": "order"}
    assert programs.put(other).ok

    assert [404, 404] == [
        requests.get(f"{programs.server}/authorizations/{fhir_id}", timeout=9).status_code
        for fhir_id in ("other", "none")
    ]


def taken(programs: Programs, address: str, count: int) -> bool:
    """Tell whether the payer has taken so many documents, or decided upon them."""
    if prior_auth.status(task(programs, "documents")) == "approved":
        return True
    return requests.get(address, timeout=9).text.count("The payer took it.") == count


@pytest.mark.req("R74")
def test_what_the_payer_asks_for_is_sent_and_decided(programs: Programs, browser: Browser) -> None:
    """By a person, for each thing asked for; after the last one the payer approves."""
    form = {
        "resourceType": "QuestionnaireResponse", "id": "form", "status": "completed",
        "subject": {"reference": "Patient/pat"}, "authored": "2026-11-25",
    }  # fmt: skip
    assert programs.put(form).ok
    claim = of_code("63685", fhir_id="documents")
    assert programs.put(claim).ok
    requests.post(f"{programs.fhir}/Claim/documents/$submit", timeout=30)
    address = f"{programs.server}/authorizations/{task(programs, 'documents')['id']}"
    page = opened(browser, address)
    for number in range(3):
        page.get_by_role("button", name="Send it").nth(number).click()
        expect(page.get_by_role("status")).to_contain_text("on its way")
        wait_for(partial(taken, programs, address, number + 1), "the payer's word")
        page.goto(address)
    wait_for(lambda: prior_auth.status(task(programs, "documents")) == "approved", "the decision")
    page.goto(address)

    expect(page.locator(".band")).to_contain_text("Approved")
    expect(page.locator("main")).to_contain_text("Document sent")
    page.context.close()


@pytest.mark.parametrize(
    ("ask", "document"), [("ask-1", "Patient/pat"), ("ask-9", "DocumentReference/note"), ("", "")]
)
def test_only_what_is_offered_is_sent(programs: Programs, ask: str, document: str) -> None:
    """404, and no Task is made."""
    found = task(programs, "more-information")["id"]
    answer = requests.post(
        f"{programs.server}/authorizations/{found}/document",
        data={"ask": ask, "document": document}, timeout=9,
    )  # fmt: skip

    assert 404 == answer.status_code
