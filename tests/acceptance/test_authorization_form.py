"""A prior authorization from an order and an answer that requires one: filled in on our pages."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, Page, expect

from fhir_profiles import coverage_information, prior_auth
from tests import browser_tools
from tests import pas as given
from tests.acceptance.test_authorizations_page import opened, task
from tests.acceptance.test_prior_auth import endpoint, payer
from tests.programs import Programs, wait_for
from tests.x12_texts import answer_271

pytestmark = [pytest.mark.loopback, pytest.mark.browser, pytest.mark.node, pytest.mark.req("R21")]
Resource = dict[str, Any]


@pytest.fixture(scope="module")
def programs(
    tmp_path_factory: pytest.TempPathFactory, new_database: Callable[[], str]
) -> Iterator[Programs]:
    started = Programs(tmp_path_factory.mktemp("form"), new_database())
    other = given.order("other", code=given.coded("http://www.ama-assn.org/go/cpt", "72148"))
    with started.running(*given.world(payer(), endpoint(started), other)):
        started.answer("INF100001", answer_271("EB*1**30", "EB*1**PT********Y"))
        assert started.put(given.coverage(period={"start": "2026-01-01"})).ok
        wait_for(
            lambda: "Prior authorization is required" in requests.get(
                f"{started.server}/benefits/cov", timeout=9).text,
            "the requirement",
        )  # fmt: skip
        yield started


def filled(programs: Programs, browser: Browser, order: str = "97110") -> Page:
    """Open the form from the benefits page, for an order, with what it does not know filled in."""
    page = opened(browser, f"{programs.server}/benefits/cov")
    page.get_by_role("link", name="Request it").click()
    page.get_by_role("link", name=order).click()
    page.get_by_label("Diagnosis").fill("m54.50")
    page.get_by_label("Who treats").select_option(label="Ngozi Okafor, Riverside Clinic")
    page.get_by_label("Service type").select_option("PT")
    return page


def made(programs: Programs, page: Page) -> Resource:
    """Return the Task whose page is shown."""
    (found,) = programs.search(f"Task?_id={page.url.partition('?')[0].rpartition('/')[2]}")
    return found


def test_it_is_filled_in_from_the_order_and_the_answer(
    programs: Programs, browser: Browser
) -> None:
    """8 visits are the order's; the service types that the payer requires it for stand first."""
    page = opened(
        browser, f"{programs.server}/authorizations/new?coverage=cov&order={RIGHT['order']}"
    )

    expect(page.get_by_role("heading", level=1)).to_contain_text("Ana")
    expect(page.get_by_label("Service type")).to_have_value("")  # the order does not say
    first = page.locator("#service_type optgroup").first
    expect(first).to_have_attribute("label", "The payer requires it for")
    expect(first.locator("option")).to_have_text(["Physical Therapy"])
    expect(page.get_by_label("How many")).to_have_value("8")
    expect(page.get_by_label("Of what")).to_have_value("VS")
    page.context.close()


def test_it_waits_for_a_persons_word_and_is_decided(programs: Programs, browser: Browser) -> None:
    """Made, looked at, changed, sent, approved: by keyboard alone, without JavaScript."""
    page = filled(programs, browser)
    page.get_by_label("Message to the payer").fill("Pain since May")
    page.get_by_label("11506-3").check()
    page.get_by_role("button", name="Make the request").press("Enter")

    expect(page.locator(".band")).to_contain_text("Draft")
    for text in (
        "Ngozi Okafor",
        "INF100001",
        "Health services",
        "Physical Therapy",
        "Office",
        "M54.50",
        "Pain since May",
        "11506-3",
        "× 8",
    ):
        expect(page.locator("main")).to_contain_text(text)
    draft = made(programs, page)
    assert "draft" == prior_auth.status(draft)
    assert not programs.search(f"Bundle?identifier={draft['focus']['reference']}/_history/1")

    page.get_by_role("link", name="Change").press("Enter")
    expect(page.get_by_label("Message to the payer")).to_have_value("Pain since May")
    page.get_by_label("How many").fill("6")
    page.get_by_role("button", name="Keep the changes").press("Enter")
    expect(page.locator("main")).to_contain_text("× 6")
    page.get_by_role("button", name="Send").press("Enter")
    expect(page.get_by_role("status")).to_contain_text("The request is sent")
    wait_for(lambda: prior_auth.status(made(programs, page)) == "approved", "the decision")
    page.reload()
    expect(page.locator("main")).to_contain_text("AUTH")
    expect(page.get_by_role("link", name="Change")).to_have_count(0)

    # What the page sent is the one request of this version of the Claim.
    claim = draft["focus"]["reference"]
    assert requests.post(f"{programs.fhir}/{claim}/$submit", timeout=30).ok
    assert 1 == len(programs.search(f"Task?focus={claim}"))
    page.context.close()


