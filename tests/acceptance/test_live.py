"""The day's page with its script: single keys, and up to date without losing the place."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests import samples
from tests.acceptance.people import Person
from tests.programs import Programs, wait_for
from tests.x12_texts import answer_271, file_271

pytestmark = [pytest.mark.loopback, pytest.mark.browser]
ACTIVE = file_271("active-ppo")
AWAY = "net::ERR_FAILED"  # what the browser says of a server that a test takes away
FOCUSED = "document.activeElement.getAttribute('href')"


@pytest.fixture(scope="module")
def programs(
    tmp_path_factory: pytest.TempPathFactory, new_database: Callable[[], str]
) -> Iterator[Programs]:
    started = Programs(tmp_path_factory.mktemp("live"), new_database())
    with started.running(samples.clinic(), samples.payer()):
        yield started


@pytest.fixture(scope="module")
def people(programs: Programs) -> list[Person]:
    """Return three people who are checked, in the order of the page."""
    made = [Person(programs) for _ in range(3)]
    for person in made:
        person.checked(ACTIVE)
    programs.settled()
    return made


@pytest.fixture
def page(programs: Programs, people: list[Person], browser: Browser) -> Iterator[Page]:
    """Return the day's page; nothing may be said on its console."""
    assert people
    context = browser.new_context(viewport={"width": 1366, "height": 768})
    made = context.new_page()
    said: list[str] = []
    made.on("console", lambda message: said.append(message.text))
    made.on("pageerror", lambda error: said.append(str(error)))
    made.clock.install()
    made.goto(programs.server)
    yield made
    assert [] == [text for text in said if AWAY not in text]
    context.close()


def address(person: Person) -> str:
    return f"/benefits/{person.coverage_id}"


def test_single_keys_move_open_and_help(page: Page) -> None:
    """user-experience 5.1: j, k, Enter, /, ?; and whoever does not want them switches them off."""
    first, second, third = (link.get_attribute("href") for link in page.locator("tbody th a").all())
    found = []
    for key in ("j", "j", "j", "j", "k"):
        page.keyboard.press(key)
        found.append(page.evaluate(FOCUSED))
    assert [first, second, third, third, second] == found
    page.keyboard.press("/")
    expect(page.get_by_label("State")).to_be_focused()
    page.keyboard.press("j")  # in a field a letter is a letter
    expect(page.get_by_label("State")).to_be_focused()
    page.locator("h1").click()
    page.keyboard.press("?")
    expect(page.get_by_text("next patient")).to_be_visible()
    page.get_by_label("Single keys act").uncheck()
    page.locator("h1").click()
    page.keyboard.press("j")
    assert page.evaluate(FOCUSED) is None
    page.reload()
    page.keyboard.press("j")
    assert page.evaluate(FOCUSED) is None
    page.locator("#keys summary").click()
    page.get_by_label("Single keys act").check()
    page.locator("h1").click()
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{first}")


def test_the_page_stays_up_to_date_and_the_place_is_kept(
    page: Page, programs: Programs, people: list[Person]
) -> None:
    """Asked again by a key, the answer appears; who stands on a row still stands there."""
    person = people[1]
    row = page.locator("tr", has=page.locator(f'a[href="{address(person)}"]'))
    expect(row).to_contain_text("Active")
    programs.answer(person.member_id, answer_271("EB*6**30"))
    for key in ("j", "j", "r"):
        page.keyboard.press(key)
    wait_for(lambda: len(person.requests()) > 1, "it is asked again")
    programs.settled()
    page.clock.fast_forward(15_000)
    expect(row).to_contain_text("Inactive", timeout=20_000)
    assert address(person) == page.evaluate(FOCUSED)
    expect(page.locator("#updated")).to_contain_text("Up to date at")
    assert 2 == len(person.requests())


def test_a_server_that_is_away_is_said(page: Page) -> None:
    """Nobody works on a list that is old without knowing."""
    page.route("**/*", lambda route: route.abort())
    page.clock.fast_forward(15_000)
    expect(page.locator("#updated")).to_contain_text("Not up to date")
    page.unroute("**/*")
    page.clock.fast_forward(15_000)
    expect(page.locator("#updated")).to_contain_text("Up to date at")
