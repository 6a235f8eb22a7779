"""People sign in at a real OpenID provider, in a real browser, and see what their role needs."""

import base64
import re
import secrets
import subprocess
from collections.abc import Iterator

import pytest
import requests
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests import browser_tools, node_tools
from tests.acceptance.door import behind_door, token_of
from tests.acceptance.people import Person
from tests.programs import Programs, free_port, wait_for
from tests.x12_texts import answer_271

pytestmark = [pytest.mark.loopback, pytest.mark.browser, pytest.mark.node]
SEGMENT = "EB*B*IND*98***27*35"
SETTINGS = {
    "INFORCE_SIGN_IN_CLIENT_ID": "inforce",
    "INFORCE_SIGN_IN_CLIENT_SECRET": "a-secret-of-tests-only",
    "INFORCE_SIGN_IN_ROLES": (
        "front-desk=Front Desk; billing=Billing Team; payer-relations=payer-people"
    ),
    "INFORCE_SECRET_KEY": secrets.token_urlsafe(32),
}


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Programs]:
    node_tools.packages()
    port = free_port()
    settings = {**SETTINGS, "INFORCE_SIGN_IN_ISSUER": f"http://127.0.0.1:{port}"}
    folder = tmp_path_factory.mktemp("sign-in")
    with behind_door(folder, "", settings) as started:
        redirect = f"{started.server}/sign-in/done"
        program = str(node_tools.FOLDER / "identity.mjs")
        with (folder / "identity.log").open("ab") as log:
            provider = subprocess.Popen(
                [str(node_tools.NODE), program, str(port), redirect],
                stdout=log, stderr=log,
            )  # fmt: skip
        try:
            wait_for(lambda: _answers(settings["INFORCE_SIGN_IN_ISSUER"]), "the provider answers")
            yield started
        finally:
            provider.kill()
            provider.wait()


def _answers(issuer: str) -> bool:
    try:
        return requests.get(f"{issuer}/.well-known/openid-configuration", timeout=2).ok
    except requests.RequestException:
        return False


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context(viewport={"width": 1366, "height": 768}, java_script_enabled=False)
    yield made
    made.close()


@pytest.fixture(scope="module")
def person(programs: Programs) -> Person:
    made = Person(programs)
    made.checked(answer_271("EB*1**30", SEGMENT))
    return made


def signed_in(context: BrowserContext, programs: Programs, name: str, path: str = "/") -> Page:
    """Ask for a page, and sign in on the way to it, as a person does."""
    page = context.new_page()
    page.goto(programs.server + path)
    page.get_by_role("link", name="Sign in").click()
    page.locator("input[name=login]").fill(name)
    page.locator("input[name=password]").fill("any")
    page.get_by_role("button", name="Sign-in").click()
    page.get_by_role("button", name="Continue").click()
    return page


def audited(programs: Programs, outcome: str) -> list[tuple[str, str, str]]:
    """Return who was audited with an outcome, for what, and of which page."""
    headers = token_of(programs, "bots")
    found = requests.get(
        f"{programs.fhir}/AuditEvent?outcome={outcome}&_count=200", headers=headers, timeout=9
    ).json()
    events = [one["resource"] for one in found.get("entry", [])]
    return [
        (event["agent"][0]["who"]["display"], event["type"].get("display", ""), asked(event))
        for event in events
        if "who" in event["agent"][0]
    ]


def asked(event: dict[str, list[dict[str, str]]]) -> str:
    queries = [one["query"] for one in event.get("entity", []) if "query" in one]
    return base64.b64decode(queries[0]).decode() if queries else ""


@pytest.mark.req("check-15")
def test_the_payers_segments_are_for_billing(
    programs: Programs, context: BrowserContext, browser: Browser, person: Person
) -> None:
    """The same benefit: billing is led back to the payer's bytes, the front desk is not."""
    path = f"/benefits/{person.coverage_id}"
    page = signed_in(context, programs, "bea", path)
    expect(page).to_have_url(programs.server + path)
    expect(page.locator("body")).to_contain_text(SEGMENT)
    expect(page.locator(".bar")).to_contain_text("Bea Billing")

    other = browser.new_context(java_script_enabled=False)
    page = signed_in(other, programs, "fran", path)
    expect(page.get_by_role("status").first).to_contain_text("Active")
    expect(page.locator("body")).not_to_contain_text(SEGMENT)
    assert SEGMENT not in page.content()
    other.close()
    assert ("Bea Billing", "Patient Record", f"GET {path}") in audited(programs, "0")


def test_a_form_acts_for_who_signed_in(
    programs: Programs, context: BrowserContext, person: Person
) -> None:
    """Check again, by keyboard; it is written down who asked."""
    page = signed_in(context, programs, "fran", f"/benefits/{person.coverage_id}")
    button = page.get_by_role("button", name="Check again")
    button.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".done")).to_contain_text(re.compile("is asked again|has answered"))
    path = f"POST /benefits/{person.coverage_id}/check"
    assert ("Fran Desk", "Patient Record", path) in audited(programs, "0")