def test_it_can_be_withheld(programs: Programs, browser: Browser) -> None:
    """It never goes out, and says so."""
    page = filled(programs, browser, "72148")
    page.get_by_role("button", name="Make the request").click()
    page.get_by_text("Withhold…").click()
    page.get_by_role("button", name="Withhold the request").click()

    expect(page.locator(".band")).to_contain_text("it was not sent")
    assert "cancelled" == prior_auth.status(made(programs, page))
    assert not prior_auth.part(made(programs, page), prior_auth.REQUEST)
    again = requests.post(page.url.partition("?")[0] + "/withhold", timeout=9)
    assert 404 == again.status_code
    page.context.close()


def test_what_the_payer_said_about_the_order_is_shown(programs: Programs) -> None:
    """Each word of its coverage-information that helps to decide."""
    parts = [("covered", "valueCode", "covered"), ("pa-needed", "valueCode", "satisfied"),
             ("satisfied-pa-id", "valueString", "AUTH77"), ("doc-needed", "valueCode", "clinical"),
             ("pa-needed", "valueCode", "auth-needed")]  # fmt: skip
    said = {"url": coverage_information.EXT,
            "extension": [{"url": name, kind: value} for name, kind, value in parts]}  # fmt: skip
    assert programs.put(given.patient(id="told")).ok
    beneficiary = {"reference": "Patient/told"}
    assert programs.put(given.coverage(id="told", beneficiary=beneficiary, status="draft")).ok
    assert programs.put(given.order("told", subject=beneficiary, extension=[said])).ok
    page = requests.get(f"{programs.server}/authorizations/new?coverage=told", timeout=9).text

    assert "authorized already, under AUTH77" in page
    assert "needs an authorization" in page
    assert "The payer wants documents: clinical." in page


WRONG = {
    "order": "ServiceRequest/none", "clinician": "nobody", "kind": "X", "service_type": "ZZ",
    "place": "00", "unit": "", "start": "2026-13-01", "quantity": "0", "diagnosis": "back",
    "note": "x" * 265, "documents": "none",
}  # fmt: skip
RIGHT = {
    "key": "form-wrong", "coverage": "cov", "order": "ServiceRequest/order",
    "clinician": "dr-here", "kind": "HS", "service_type": "PT", "place": "11",
    "start": "2026-12-05", "end": "", "quantity": "8", "unit": "VS", "diagnosis": "M54.50",
}  # fmt: skip


@pytest.mark.parametrize("name", [*WRONG, "end"])
def test_what_is_wrong_is_named(programs: Programs, name: str) -> None:
    """422, beside its field; what was filled in stays, and nothing is stored."""
    wrong = {**RIGHT, name: WRONG.get(name, "2026-12-04")}
    answer = requests.post(f"{programs.server}/authorizations/new", data=wrong, timeout=9)

    assert 422 == answer.status_code
    assert [f'id="wrong-{name}"'] == [p for p in answer.text.split() if p.startswith('id="wrong-')]
    assert "M54.50" in answer.text or name == "diagnosis"
    assert not programs.search("Claim?identifier=form-wrong")


def test_sent_twice_it_is_one_request(programs: Programs) -> None:
    """By the key that the form came with."""
    twice = [
        requests.post(
            f"{programs.server}/authorizations/new", data={**RIGHT, "key": "form-twice"}, timeout=9
        )
        for _ in range(2)
    ]

    assert twice[0].ok
    assert twice[0].url == twice[1].url


def test_a_request_for_the_same_order_is_shown(programs: Programs) -> None:
    """Before a second one is made; not what was withheld."""
    told = {**RIGHT, "key": "form-first"}
    first = requests.post(f"{programs.server}/authorizations/new", data=told, timeout=9).url
    path = first.partition("?")[0].removeprefix(programs.server)
    form = f"{programs.server}/authorizations/new?coverage=cov&order={RIGHT['order']}"

    assert f'href="{path}"' in requests.get(form, timeout=9).text
    assert requests.post(f"{programs.server}{path}/withhold", timeout=9).ok
    assert f'href="{path}"' not in requests.get(form, timeout=9).text


