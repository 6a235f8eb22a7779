"""What a person finds and does on the page of a coverage, with the bots behind it."""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Browser, Page, expect

from fhir_profiles import systems
from tests import samples
from tests.programs import Programs, wait_for
from tests.x12_texts import answer_271

pytestmark = [pytest.mark.loopback, pytest.mark.browser]

FIXTURES = Path(__file__).parents[2] / "fixtures"


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Programs]:
    started = Programs(tmp_path_factory.mktemp("benefits"))
    with started.running(samples.clinic(), samples.payer(), samples.patient()):
        yield started


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(java_script_enabled=False)
    yield context.new_page()
    context.close()


def answered(programs: Programs, name: str, **coverage: object) -> str:
    """Post a coverage, wait for its answer, and return the address of its page."""
    assert programs.put(samples.coverage(name, **coverage)).ok
    programs.one(f"CoverageEligibilityResponse?coverage=Coverage/{name}")
    return f"{programs.server}/benefits/{name}"


def requests_of(programs: Programs, name: str) -> list[dict[str, object]]:
    return programs.search(f"CoverageEligibilityRequest?coverage=Coverage/{name}")


def test_a_person_asks_the_payer_again(programs: Programs, page: Page) -> None:
    """R002: one question by a person, its reason on it, and the earlier check in the history."""
    page.goto(answered(programs, "again"))
    page.get_by_role("button", name="Check again").click()
    expect(page.locator(".done")).to_contain_text("asked again")
    query = "CoverageEligibilityResponse?coverage=Coverage/again"
    wait_for(lambda: len(programs.search(query)) == 2, "the second answer")
    page.reload()
    expect(page.locator(".done")).to_have_text("The payer has answered.")
    page.goto(f"{programs.server}/benefits/again")
    expect(page.get_by_role("status").first).to_contain_text("asked by a person")
    page.locator("details", has_text="before this one").locator("summary").click()
    expect(page.locator("details", has_text="before this one")).to_contain_text("coverage changed")

    assert ["coverage-change", "manual"] == sorted(
        tag["code"] for one in requests_of(programs, "again")
        for tag in one["meta"]["tag"] if tag["system"] == systems.CHECK_REASON  # type: ignore[index]
    )  # fmt: skip


@pytest.mark.req("check-23")
def test_two_clicks_are_one_question(programs: Programs) -> None:
    """user-experience 23: a form sent twice stores one request and sends one 270."""
    address = answered(programs, "twice", subscriberId="TWI000001")
    programs.fault(route="primary", kind="none", times=1, latency_ms=1000)
    for _ in range(3):
        sent = requests.post(f"{address}/check", timeout=20, allow_redirects=False)
        shown = sent.headers["Location"].partition("&since=")[0]
        assert (303, "/benefits/twice?done=check") == (sent.status_code, shown)
    query = "CoverageEligibilityResponse?coverage=Coverage/twice"
    wait_for(lambda: len(programs.search(query)) == 2, "the second answer")

    assert 2 == len(requests_of(programs, "twice")) == len(programs.asked("TWI000001"))


def test_a_coverage_that_is_not_active_cannot_be_asked_about(programs: Programs) -> None:
    """No button on its page; the page of a coverage that is not there is 404."""
    draft = samples.coverage("draft", status="draft")
    assert programs.put(draft).ok

    assert "Check again" not in requests.get(f"{programs.server}/benefits/draft", timeout=20).text
    nobody = f"{programs.server}/benefits/nobody/check"
    assert 404 == requests.post(nobody, timeout=20).status_code


def test_a_wrong_reading_is_reported_with_what_the_payer_sent(
    programs: Programs, page: Page
) -> None:
    """user-experience 5.2: a Task with the segment; the same line twice is one Task."""
    page.goto(answered(programs, "wrong"))
    for _ in range(2):
        page.locator("details.plan > summary").click()
        row = page.locator("details.plan tr", has_text="Urgent Care")
        row.locator("summary").click()
        row.get_by_role("button", name="Report as read wrongly").click()
        expect(page.locator(".done")).to_contain_text("a task for support")
    (task,) = programs.search(f"Task?code={systems.TASK_CODE}|reading-error")

    assert ["EB*B*IND*UC*PR**27*60*****Y"] == [one["valueString"] for one in task["input"]]
    assert "Patient/pat" == task["for"]["reference"]
    answer = requests.post(f"{programs.server}/benefits/wrong/report/999", timeout=20)
    assert 404 == answer.status_code


def test_who_pays_first_is_in_the_order_on_file(programs: Programs, page: Page) -> None:
    """user-experience 18: all coverages of the person, by Coverage.order, each with its state."""
    assert programs.put(samples.patient("two")).ok
    whose = {"beneficiary": {"reference": "Patient/two"}}
    answered(programs, "second", order=2, **whose)
    page.goto(answered(programs, "first", order=1, **whose))
    listed = page.locator(".payers li")

    expect(listed).to_have_count(2)
    expect(listed.nth(0)).to_contain_text("order 1")
    expect(listed.nth(1).get_by_role("link")).to_have_attribute("href", "/benefits/second")


