"""The front desk's day: visits by their time, who needs what, failures asked again at once."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, Page, expect

from tests import samples
from tests.acceptance.people import Person
from tests.acceptance.test_triggers import appointment
from tests.programs import Programs, wait_for
from tests.x12_texts import answer_271, file_271

pytestmark = [pytest.mark.loopback, pytest.mark.browser]

ACTIVE, DOWN = file_271("active-ppo"), file_271("aaa-42-payer-down")


@pytest.fixture(scope="module")
def programs(
    tmp_path_factory: pytest.TempPathFactory, new_database: Callable[[], str]
) -> Iterator[Programs]:
    started = Programs(tmp_path_factory.mktemp("today"), new_database())
    with started.running(samples.clinic(), samples.payer()):
        yield started


@pytest.fixture(scope="module")
def people(programs: Programs) -> dict[str, Person]:
    """Return four people: three with a visit today, of whom one is not found, and one without."""
    made = {name: Person(programs) for name in ("late", "early", "lost", "walk-in")}
    made["early"].checked(ACTIVE)
    made["late"].checked(answer_271("EB*6**30"))
    made["lost"].checked(file_271("aaa-75-not-found"))
    made["walk-in"].checked(ACTIVE)
    today = datetime.now(UTC).date()
    for name, hour in (("late", 16), ("early", 9), ("lost", 12)):
        visit = appointment(made[name], today, start=f"{today}T{hour:02}:00:00Z",
                            end=f"{today}T{hour:02}:30:00Z")  # fmt: skip
        assert programs.put(visit).ok
    programs.settled()
    return made


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(java_script_enabled=False)
    yield context.new_page()
    context.close()


def listed(page: Page) -> list[str]:
    """Return the coverages of the table, in its order."""
    links = page.locator("tbody th a").all()
    return [str(link.get_attribute("href")).rpartition("/")[2] for link in links]


@pytest.mark.req("R003-53")
def test_visits_come_by_their_time_and_say_what_is_next(
    programs: Programs, page: Page, people: dict[str, Person]
) -> None:
    """user-experience 5.1: one row per visit with state, reason, owner and next step."""
    page.goto(programs.server)
    order = [people[name].coverage_id for name in ("early", "lost", "late")]
    assert order == listed(page)[:3]
    assert people["walk-in"].coverage_id in listed(page)[3:]
    rows = page.locator("tbody tr")
    expect(rows.nth(0).locator('[data-label="Visit"]')).to_have_text("09:00")
    expect(rows.nth(1)).to_contain_text("Subscriber/Insured Not Found")
    expect(rows.nth(1).locator('[data-label="Next step"]')).to_contain_text("front-desk:")
    expect(rows.nth(2).locator('[data-label="Next step"]')).to_contain_text("other insurance")
    figures = page.locator(".figures")
    expect(figures).to_contain_text("visits")
    expect(figures).to_contain_text("3 coverages of them checked")
    expect(figures).to_contain_text("Visits of tomorrow: not checked yet")


def test_filters_stand_in_the_address(
    programs: Programs, page: Page, people: dict[str, Person]
) -> None:
    """user-experience 24: a list can be linked to; the way back is one click."""
    page.goto(programs.server)
    page.get_by_label("State").select_option("Inactive")
    page.get_by_role("button", name="Show").click()
    assert page.url.endswith("/?state=inactive&look=")
    assert [people["late"].coverage_id] == listed(page)
    page.goto(f"{programs.server}/?look=1")
    assert [people[n].coverage_id for n in ("lost", "late")] == listed(page)[:2]
    assert people["early"].coverage_id not in listed(page)
    page.goto(f"{programs.server}/?state=checking")
    page.get_by_role("link", name="Show everybody").click()
    assert 4 <= len(listed(page))
    assert 200 == requests.get(f"{programs.server}/?state=nonsense", timeout=9).status_code


def test_what_failed_is_asked_again_at_once(programs: Programs, page: Page) -> None:
    """R003-55: two people whose payer is down are one group; its button asks about both."""
    there = [Person(programs) for _ in range(2)]
    for one in there:
        one.checked(DOWN)
    page.goto(programs.server)
    expect(page.locator(".figures")).to_contain_text("Payers failing now: Example Health")
    group = page.locator("details.failures")
    group.locator("summary").click()
    line = group.locator("li", has_text="code 42")
    expect(line).to_contain_text("2 × Example Health")
    for one in there:
        programs.answer(one.member_id, ACTIVE)
    line.get_by_role("button", name="Check them again").click()
    expect(page.locator(".done")).to_contain_text("asked again")

    def active(person: Person) -> bool:
        answers: list[dict[str, Any]] = person.responses()
        return any("active" in str(one["meta"]["tag"]) for one in answers)

    wait_for(lambda: all(active(one) for one in there), "both are answered", 60)


def test_yesterdays_visits_are_not_todays(programs: Programs) -> None:
    """A visit of another day, or one that was cancelled, is not in the list."""
    person = Person(programs, status="draft")
    assert programs.put({**person.coverage, "status": "active", "id": person.coverage_id}).ok
    today = datetime.now(UTC).date()
    for day, status in ((today - timedelta(days=1), "booked"), (today, "cancelled")):
        assert programs.put(
            appointment(person, date.fromordinal(day.toordinal()), status=status)
        ).ok
    text = requests.get(programs.server, timeout=9).text
    row = text[text.index(person.coverage_id) :]

    assert 'class="number none">–<' in row[: row.index("Born")]


def test_a_visit_without_coverage_is_told(programs: Programs) -> None:
    """Nobody is lost for having no insurance on file."""
    nobody = Person(programs)
    today = datetime.now(UTC).date()
    assert programs.put(appointment(nobody, today, start=f"{today}T23:45:00Z",
                                    end=f"{today}T23:50:00Z")).ok  # fmt: skip
    try:
        text = requests.get(programs.server, timeout=9).text
        assert "Without coverage on file: 23:45 Ana Q Rivera" in text
    finally:
        assert programs.put(appointment(nobody, today, status="cancelled")).ok