def test_what_is_corrected_after_back_changes_the_draft(programs: Programs) -> None:
    """Under the same key: one draft, as it was filled in last; once it has gone out, no more."""
    address = f"{programs.server}/authorizations/new"
    told = {**RIGHT, "key": "form-back"}
    pages = [
        requests.post(address, data={**told, "quantity": quantity}, timeout=9).url
        for quantity in ("8", "5", "5")
    ]
    (claim,) = programs.search("Claim?identifier=form-back")
    (found,) = programs.search(f"Task?focus=Claim/{claim['id']}")

    assert 1 == len({page.partition("?")[0] for page in pages})
    assert 5 == claim["item"][0]["quantity"]["value"]
    assert requests.post(f"{pages[0].partition('?')[0]}/send", timeout=9).ok
    wait_for(
        lambda: prior_auth.status(programs.search(f"Task?_id={found['id']}")[0]) == "approved",
        "the decision",
    )
    assert 404 == requests.post(address, data={**told, "quantity": "9"}, timeout=9).status_code
    (kept,) = programs.search("Claim?identifier=form-back")
    assert 5 == kept["item"][0]["quantity"]["value"]


def test_without_an_order_the_next_step_is_told(programs: Programs) -> None:
    """A patient whom nobody ordered anything for; an unknown coverage is not found."""
    assert programs.put(given.patient(id="new")).ok
    coverage = given.coverage(id="new", beneficiary={"reference": "Patient/new"}, status="draft")
    assert programs.put(coverage).ok
    page = f"{programs.server}/authorizations/new?coverage="

    assert "no active order here" in requests.get(f"{page}new", timeout=9).text
    assert 404 == requests.get(f"{page}none", timeout=9).status_code


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [({"value": 12}, ("12", "FL")), ({"value": 12, "unit": "visits"}, ("12", "VS")),
     ({"value": 3, "system": "http://unitsofmeasure.org", "code": "d"}, ("3", "DY"))],
)  # fmt: skip
def test_the_orders_quantity_is_filled_in(
    programs: Programs, browser: Browser, quantity: Resource, expected: tuple[str, str]
) -> None:
    """In whatever unit the EHR wrote it."""
    order = given.order("much", quantityQuantity=quantity, status="active")
    assert programs.put(order).ok
    page = opened(
        browser, f"{programs.server}/authorizations/new?coverage=cov&order=ServiceRequest/much"
    )

    expect(page.get_by_label("How many")).to_have_value(expected[0])
    expect(page.get_by_label("Of what")).to_have_value(expected[1])
    page.context.close()
    assert programs.put({**order, "status": "revoked"}).ok


def test_an_order_of_somebody_else_is_not_shown(programs: Programs) -> None:
    """Nor what it says: the orders of this patient are there to choose from."""
    reason = [{"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "Z99.89"}]}]
    assert programs.put(given.patient(id="stranger")).ok
    whose = {"reference": "Patient/stranger"}
    assert programs.put(given.order("strange", subject=whose, reasonCode=reason)).ok
    page = requests.get(
        f"{programs.server}/authorizations/new?coverage=cov&order=ServiceRequest/strange", timeout=9
    ).text

    assert "Z99.89" not in page
    assert "For which order?" in page


def test_what_an_ehr_submitted_is_not_changed_here(programs: Programs) -> None:
    """Its form is not ours."""
    del (claim := given.claim("theirs"))["item"][0]["category"]
    assert programs.put(claim).ok
    requests.post(f"{programs.fhir}/Claim/theirs/$submit", timeout=30)
    address = f"{programs.server}/authorizations/{task(programs, 'theirs')['id']}"

    assert "Change" not in requests.get(address, timeout=9).text
    assert 404 == requests.get(f"{address}/change", timeout=9).status_code


@pytest.mark.parametrize(("width", "theme"), browser_tools.VIEWS)
@pytest.mark.parametrize("query", ["?coverage=cov", "?coverage=cov&order=ServiceRequest/order"])
def test_everybody_can_use_the_form(
    programs: Programs, browser: Browser, query: str, width: int, theme: str
) -> None:
    """0 axe violations, in light and dark, wide and at 320 px."""
    address = f"{programs.server}/authorizations/new{query}"

    assert [] == browser_tools.violations(browser, address, width, theme)


def test_a_site_may_send_without_a_second_look(
    tmp_path_factory: pytest.TempPathFactory, new_database: Callable[[], str]
) -> None:
    """By a setting; then the form is the person's word."""
    settings = {"INFORCE_SKIP_REVIEW": "true"}
    other = Programs(tmp_path_factory.mktemp("skip"), new_database(), settings)
    with other.running(*given.world(payer(), endpoint(other))):
        answer = requests.post(f"{other.server}/authorizations/new", data=RIGHT, timeout=9)
        fhir_id = answer.url.partition("?")[0].rpartition("/")[2]

        def status() -> str:
            (found,) = other.search(f"Task?_id={fhir_id}")
            return prior_auth.status(found)

        wait_for(lambda: status() == "approved", "the decision")
