"""The pages in a real browser: states, keyboard, widths, themes, accessibility, content policy."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Browser, Page, expect

from tests import browser_tools, node_tools, samples
from tests.programs import Programs, wait_for

pytestmark = [pytest.mark.loopback, pytest.mark.browser, pytest.mark.node]

WORDS = {
    "ana-rivera": "Active",
    "grace-tanaka": "Active – review",
    "omar-haddad": "Active – review",
    "una-person": "Not found",
    "pia-dorn": "Could not check",
    "ned-blank": "Could not check",
    "pat-mutual": "Not supported",
    "now": "Checking…",
    "ari-cohen": "Not checked",
}
STOPS = 6  # two filters, their button, what failed, the table, and then the first patient
OTHER = "CoverageEligibilityResponse?coverage=Coverage/coverage-other"


@pytest.fixture(scope="module")
def programs(
    tmp_path_factory: pytest.TempPathFactory, new_database: Callable[[], str]
) -> Iterator[Programs]:
    started = Programs(tmp_path_factory.mktemp("pages"), new_database())
    with started.running():
        done = started.run("sandbox", "seed", started.fhir)
        assert 0 == done.returncode, done.stderr
        inactive = Path(__file__).parents[2] / "fixtures/resources/coverage-inactive-plan.json"
        address = f"{started.fhir}/Coverage/coverage-ben-okafor"
        assert requests.put(address, data=inactive.read_bytes(), timeout=9,
                            headers={"Content-Type": "application/fhir+json"}).ok  # fmt: skip
        wait_for(lambda: len(started.search("CoverageEligibilityResponse")) >= 10, "the answers")
        other = samples.coverage("coverage-other", beneficiary={"reference": "Patient/ben-okafor"},
                                 payor=[{"reference": "Organization/example-health"}])  # fmt: skip
        assert started.put(other).ok  # with the member id of somebody else
        wait_for(lambda: started.search(OTHER), "the answer about another person")
        started.kill("bots")  # so that one question stays without its answer
        waiting = samples.coverage("coverage-now", beneficiary={"reference": "Patient/ana-rivera"})
        coverage = {"coverage": {"reference": "Coverage/coverage-now"}}
        for resource in (waiting, samples.request("now", insurance=[coverage])):
            assert started.put(resource).ok
        yield started


def opened(
    browser: Browser, programs: Programs, path: str, *, width: int = 1366, theme: str = "light",
    scripts: bool = True,
) -> Page:  # fmt: skip
    context = browser.new_context(
        viewport={"width": width, "height": 768},
        color_scheme=theme,  # type: ignore[arg-type]  # light or dark
        java_script_enabled=scripts,
    )
    page = context.new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(programs.server + path)
    assert [] == problems
    return page


def test_the_front_desk_sees_every_state(programs: Programs, browser: Browser) -> None:
    """Each coverage with a mark, a word and its day of service; nothing by colour alone."""
    page = opened(browser, programs, "/")

    for name, word in {**WORDS, "ben-okafor": "Inactive"}.items():
        link = page.locator(f'a[href="/benefits/coverage-{name}"]')
        row = page.locator("tr", has=link)
        expect(row.locator(".state")).to_contain_text(word)
        expect(row.locator(".mark")).not_to_be_empty()
        expect(row.locator('[data-label="Day of service"]')).to_contain_text("20")
    page.context.close()


@pytest.mark.parametrize(("name", "word"), WORDS.items())
def test_a_state_never_stands_without_its_day(
    programs: Programs, browser: Browser, name: str, word: str
) -> None:
    """user-experience 12: the word and the date of service in one line, with a sentence."""
    page = opened(browser, programs, f"/benefits/coverage-{name}", scripts=False)

    line = page.get_by_role("status").locator(".say")
    expect(line).to_contain_text(word)
    expect(line).to_contain_text("on 20")
    page.context.close()


def test_amounts_are_stated_or_said_to_be_unsaid(programs: Programs, browser: Browser) -> None:
    """user-experience 14, 19: zero is $0.00, silence is "Not stated", ours is "calculated"."""
    page = opened(browser, programs, "/benefits/coverage-ana-rivera")
    cards = page.locator(".card")
    expect(cards.nth(0)).to_contain_text("Collect today")
    expect(cards.nth(0)).to_contain_text("$25.00 copay, office visit")
    expect(cards.nth(1)).to_contain_text("20%")
    expect(cards.nth(2)).to_contain_text("$500.00 of $1,500.00, individual")
    expect(cards.nth(3)).to_contain_text("$4,200.00 of $5,000.00, individual")
    expect(page.locator("td", has_text="$1,000.00 (calculated)")).to_have_count(1)
    expect(page.locator("ul", has_text="PLAN YEAR RENEWS IN JANUARY")).to_have_count(1)
    page.context.close()
    page = opened(browser, programs, "/benefits/coverage-grace-tanaka")
    expect(page.locator(".card").nth(1)).to_contain_text("Not stated by payer")
    expect(page.locator(".card").nth(2)).to_contain_text("not stated, limit $0.00")
    expect(page.locator("section", has_text="Other payers")).to_contain_text("FEDERAL MEDICARE")
    page.context.close()


def test_errors_say_who_does_what_next(programs: Programs, browser: Browser) -> None:
    """user-experience 16: code, plain cause, owner, next step."""
    page = opened(browser, programs, "/benefits/coverage-una-person")
    errors = page.locator("section", has_text="What went wrong")

    expect(errors).to_contain_text("Subscriber/Insured Not Found")
    expect(errors).to_contain_text("code 75")
    expect(errors).to_contain_text("Next step (front-desk):")
    page.context.close()


def test_an_answer_about_another_person_says_whose_turn_it_is(
    programs: Programs, browser: Browser
) -> None:
    """No benefit of it is shown; the front desk is told to compare the card."""
    page = opened(browser, programs, "/benefits/coverage-other")
    errors = page.locator("section", has_text="What went wrong")

    expect(errors).to_contain_text("about another person")
    expect(errors).to_contain_text("Compare name, birth date and member id with the card.")
    expect(page.locator("section", has_text="Benefits")).to_have_count(0)
    page.context.close()


def test_a_benefit_leads_back_to_the_payers_bytes(programs: Programs, browser: Browser) -> None:
    """Without JavaScript, by keyboard: the segments that a line rests on, as they came."""
    page = opened(browser, programs, "/benefits/coverage-ana-rivera", scripts=False)
    page.locator("details.plan > summary").focus()
    page.keyboard.press("Enter")
    row = page.locator("tr", has=page.locator("td", has_text="$1,000.00 (calculated)"))
    row.locator("summary").focus()
    page.keyboard.press("Enter")

    expect(row.locator("code").first).to_be_visible()
    expect(row.locator("code").first).to_contain_text("EB*C*IND*30")
    page.context.close()


@pytest.mark.parametrize("name", [*WORDS, "ben-okafor", "other"])
def test_the_summary_is_one_screen_and_one_sheet(
    programs: Programs, browser: Browser, name: str
) -> None:
    """user-experience 5.2, 36: nothing to scroll at 1366x768, one Letter page when printed."""
    page = opened(browser, programs, f"/benefits/coverage-{name}")

    assert 768 >= page.evaluate("document.documentElement.scrollHeight")
    sheet = page.pdf(prefer_css_page_size=True)
    assert 1 == len(re.findall(rb"/Type\s*/Page[^s]", sheet))
    assert b"/MediaBox [0 0 612 792]" in sheet
    page.context.close()


PATHS = ["/", *(f"/benefits/coverage-{name}" for name in (*WORDS, "ben-okafor", "other")),
         "/benefits/coverage-ana-rivera?price=250", "/benefits/coverage-ana-rivera?price=x",
         "/benefits/none", "/deliveries", "/payers", "/payers?text=none"]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("width", "theme"), browser_tools.VIEWS)
def test_everybody_can_use_the_pages(
    programs: Programs, browser: Browser, path: str, width: int, theme: str
) -> None:
    """0 axe violations, in light and dark, wide and at 320 px, where nothing scrolls sideways."""
    assert [] == browser_tools.violations(browser, programs.server + path, width, theme)


def test_axe_bites(programs: Programs, browser: Browser) -> None:
    """The check above can fail: a bad page has violations."""
    page = opened(browser, programs, "/")
    page.set_content("<img src=x><p style='color:#eee;background:#fff'>pale</p>")
    page.evaluate((node_tools.packages() / "axe-core" / "axe.min.js").read_text("utf-8"))

    assert 1 < page.evaluate("async () => (await axe.run()).violations.length")
    page.context.close()


def test_the_keyboard_is_enough(programs: Programs, browser: Browser) -> None:
    """First Tab is the skip link; Enter on a patient opens the benefits; the way back is there."""
    page = opened(browser, programs, "/")
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Skip to main content")
    page.keyboard.press("Enter")
    first = page.locator("tbody a").first
    for _ in range(STOPS):
        page.keyboard.press("Tab")
        if first.evaluate("link => link === document.activeElement"):
            break
    expect(page.locator(":focus")).to_have_attribute("href", "/benefits/coverage-ben-okafor")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Ben Okafor")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Inforce")
    page.context.close()


def test_pages_carry_their_guards(programs: Programs) -> None:
    """user-experience 39 to 41: strict policy, no store, no PHI in title or address."""
    answer = requests.get(f"{programs.server}/benefits/coverage-ana-rivera", timeout=9)

    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; connect-src 'self'; style-src")
    assert "unsafe" not in policy
    assert ("no-store", "same-origin", "nosniff") == tuple(
        answer.headers[n] for n in ("Cache-Control", "Referrer-Policy", "X-Content-Type-Options")
    )
    assert "<title>Benefits – Inforce</title>" in answer.text
    assert "style=" not in answer.text
    assert "<script" not in answer.text


def test_a_page_that_is_not_there_says_the_next_step(programs: Programs) -> None:
    """404 as a page, with a link home."""
    for path in ("/benefits/none", "/nowhere"):
        answer = requests.get(programs.server + path, timeout=9)
        assert (404, True) == (answer.status_code, 'href="/"' in answer.text)


def test_data_from_payers_is_escaped(programs: Programs) -> None:
    """A payer's text is text, also when it looks like HTML."""
    response = programs.search("CoverageEligibilityResponse?coverage=Coverage/coverage-ana-rivera")[
        0
    ]
    response["disposition"] = "<script>alert(1)</script>"
    response["insurance"][0]["item"][0]["name"] = "<img src=x onerror=alert(1)>"
    assert programs.put(response).ok
    text = requests.get(f"{programs.server}/benefits/coverage-ana-rivera", timeout=9).text

    assert "<script" not in text
    assert "<img" not in text
    assert "&lt;script&gt;" in text


@pytest.mark.req("check-25")
def test_a_delivery_is_looked_into_and_sent_again(programs: Programs, browser: Browser) -> None:
    """Filter, open, read the attempts, send again: without JavaScript."""
    page = opened(browser, programs, "/deliveries", scripts=False)
    page.get_by_label("State").select_option("Delivered")
    page.get_by_label("Resource, Type or Type/id").fill("Coverage/coverage-ana-rivera")
    page.get_by_role("button", name="Show").click()
    page.get_by_role("rowheader").get_by_role("link").last.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Coverage/coverage-ana-rivera")
    expect(page.locator("tbody")).to_contain_text("request-eligibility: done")
    expect(page.locator("tbody")).to_contain_text("CoverageEligibilityRequest/")
    page.get_by_role("button", name="Send again").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Coverage/coverage-ana-rivera")
    page.context.close()


def test_no_other_site_sends_again(programs: Programs) -> None:
    """A form of another page is refused."""
    address = f"{programs.server}/deliveries/x/redeliver"
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = requests.post(address, headers=headers, timeout=9, allow_redirects=False)
        assert 403 == answer.status_code
