"""What people do with the worklist: narrow it, take it along, record what a payer says of time."""

import csv
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
import requests
from playwright.sync_api import Browser, expect

from fhir_profiles import elements, pas
from tests import pas as given
from tests.acceptance.test_authorizations_page import opened, task
from tests.acceptance.test_prior_auth import Resource, endpoint, payer
from tests.contract.payer import of_code
from tests.programs import Programs, wait_for

pytestmark = [pytest.mark.loopback, pytest.mark.browser, pytest.mark.node]


@pytest.fixture(scope="module")
def programs(
    tmp_path_factory: pytest.TempPathFactory, new_database: Callable[[], str]
) -> Iterator[Programs]:
    started = Programs(tmp_path_factory.mktemp("worklist"), new_database())
    level = {"url": pas.EXT_LEVEL_OF_SERVICE,
             "valueCodeableConcept": given.coded(pas.LEVEL_OF_SERVICE, "U")}  # fmt: skip
    urgent = of_code("97110", fhir_id="urgent", extension=[level])
    urgent["item"][0]["servicedDate"] = datetime.now(UTC).date().isoformat()
    later = of_code("97110", fhir_id="later")
    later["item"][0]["servicedDate"] = (datetime.now(UTC).date() + timedelta(days=30)).isoformat()
    claims = [urgent, later, of_code("72148", fhir_id="pended"), of_code("63685", fhir_id="asked")]
    with started.running(*given.world(payer(), endpoint(started)), *claims):
        requests.put(f"{started.sandbox}/_control/decisions/PA-pended", timeout=9,
                     json={"items": [{"sequence": 1, "code": "A4"}]})  # fmt: skip
        for one in claims:
            answer = requests.post(f"{started.fhir}/Claim/{one['id']}/$submit", timeout=30)
            assert answer.ok
        yield started


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("state=approved", {"urgent", "later"}),
        ("state=approved&urgency=urgent", {"urgent"}),
        ("state=approved&urgency=routine", {"later"}),
        ("state=approved&urgency=", {"urgent", "later"}),
        ("state=approved&urgency=soon", {"urgent", "later"}),
        ("state=approved&soon=yes", {"urgent"}),
        ("state=approved&payer=exam&urgency=urgent", {"urgent"}),
        ("state=approved&payer=Other", set()),
        ("state=approved&expiring=yes", set()),
        ("state=approved&treats=Oka", {"urgent", "later"}),
        ("state=approved&treats=Silva", set()),
        ("state=approved&owner=nobody", {"urgent", "later"}),
        ("state=approved&owner=Practitioner/ward", set()),
        ("state=approved&owner=nonsense", {"urgent", "later"}),
    ],
)
def test_the_list_is_narrowed(programs: Programs, query: str, names: set[str]) -> None:
    """By urgency, payer, service date and end; as a table, too."""
    wanted = {task(programs, name)["id"] for name in names}
    page = requests.get(f"{programs.server}/authorizations?{query}", timeout=9).text
    table = requests.get(f"{programs.server}/authorizations.csv?{query}", timeout=9)
    rows = list(csv.DictReader(table.text.splitlines()))

    assert wanted == set(re.findall(r'href="/authorizations/([^"/]+)"', page))
    assert wanted == {row["id"] for row in rows}
    assert table.headers["Content-Type"].startswith("text/csv")
    for row in rows:
        assert ("Example Health", "Approved") == (row["payer"], row["state"])