@pytest.mark.req("R003-56 R003-40")
def test_who_pays_first_is_found_where_no_order_is_on_file(programs: Programs, page: Page) -> None:
    """In the order of the rules, each with its reason, and said to be calculated."""
    assert programs.put(samples.patient("three")).ok
    whose = {"beneficiary": {"reference": "Patient/three"}}
    medicaid = {"type": {"coding": [{"system": systems.PAYMENT_TYPOLOGY, "code": "2"}]}}
    answered(programs, "last", **medicaid, **whose)
    page.goto(answered(programs, "group", **whose))
    listed = page.locator(".payers li")

    expect(listed.nth(0)).to_contain_text("calculated: the only plan of its kind")
    expect(listed.nth(1)).to_contain_text("calculated: Medicaid pays last")


def test_the_services_of_the_visit_stand_alone(programs: Programs, page: Page) -> None:
    """user-experience 5.2: what the patient pays, what needs authorization, and the next step."""
    x12 = (FIXTURES / "x12/271/active-ppo.edi").read_text("utf-8")
    more = [
        "EB*A*IND*62*PR**27**.125***Y*Y~", "REF*9F*RF77~", "EB*C*IND*62*PR**23*300*****Y~",
        "EB*C*IND*62*PR**29*100*****Y~", "EB*F*IND*33*PR**23***VS*20*N*Y~",
        "EB*F*IND*33*PR**29***VS*12**Y~", "EB*B*IND*33*PR**27*0****U*N~",
    ]  # fmt: skip
    x12 = x12.replace("EB*I**35*PR~\n", "".join(more)).replace("SE*27*", "SE*33*")
    programs.answer("SVC000001", x12)
    answered(programs, "services", subscriberId="SVC000001")
    types = [{"system": systems.X12_SERVICE_TYPE, "code": code} for code in ("62", "33")]
    focal = [{"coverage": {"reference": "Coverage/services"}}]
    asked = samples.request("services", insurance=focal,
                            item=[{"category": {"coding": [one]}} for one in types])  # fmt: skip
    assert programs.put(asked).ok
    programs.one("CoverageEligibilityResponse?request=CoverageEligibilityRequest/services")
    page.goto(f"{programs.server}/benefits/services")
    rows = page.locator("section", has=page.get_by_role("heading", name="Benefits for this visit"))
    cells = [row.locator("th, td").all_inner_texts() for row in rows.locator("tbody tr").all()]

    assert [
        ["MRI/CAT Scan", "Individual", "In network", "12.5% coinsurance per visit",
         "$100.00 left of $300.00", "Not stated", "Required", "On file: RF77",
         "Ask for authorization before the visit"],
        ["Chiropractic", "Individual", "In network", "Not stated", "Not stated",
         "12 left of 20", "Not required", "Not stated", "None"],
        ["Chiropractic", "Individual", "Out of network", "$0.00 copay per visit", "Not stated",
         "Not stated", "Payer does not know", "Not stated", "Ask the payer"],
        ["Chiropractic", "Not stated", "Not stated", "Covered; share not stated", "Not stated",
         "Not stated", "Not stated", "Not stated", "Ask the payer if in doubt"],
    ] == cells  # fmt: skip
    cards = page.locator(".card")
    expect(cards.nth(0)).to_contain_text("Not stated by payer")
    expect(cards.nth(1)).to_contain_text("12.5% coinsurance, MRI/CAT Scan")


@pytest.mark.req("R003-18", "R003-51")
def test_a_price_is_estimated(programs: Programs, page: Page) -> None:
    """A range with its arithmetic and what is open; without a script, by keyboard."""
    page.goto(answered(programs, "priced"))
    page.get_by_label("Price $").fill("abc")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("Write an amount, such as 250.00.")
    page.get_by_label("Price $").fill("$1,250.00")
    page.keyboard.press("Enter")
    card = page.locator("#estimate")
    expect(card.locator("p").first).to_have_text("$25.00 to $670.00")
    card.locator("summary").click()

    expect(card).to_contain_text("Price $1,250.00, entered here")
    expect(card).to_contain_text("deductible $500.00 + copay $25.00 + coinsurance (20% of $725.00)")
    expect(card).to_contain_text("Whether the deductible applies to this service is not stated.")
    expect(page.get_by_label("Price $")).to_have_value("$1,250.00")


def test_what_has_no_terms_is_not_estimated(programs: Programs, page: Page) -> None:
    """Silence is no zero, and a plan that is not in force is not asked for a price."""
    programs.answer("TERM00001", answer_271("EB*1*IND*30**GOLD", "EB*C*IND*30***29*500*****Y"))
    page.goto(answered(programs, "unpriced", subscriberId="TERM00001") + "?price=100")
    expect(page.locator("#estimate")).to_contain_text("Not stated by payer")

    programs.answer("TERM00002", answer_271("EB*6*IND*30"))
    page.goto(answered(programs, "ended", subscriberId="TERM00002") + "?price=100")
    expect(page.get_by_role("status").first).to_contain_text("Inactive")
    expect(page.get_by_role("status").first).to_contain_text("Ask the patient for other insurance.")
    expect(page.locator(".card")).to_have_count(0)