def test_each_role_has_its_pages(programs: Programs, context: BrowserContext) -> None:
    """Payer relations land on the payers, and see no patient; what is tried is written down."""
    page = signed_in(context, programs, "pam")
    expect(page).to_have_url(f"{programs.server}/payers")
    assert ["Payers"] == page.locator(".bar nav a").all_inner_texts()
    answer = page.goto(f"{programs.server}/authorizations")
    assert answer is not None
    assert 403 == answer.status
    expect(page.locator("h1")).to_have_text("Your role does not include this page.")
    assert ("Pam Payers", "Query", "GET /authorizations") in audited(programs, "4")


def test_who_has_no_role_comes_no_further(programs: Programs, context: BrowserContext) -> None:
    """Known to the clinic, in none of the groups: told so, and written down."""
    page = signed_in(context, programs, "nobody")
    expect(page.locator("h1")).to_contain_text("none of your groups has a role here")
    page.goto(programs.server)
    expect(page.locator("h1")).to_have_text("Sign in to see this page.")
    assert ("Noah Body", "User Authentication", "") in audited(programs, "4")


def test_signing_out_ends_the_session(programs: Programs, context: BrowserContext) -> None:
    """The way back is the sign-in; the identity provider's own session is told of."""
    page = signed_in(context, programs, "fran")
    page.get_by_role("button", name="Sign out").click()
    expect(page.locator("h1")).to_have_text("You are signed out of these pages")
    expect(page.get_by_role("link", name="sign out of your organization")).to_be_visible()
    page.goto(programs.server)
    expect(page.locator("h1")).to_have_text("Sign in to see this page.")
    assert ["Sign in"] == page.locator("main a").all_inner_texts()


def test_a_session_opens_pages_only(
    programs: Programs, context: BrowserContext, person: Person
) -> None:
    """The FHIR API goes by tokens: a cookie is nobody there, so no site can use one."""
    page = signed_in(context, programs, "bea")
    answer = page.request.get(f"{programs.fhir}/Coverage/{person.coverage_id}")
    assert 401 == answer.status
    cookies = {one["name"]: one for one in context.cookies(programs.server)}
    assert (True, "Lax") == (cookies["inforce"]["httpOnly"], cookies["inforce"]["sameSite"])


def test_a_page_that_is_open_goes_when_the_session_is_over(
    programs: Programs, browser: Browser
) -> None:
    """The day's page brings itself up to date: signed out elsewhere, it shows nobody any more."""
    context = browser.new_context()
    page = signed_in(context, programs, "fran")
    expect(page.locator("h1")).to_contain_text("Today")
    context.clear_cookies(name="inforce")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator("h1")).to_have_text("Sign in to see this page.")
    context.close()


def test_a_page_that_nobody_touches_leaves_the_screen(
    programs: Programs, browser: Browser, person: Person
) -> None:
    """After half an hour without a key or a click; typing puts it off."""
    context = browser.new_context()
    path = f"/benefits/{person.coverage_id}"
    page = signed_in(context, programs, "fran", path)
    page.clock.install()
    page.goto(programs.server + path)
    page.clock.fast_forward("20:00")
    page.keyboard.press("Tab")
    page.clock.fast_forward("20:00")
    expect(page.locator("h1")).to_contain_text("born")
    page.clock.fast_forward("10:01")
    expect(page).to_have_url(f"{programs.server}/")
    context.close()


@pytest.mark.parametrize(("width", "theme"), browser_tools.VIEWS)
def test_pages_of_the_sign_in_are_accessible(
    programs: Programs, browser: Browser, width: int, theme: str
) -> None:
    """0 violations and no scrolling sideways, before it, during it and after it."""
    context = browser.new_context(java_script_enabled=False)
    signed_in(context, programs, "pam")
    pam = context.storage_state()
    context.close()
    looks = [("/", None), ("/signed-out", None), ("/payers", pam), ("/", pam)]
    found = [
        (path, browser_tools.violations(browser, programs.server + path, width, theme, signed))
        for path, signed in looks
    ]
    assert [(path, []) for path, _ in looks] == found


def test_doctor_asks_the_provider(programs: Programs) -> None:
    """Before anybody stands at the desk and cannot come in."""
    done = programs.run("server", "doctor")
    assert (0, True) == (done.returncode, "sign-in: ok" in done.stdout)
    issuer = programs.environment["INFORCE_SIGN_IN_ISSUER"].replace("127.0.0.1", "localhost")
    done = programs.run("server", "doctor", INFORCE_SIGN_IN_ISSUER=issuer)
    assert 1 == done.returncode
    assert f"{issuer}: its metadata name another issuer" in done.stderr


def test_nothing_of_the_sign_in_is_in_the_log(programs: Programs, context: BrowserContext) -> None:
    """Neither who, nor codes, nor secrets."""
    signed_in(context, programs, "fran")
    log = (programs.logs / "server.log").read_text("utf-8")
    told = [SETTINGS["INFORCE_SECRET_KEY"], "a-secret-of-tests-only", "Fran", "code="]
    assert [] == [one for one in told if one in log]