def test_requests_are_given_to_who_looks_after_them(programs: Programs, browser: Browser) -> None:
    """Several at once by keyboard, or one on its page; back to nobody, too."""
    who = {
        "resourceType": "Practitioner",
        "id": "ward",
        "name": [{"family": "Ward", "given": ["B"]}],
    }
    gone = {**who, "id": "gone", "active": False, "name": [{"family": "Gone"}]}
    assert programs.put(who).ok
    assert programs.put(gone).ok
    chosen = [task(programs, name)["id"] for name in ("pended", "asked")]
    page = opened(browser, f"{programs.server}/authorizations?state=open")
    for fhir_id in chosen:
        box = page.locator(f'input[name=task][value="{fhir_id}"]')
        box.focus()
        page.keyboard.press("Space")
    assert [] == page.get_by_label("Give the selected to").locator("text=Gone").all()
    page.get_by_label("Give the selected to").select_option("B Ward")
    page.get_by_role("button", name="Give", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("who looks after it")
    assert "state=open" in page.url
    for fhir_id in chosen:
        (found,) = programs.search(f"Task?_id={fhir_id}")
        assert {"reference": "Practitioner/ward", "display": "B Ward"} == found["owner"]
    mine = requests.get(f"{programs.server}/authorizations?owner=Practitioner/ward", timeout=9).text
    assert set(chosen) == set(re.findall(r'href="/authorizations/([^"/]+)"', mine))

    page.goto(f"{programs.server}/authorizations/{chosen[0]}")
    steps = page.locator("h2:has-text('What happened') + ol li").count()
    page.get_by_text("Give to…").click()
    page.get_by_label("Who looks after it").select_option("Nobody")
    page.get_by_role("button", name="Give", exact=True).click()
    assert "owner" not in programs.search(f"Task?_id={chosen[0]}")[0]
    assert steps == page.locator("h2:has-text('What happened') + ol li").count()
    page.context.close()


@pytest.mark.parametrize("form", [{"owner": "nobody"}, {"task": "x"}, {}])
def test_nothing_is_given_that_was_not_chosen(programs: Programs, form: dict[str, str]) -> None:
    """Neither requests nor a person: the page says what to do."""
    answer = requests.post(f"{programs.server}/authorizations/assign", data=form, timeout=9)

    assert "Nothing was given: tick the requests" in answer.text


def test_somebody_elses_choice_of_an_owner_stays(programs: Programs) -> None:
    """An Organization, by a program: the page has it chosen, and keeps it when given again."""
    found = task(programs, "asked")
    owner = {"reference": "Organization/clinic", "display": "Night shift"}
    assert programs.put({**found, "owner": owner}).ok
    address = f"{programs.server}/authorizations/{found['id']}"
    page = requests.get(address, timeout=9).text
    form = {"owner": "Organization/clinic"}

    assert 'value="Organization/clinic" selected' in page
    assert requests.post(f"{address}/assign", data=form, timeout=9).ok
    assert owner == task(programs, "asked")["owner"]


@pytest.mark.parametrize("owner", ["Practitioner/gone", "Practitioner/none", "Patient/pat", "x"])
def test_a_request_is_given_to_nobody_who_is_not_there(programs: Programs, owner: str) -> None:
    """404, with the next step; it stays with whom it was."""
    found = task(programs, "urgent")
    gone = {"resourceType": "Practitioner", "id": "gone", "active": False}
    assert programs.put(gone).ok
    address = f"{programs.server}/authorizations/{found['id']}/assign"

    assert 404 == requests.post(address, data={"owner": owner}, timeout=9).status_code
    assert "owner" not in task(programs, "urgent")


def test_a_row_says_who_decides_by_which_clock_and_what_was_decided(programs: Programs) -> None:
    """As the table has it; the page says the same."""
    claim = of_code("22612", fhir_id="row")
    assert programs.put(claim).ok
    assert requests.post(f"{programs.fhir}/Claim/row/$submit", timeout=30).ok
    table = requests.get(f"{programs.server}/authorizations.csv?state=all", timeout=9).text
    rows = {row["id"]: row for row in csv.DictReader(table.splitlines())}
    denied, asked = rows[task(programs, "row")["id"]], rows[task(programs, "asked")["id"]]

    assert ("00099", "PAS", "A3", "the payer") == tuple(
        denied[name] for name in ("payer id", "way", "codes", "by")
    )
    assert denied["numbers"].startswith("AUTH")
    assert "Not medically necessary (X12 886 01)" in denied["reason"]
    wanted = ["document of LOINC 34117-2", "document of X12 755 OB", "a questionnaire to fill in"]
    assert ("7 days", "; ".join(wanted)) == (asked["rule"], asked["asked for"])


def test_a_payer_that_wants_a_call_is_called(programs: Programs) -> None:
    """No “wait”: the next step is a call, and to record what comes of it."""
    assert programs.put(of_code("E1390", fhir_id="call")).ok
    assert requests.post(f"{programs.fhir}/Claim/call/$submit", timeout=30).ok
    found = task(programs, "call")
    page = requests.get(f"{programs.server}/authorizations/{found['id']}", timeout=9).text

    assert "Call it, and record what it tells." in page
    assert "Wait for the payer" not in page


def test_a_number_is_copied(programs: Programs, browser: Browser) -> None:
    """By a button; without script one click marks all of it."""
    found = task(programs, "urgent")
    page = opened(browser, f"{programs.server}/authorizations/{found['id']}", scripts=True)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    number = page.locator("code.whole").inner_text()
    page.get_by_role("button", name=f"Copy {number}").click()
    expect(page.get_by_role("button", name=f"Copied {number}")).to_have_text("Copied")
    assert number == page.evaluate("navigator.clipboard.readText()")
    page.context.close()


@pytest.mark.req("R70")
def test_people_record_a_notice_and_the_urgency(programs: Programs, browser: Browser) -> None:
    """The clock follows, the history stays; a notice that makes no sense is refused."""
    page = opened(browser, f"{programs.server}/authorizations/{task(programs, 'pended')['id']}")
    before = task(programs, "pended")["restriction"]["period"]["end"]
    page.get_by_text("The payer takes longer…").click()
    page.get_by_label("More days").fill("15")
    page.get_by_label("Day of its notice").fill("2026-11-26")
    page.get_by_label("Its reason").fill("A scan is due")
    page.get_by_role("button", name="Record the notice").click()
    expect(page.get_by_role("alert")).to_contain_text("Not recorded")
    assert before == task(programs, "pended")["restriction"]["period"]["end"]

    page.get_by_label("More days").fill("14")
    page.get_by_role("button", name="Record the notice").click()
    expect(page.locator("main")).to_contain_text("took 14 more days by its notice of 2026-11-26")
    after = task(programs, "pended")["restriction"]["period"]["end"]
    days = datetime.fromisoformat(after).date() - datetime.fromisoformat(before).date()
    assert 14 == days.days
    expect(page.get_by_text("The payer takes longer…")).to_have_count(0)

    page.get_by_text("Urgency…").click()
    page.get_by_label("It is").select_option("expedited")
    page.get_by_label("Says who").fill("Dr. Okafor")
    page.get_by_role("button", name="Record the urgency").click()
    expect(page.locator("main")).to_contain_text("Expedited, says Dr. Okafor")
    assert "urgent" == task(programs, "pended")["priority"]
    page.context.close()


@pytest.mark.parametrize(
    "form", [{"urgency": "soon", "by": "x"}, {"urgency": "standard", "by": ""}]
)
def test_who_holds_it_how_urgent_is_needed(programs: Programs, form: dict[str, str]) -> None:
    """404, with the next step."""
    address = f"{programs.server}/authorizations/{task(programs, 'asked')['id']}/judge"

    assert 404 == requests.post(address, data=form, timeout=9).status_code


def visit(order: str, status: str, hour: str) -> Resource:
    """Return the Appointment of an order, half an hour from `hour` on."""
    return {
        "resourceType": "Appointment",
        "id": f"{order}-{status}-{hour}".lower(),
        "status": status,
        "basedOn": [{"reference": f"ServiceRequest/{order}"}],
        "participant": [{"actor": {"reference": "Patient/pat"}, "status": "accepted"}],
        "start": f"{hour}:00:00Z",
        "end": f"{hour}:30:00Z",
    }


def test_used_visits_are_counted(programs: Programs) -> None:
    """Appointments that were kept, of those approved; and until when it holds."""
    order = given.order("visits")
    claim = of_code("97112", fhir_id="used")
    claim["item"][0]["extension"][2]["valueReference"] = {"reference": "ServiceRequest/visits"}
    today = datetime.now(UTC).date().isoformat()
    visits = [
        visit("visits", status, f"{day}T23")
        for status, day in (("fulfilled", today), ("noshow", today), ("fulfilled", "2026-01-05"))
    ]
    for one in (order, claim, *visits):
        assert programs.put(one).ok
    assert requests.post(f"{programs.fhir}/Claim/used/$submit", timeout=30).ok
    found = task(programs, "used")
    page = requests.get(f"{programs.server}/authorizations/{found['id']}", timeout=9).text

    assert "1 of 4 visits used" in page
    assert "Used up" not in page
    assert "Holds until" in page
    assert [found["id"]] == [
        one["id"] for one in programs.search("Task?expires=gt2027-01-01&focus=Claim/used")
    ]


@pytest.mark.parametrize(
    ("button", "certification", "number"), [("Appeal", "2", True), ("Ask anew", "I", False)]
)
def test_a_denial_is_appealed_or_asked_anew(
    programs: Programs, browser: Browser, button: str, certification: str, *, number: bool
) -> None:
    """A draft that names the denial, links both ways; pressed twice it is one."""
    name = f"denied-{certification.lower()}"
    claim = of_code("22612", fhir_id=name)
    assert programs.put(claim).ok
    assert requests.post(f"{programs.fhir}/Claim/{name}/$submit", timeout=30).ok
    before = task(programs, name)
    address = f"{programs.server}/authorizations/{before['id']}"
    made = set()
    for _ in range(2):
        page = opened(browser, address)
        page.get_by_role("button", name=button).click()
        expect(page.locator(".band")).to_contain_text("Draft")
        made.add(page.url.partition("?")[0].rpartition("/")[2])
        page.get_by_role("link", name="Follows from an earlier request").click()
        expect(page.get_by_role("link", name="Asked again: Draft")).to_have_count(1)
        page.context.close()
    (fhir_id,) = made
    (draft,) = programs.search(f"Task?_id={fhir_id}")
    (renewed,) = programs.search(f"Claim?_id={draft['focus']['reference'].partition('/')[2]}")
    (item,) = renewed["item"]
    concept = elements.extension_value(item, pas.EXT_CERTIFICATION)

    assert certification == elements.code(concept, pas.CERTIFICATION_TYPE)
    assert number is bool(elements.extension_value(item, pas.EXT_NUMBER))
    assert requests.post(f"{programs.server}/authorizations/{fhir_id}/send", timeout=9).ok
    wait_for(
        lambda: programs.search(f"Task?_id={fhir_id}")[0]["status"] == "completed", "the decision"
    )
    after = requests.get(f"{programs.server}/authorizations/{fhir_id}", timeout=9).text
    assert ("The payer stays with its denial" in after) is (button == "Appeal")


def test_what_is_used_up_says_so(programs: Programs) -> None:
    """As many visits were kept as were approved."""
    order = given.order("all-used")
    claim = of_code("97112", fhir_id="all-used")  # four visits are approved
    claim["item"][0]["extension"][2]["valueReference"] = {"reference": "ServiceRequest/all-used"}
    today = datetime.now(UTC).date().isoformat()
    visits = [visit("all-used", "fulfilled", f"{today}T{hour}") for hour in (20, 21, 22, 23)]
    for one in (order, claim, *visits):
        assert programs.put(one).ok
    assert requests.post(f"{programs.fhir}/Claim/all-used/$submit", timeout=30).ok
    found = task(programs, "all-used")
    page = requests.get(f"{programs.server}/authorizations/{found['id']}", timeout=9).text

    assert "Used up" in page
    assert "4 of 4 visits used" in page
    kept = re.findall(r'href="(/fhir/DocumentReference/[^"]+)"', page)
    assert [True] == [requests.get(programs.server + one, timeout=9).ok for one in kept]


def test_until_when_a_payer_takes_an_appeal_is_recorded(programs: Programs) -> None:
    """As its letter says; nothing is reckoned, and no day is no day."""
    assert programs.put(of_code("22612", fhir_id="letter")).ok
    assert requests.post(f"{programs.fhir}/Claim/letter/$submit", timeout=30).ok
    address = f"{programs.server}/authorizations/{task(programs, 'letter')['id']}"
    assert "Appeal until</dt><dd>Not recorded" in requests.get(address, timeout=9).text
    refused = requests.post(f"{address}/appeal-by", data={"day": "soon"}, timeout=9)
    told = requests.post(f"{address}/appeal-by", data={"day": "2027-01-31"}, timeout=9)

    assert (404, True) == (refused.status_code, told.ok)
    assert "Appeal until</dt><dd>2027-01-31" in requests.get(address, timeout=9).text
    asked = f"{programs.server}/authorizations/{task(programs, 'asked')['id']}/appeal-by"
    assert 404 == requests.post(asked, data={"day": "2027-01-31"}, timeout=9).status_code


def test_an_appeal_that_was_withheld_may_be_made_again(programs: Programs) -> None:
    """The withheld one never goes out; another draft takes its place."""
    assert programs.put(of_code("22612", fhir_id="again")).ok
    assert requests.post(f"{programs.fhir}/Claim/again/$submit", timeout=30).ok
    address = f"{programs.server}/authorizations"
    made = []
    for _ in range(3):
        page = requests.post(
            f"{address}/{task(programs, 'again')['id']}/renew", data={"kind": "appeal"}, timeout=9
        )
        made.append(page.url.partition("?")[0].rpartition("/")[2])
        if len(made) == 1:
            assert requests.post(f"{address}/{made[0]}/withhold", timeout=9).ok

    assert made[0] != made[1] == made[2]
    (second,) = programs.search(f"Task?_id={made[1]}")
    assert "draft" == second["status"]


@pytest.mark.parametrize("name", ["pended", "urgent"])
def test_only_what_was_not_granted_is_asked_again(programs: Programs, name: str) -> None:
    """404 otherwise."""
    address = f"{programs.server}/authorizations/{task(programs, name)['id']}/renew"

    assert 404 == requests.post(address, data={"kind": "appeal"}, timeout=9).status_code


def test_the_payer_is_asked_about_all_that_are_shown(programs: Programs, browser: Browser) -> None:
    """By one button; what does not wait is not asked about, and the filters stay."""
    page = opened(browser, f"{programs.server}/authorizations?state=more-information")
    page.get_by_role("button", name="Ask about all that wait here").click()
    expect(page.get_by_role("status")).to_contain_text("at most once an hour")
    assert "state=more-information" in page.url
    address = f"{programs.server}/authorizations/{task(programs, 'asked')['id']}"
    wait_for(lambda: "The payer answered." in requests.get(address, timeout=9).text, "the inquiry")
    page.goto(f"{programs.server}/authorizations?state=approved")
    expect(page.get_by_role("button", name="Ask about all that wait here")).to_have_count(0)
    page.context.close()


def test_an_odd_address_is_no_fault(programs: Programs) -> None:
    """Names that mean something to the program come as they are."""
    address = f"{programs.server}/authorizations?state=approved&endpoint=x&filename=y"

    assert 200 == requests.get(address, timeout=9).status_code


def test_a_sent_request_is_neither_withheld_nor_changed(programs: Programs) -> None:
    """Nor an appeal changed by the form, which would make it a first request."""
    address = f"{programs.server}/authorizations/{task(programs, 'pended')['id']}"

    assert 404 == requests.post(f"{address}/withhold", timeout=9).status_code
    assert 404 == requests.get(f"{address}/change", timeout=9).status_code