def test_the_visit_stands_on_top(programs: Programs, page: Page) -> None:
    """user-experience 5.2: when, with whom and where; when it is checked by itself; whose plan."""
    x12 = (FIXTURES / "x12/271/active-ppo.edi").read_text("utf-8")
    care = "EB*L*IND*30~LS*2120~NM1*P3*1*PHYSICIAN*PRIMA~LE*2120~"
    programs.answer("CARE00001", x12.replace("EB*I**35*PR~\n", care).replace("SE*27*", "SE*30*"))
    dana = samples.patient("dana")
    doctor = {"resourceType": "Practitioner", "id": "okoye",
              "name": [{"family": "Okoye", "given": ["Lena"]}]}  # fmt: skip
    place = {"resourceType": "Location", "id": "main", "name": "Main Street clinic"}
    assert all(programs.put(one).ok for one in (dana, doctor, place))
    address = answered(
        programs, "visited", subscriberId="CARE00001", beneficiary={"reference": "Patient/dana"},
        subscriber={"display": "Kim Lee"},
    )  # fmt: skip
    day = date.today() + timedelta(days=5)  # noqa: DTZ011 a visit that is to come
    actors = ("Patient/dana", "Practitioner/okoye", "Location/main", "Practitioner/gone")
    assert programs.put({
        "resourceType": "Appointment", "id": "visited", "status": "booked",
        "start": f"{day}T15:00:00Z", "end": f"{day}T15:30:00Z",
        "participant": [{"actor": {"reference": one}, "status": "accepted"} for one in actors],
    }).ok  # fmt: skip
    query = "CoverageEligibilityResponse?coverage=Coverage/visited"
    wait_for(lambda: len(programs.search(query)) == 2, "the answer about the visit")
    page.goto(address)

    expect(page.locator("h1")).to_contain_text(
        f"visit on {day} · 15:00 · Lena Okoye · Main Street clinic · Practitioner not on file"
    )
    expect(page.get_by_role("status").first).to_contain_text(
        "checked again by itself the day before the visit, and at check-in"
    )
    facts = page.locator(".facts")
    expect(facts).to_contain_text("self, subscriber Kim Lee")
    expect(facts).to_contain_text("GRP42 EXAMPLE WIDGETS")
    expect(facts).to_contain_text("PRIMA PHYSICIAN")

    page.locator("details", has_text="before this one").locator("summary").click()
    page.locator("details", has_text="before this one").get_by_role("link").click()
    today = page.locator("h1 small").inner_text().rpartition(" ")[2]
    expect(page.locator("h1")).to_contain_text(f"asked for {today}")
    expect(page.get_by_role("status").first).to_contain_text(f"Active on {today}")
    page.get_by_label("Price $").fill("20")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_contain_text(f"asked for {today}")
    page.goto(f"{address}?date=2001-01-01")
    expect(page.get_by_role("status").first).to_contain_text("Not checked on 2001-01-01")
    expect(page.locator("main")).not_to_contain_text("copay")
    assert 400 == requests.get(f"{address}?date=soon", timeout=9).status_code


@pytest.mark.req("R003-52")
def test_a_call_to_the_payer_is_recorded(programs: Programs, page: Page) -> None:
    """An answer by phone: who said it, under which reference; to be reviewed at most."""
    page.goto(answered(programs, "phone", payor=[{"reference": "Organization/unasked"}]))
    expect(page.get_by_role("status").first).to_contain_text("Could not check")
    page.locator("summary", has_text="Record what they said").click()
    page.get_by_label("Who said it").fill("Kim of provider services")
    page.get_by_label("Reference of the call").fill("CALL-7")
    page.get_by_label("Is the plan in force?").select_option("Yes")
    page.get_by_role("button", name="Record the call").click()
    expect(page.locator(".done")).to_contain_text("recorded")
    band = page.get_by_role("status", name="Insurance state")
    expect(band).to_contain_text("Active – review")
    expect(band).to_contain_text("By phone, Kim of provider services said: the plan is in force.")

    newest = max(
        programs.search("CoverageEligibilityResponse?coverage=Coverage/phone"),
        key=lambda one: str(one["created"]),
    )
    assert ("phone", True) == (
        newest["extension"][0]["valueString"], newest["insurance"][0]["inforce"])  # fmt: skip
    assert "CALL-7" == newest["identifier"][0]["value"]


def test_a_call_that_says_too_little_is_not_recorded(programs: Programs) -> None:
    """422 with each field marked, and what was filled in kept; nothing is stored."""
    address = answered(programs, "silent")
    form = {"answer": "maybe", "day": "soon", "agent": "Kim & Co", "reference": ""}
    answer = requests.post(f"{address}/call", data=form, timeout=20)

    assert 422 == answer.status_code
    marked = {n for n in form if f'aria-describedby="wrong-{n}"' in answer.text}
    assert {"answer", "day", "reference"} == marked
    assert 'value="Kim &amp; Co"' in answer.text
    assert 1 == len(programs.search("CoverageEligibilityResponse?coverage=Coverage/silent"))
