"""Who comes in to the pages, to which of them, until when, and what is written down of it."""

import base64
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import responses
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from fhir_profiles import codec, systems
from server import clock, settings
from server.access.people import ROLES
from server.app import close, create_app
from server.interactions import search, update
from server.interactions._write import Origin
from server.rest import blueprint
from server.settings import SettingRefused
from server.validation import check
from tests import samples
from tests.openid import ISSUER, KEY, FakeProvider

HOME = "https://inforce.clinic.example"
HOST = "inforce.clinic.example"
COOKIE = "__Host-inforce"
NOT_DONE = "The sign-in was not completed. Try it again."
NOT_BEGUN = "This sign-in was begun in another browser, or too long ago. Begin it again."
NOT_THERE = "The sign-in of your organization does not answer. Try it again."
SETTINGS = {
    "INFORCE_PUBLIC_URL": HOME,
    "INFORCE_SIGN_IN_ISSUER": ISSUER,
    "INFORCE_SIGN_IN_CLIENT_ID": "inforce",
    "INFORCE_SIGN_IN_CLIENT_SECRET": "secret",
    "INFORCE_SECRET_KEY": "k" * 32,
}
REFRESH = {"Sec-Fetch-Dest": "empty"}


class Desk:
    """Browsers before the pages, and the provider that they are sent to."""

    def __init__(self, provider: FakeProvider) -> None:
        self.provider = provider
        self.moment = datetime(2026, 11, 27, 8, tzinfo=UTC)
        self.app: Flask
        self.client: FlaskClient

    def start(self, to: str = "/", **more: str) -> dict[str, str]:
        """Begin to sign in; return what the provider is asked."""
        answer = self.get("/sign-in", to=to, **more)
        assert 302 == answer.status_code, answer.text
        query = parse_qs(urlsplit(answer.headers["Location"]).query)
        return {key: value[0] for key, value in query.items()}

    def come_back(self, asked: dict[str, str], **claims: Any) -> TestResponse:
        """Come back with a code, for which the provider gives an ID token with these claims."""
        self.provider.gives(claims.pop("nonce", asked["nonce"]), **claims)
        return self.get("/sign-in/done", state=asked["state"], code="c")

    def sign_in(self, *roles: str, **claims: Any) -> TestResponse:
        return self.come_back(self.start(), groups=list(roles), **claims)

    def get(self, path: str, headers: Any = None, **query: str) -> TestResponse:
        return self.client.get(path, query_string=query, headers=headers, base_url=HOME)

    def cookie(self) -> str:
        """Return what the browser has of its session."""
        found = self.client.get_cookie(COOKIE, domain=HOST)
        assert found is not None
        return found.value

    def post(self, path: str, data: Any = None, **headers: str) -> TestResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post(path, data=data, headers=named, base_url=HOME)

    def events(self) -> list[tuple[str, str, str, list[str]]]:
        """Return who was written down, how it ended, for what, and about whom, in order.

        Every event is valid R4.
        """
        engine = self.app.extensions[blueprint.ENGINE]
        page = search.search(engine, "AuditEvent", [("_count", "200"), ("_sort", "_lastUpdated")])
        found = [codec.decode(body) for body in page.bodies]
        assert [] == [issue for one in found for issue in check.check(one)]
        return [_told(one) for one in found]


def _told(event: dict[str, Any]) -> tuple[str, str, str, list[str]]:
    who = event["agent"][0]["who"]
    assert ISSUER == who["identifier"]["system"]
    entities = event.get("entity", [])
    queries = [base64.b64decode(one["query"]).decode() for one in entities if "query" in one]
    what = queries[0] if queries else event["subtype"][0]["display"]
    return who["display"], event["outcome"], what, [
        one["what"]["reference"] for one in entities if "what" in one
    ]  # fmt: skip


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        made = Desk(FakeProvider(mock))
        made.provider.says()
        made.provider.signs_with(KEY)
        monkeypatch.setattr(clock, "now", lambda: made.moment)
        database = {"INFORCE_DATABASE": f"sqlite:///{tmp_path}/inforce.db"}
        made.app = create_app(settings.read(SETTINGS | database))
        made.client = made.app.test_client()
        yield made
        close(made.app)


def test_somebody_signs_in(desk: Desk) -> None:
    """To the page that was asked for, by a cookie of this host alone; it is written down."""
    answer = desk.come_back(desk.start("/payers?name=x"))
    assert (302, "/payers?name=x") == (answer.status_code, answer.headers["Location"])
    cookie = answer.headers["Set-Cookie"]
    for part in (f"{COOKIE}=", "Secure", "HttpOnly", "SameSite=Lax", "Path=/"):
        assert part in cookie
    assert 200 == desk.get("/payers").status_code
    assert [("Fran Desk", "0", "Login", []), ("Fran Desk", "0", "GET /payers", [])] == desk.events()


@pytest.mark.parametrize("name", ["  ", "\x00\n", None, "x" * 300, "<b>"])
def test_names_as_providers_tell_them(desk: Desk, name: str | None) -> None:
    """What cannot be shown is not, and the event is valid; without a name there is the id."""
    desk.sign_in("front-desk", name=name)
    shown = (name or "").strip("\x00\n ")[:100] or "f-1"
    assert shown == desk.events()[0][0]
    assert "<b>" not in desk.get("/payers").text


def test_an_id_token_of_another_sign_in(desk: Desk) -> None:
    """Nobody comes in, whoever is signed in already stays, and it is told."""
    desk.sign_in("front-desk")
    answer = desk.come_back(desk.start(), nonce="another", sub="b-2")
    assert (401, True) == (answer.status_code, NOT_DONE in answer.text)
    assert "Fran Desk" in desk.get("/payers").text


def test_who_comes_back_without_having_been_sent(desk: Desk) -> None:
    """A link that somebody else prepared signs nobody in."""
    asked = desk.start()
    desk.client.delete_cookie(COOKIE, domain=HOST)
    answer = desk.come_back(asked)
    assert (401, True) == (answer.status_code, NOT_BEGUN in answer.text)


def test_who_comes_back_too_late(desk: Desk) -> None:
    """After a quarter of an hour the sign-in begins anew."""
    asked = desk.start()
    desk.moment += timedelta(minutes=15)
    assert 401 == desk.come_back(asked).status_code


def test_the_same_answer_twice_is_one_sign_in(desk: Desk) -> None:
    """A double click leads on, each to their own start."""
    asked = desk.start()
    assert 302 == desk.come_back(asked, groups=["payer-relations"]).status_code
    assert "/payers" == desk.come_back(asked).headers["Location"]


def test_tabs_sign_in_beside_each_other(desk: Desk) -> None:
    """Each comes back to its own page; what is never finished does not pile up."""
    for _ in range(30):
        desk.start("/" + "x" * 499)
    first, second = desk.start("/payers"), desk.start("/?look=1")
    assert "/?look=1" == desk.come_back(second).headers["Location"]
    assert "/payers" == desk.come_back(first).headers["Location"]
    desk.start("/" + "x" * 499)
    assert len(desk.cookie()) < 4000


def test_the_provider_refuses(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """Its word stands in the log, and nothing else that anybody can write there."""
    for told, logged in (("access_denied", "access_denied"), ("x\nFORGED", "no_word")):
        answer = desk.get("/sign-in/done", state=desk.start()["state"], error=told)
        assert 401 == answer.status_code
        (trace,) = re.findall(r"the number <code>([^<]+)<", answer.text)
        assert f"a sign-in was not completed: {logged}, trace {trace}" in caplog.messages
        assert (told == "access_denied") == ("did not let you in" in answer.text)
    desk.get("/sign-in/done", state="made-up", error="invalid_client")
    assert "invalid_client" not in caplog.text
    assert "FORGED" not in caplog.text


def test_a_provider_that_cannot_be_used(desk: Desk) -> None:
    """It is said so, with the way to try again and come to the same page."""
    desk.provider.says(issuer="https://other.example")
    answer = desk.get("/sign-in", to="/payers?name=x")
    assert (503, True) == (answer.status_code, NOT_THERE in answer.text)
    assert 'href="/sign-in?to=/payers?name%3Dx"' in answer.text
    assert 200 == desk.get("/signed-out").status_code


@pytest.mark.parametrize("to", [
    "https://evil.example", "//evil.example", "/\\evil.example", "/\t/evil.example", "/a b", "",
    "/" + "x" * 500,
])  # fmt: skip
def test_nobody_is_led_elsewhere(desk: Desk, to: str) -> None:
    """What is no page of ours leads to the day."""
    assert "/" == desk.come_back(desk.start(to)).headers["Location"]


def test_who_has_no_role_may_come_as_somebody_else(desk: Desk) -> None:
    """The provider asks who it is, as it would let the same person in again."""
    answer = desk.sign_in("strangers")
    assert 403 == answer.status_code
    assert 'href="/sign-in?to=/&amp;anew=1"' in answer.text
    assert "login" == desk.start(anew="1")["prompt"]
    assert [("Fran Desk", "4", "Login", [])] == desk.events()


@pytest.mark.parametrize(("groups", "told"), [
    (None, "is not there"), (["A\nFORGED", 7], r"tells of 'A\nFORGED', '7'"),
    ("one", "tells of 'one'"),
])  # fmt: skip
def test_the_log_says_which_groups_have_no_role(
    desk: Desk, caplog: pytest.LogCaptureFixture, groups: Any, told: str
) -> None:
    """So that whoever wrote the setting finds the difference; not who it was."""
    desk.come_back(desk.start(), groups=groups)
    assert f"a sign-in has no role: the claim groups {told}, trace " in caplog.text
    assert "Fran" not in caplog.text


PAGES = {
    "/": {"front-desk", "billing", "clinician"},
    "/benefits/c": {"front-desk", "billing", "clinician"},
    "/authorizations": {"billing", "clinician"},
    "/authorizations.csv": {"billing", "clinician"},
    "/payers": {"front-desk", "billing", "payer-relations", "integrator"},
    "/deliveries": {"integrator"},
}


@pytest.mark.parametrize("role", ROLES)
def test_each_role_has_its_pages(desk: Desk, role: str) -> None:
    """What docs/access.md says, and only whose role has segments is shown one."""
    with_a_coverage(desk)
    desk.sign_in(role)
    shown = {path for path in PAGES if desk.get(path).status_code == 200}
    assert {path for path, roles in PAGES.items() if role in roles} == shown
    segment = "EB*1**30" in desk.get("/benefits/c").text
    assert (role == "billing") == segment


def with_a_coverage(desk: Desk) -> None:
    """Store a patient's coverage with an answer that has a segment."""
    engine = desk.app.extensions[blueprint.ENGINE]
    patient = {"reference": "Patient/ana"}
    sent = {"url": "segment", "valueString": "EB*1**30"}
    source = {"url": systems.EXT_SOURCE, "extension": [sent]}
    item = {"category": {"coding": [{"code": "30"}], "text": "Plan"}, "extension": [source]}
    insurance = {"coverage": {"reference": "Coverage/c"}, "inforce": True, "item": [item]}
    answer = {
        "resourceType": "CoverageEligibilityResponse", "id": "a", "status": "active",
        "purpose": ["benefits"], "patient": patient, "created": "2026-11-27T08:00:00Z",
        "request": {"display": "asked"}, "outcome": "complete", "insurer": {"display": "A payer"},
        "insurance": [insurance],
    }  # fmt: skip
    stored: list[dict[str, Any]] = [
        samples.patient("ana"), samples.coverage("c", beneficiary=patient), answer,
    ]  # fmt: skip
    for one in stored:
        place = one["resourceType"], one["id"]
        update.update(engine, *place, one, if_match=None, origin=Origin("test"))


def test_no_page_is_without_a_right(desk: Desk) -> None:
    """Every address that is neither the API's nor the sign-in's answers a stranger with 401."""
    free = ("/fhir", "/oauth2", "/.well-known", "/healthz", "/readyz", "/static", "/sign")
    rules = [rule for rule in desk.app.url_map.iter_rules() if not rule.rule.startswith(free)]
    assert len(rules) > 25
    for rule in rules:
        path = re.sub("<.*?>", "1", rule.rule)
        for method in rule.methods or ():
            answer = desk.client.open(path, method=method, base_url=HOME)
            assert 401 == answer.status_code, (method, path)
        assert 405 == desk.client.options(path, base_url=HOME).status_code


def test_the_first_page_is_one_that_a_role_has(desk: Desk) -> None:
    """Payer relations have no patients: they land on the payers, and every way back leads there."""
    assert "/payers" == desk.sign_in("payer-relations").headers["Location"]
    page = desk.get("/")
    assert 403 == page.status_code
    assert 'class="brand" href="/payers"' in page.text


def test_what_is_written_down(desk: Desk) -> None:
    """Whose page, whose form, how it ended; also what was refused, and what is not there."""
    with_a_coverage(desk)
    desk.sign_in("billing")
    desk.get("/benefits/c", price="20")
    desk.get("/benefits/none")
    desk.get("/deliveries")
    desk.get("/authorizations/new", coverage="c")
    desk.post("/authorizations/assign", {"task": ["t-1", "t 2"], "owner": "Practitioner/x"})
    desk.post("/benefits/c/check", Sec_Fetch_Site="cross-site")
    desk.get("/benefits/a b<x>")
    ana = ["Coverage/c", "Patient/ana"]
    assert [
        ("0", "Login", []),
        ("0", "GET /benefits/c?price=20", ana),
        ("4", "GET /benefits/none", ["Coverage/none"]),
        ("4", "GET /deliveries", []),
        ("0", "GET /authorizations/new?coverage=c", ana),
        ("0", "POST /authorizations/assign", ["Task/t-1"]),
        ("4", "POST /benefits/c/check", ana),
        ("4", "GET /benefits/a b<x>", []),
    ] == [event[1:] for event in desk.events()]


def test_a_page_that_refreshes_is_written_down_now_and_then(desk: Desk) -> None:
    """The day's own script: every ten minutes. Any other page, whoever asks for it: each time."""
    desk.sign_in("billing")
    desk.get("/")
    for _ in range(3):
        desk.moment += timedelta(minutes=4)
        desk.get("/", headers=REFRESH)
        desk.get("/authorizations.csv", headers=REFRESH)
    asked = [what for _, _, what, _ in desk.events()]
    assert (2, 3) == (asked.count("GET /"), asked.count("GET /authorizations.csv"))


def test_a_session_ends_when_nobody_uses_it(desk: Desk) -> None:
    """After 30 minutes without a page; a page that brings itself up to date is no use."""
    desk.sign_in("front-desk")
    desk.moment += timedelta(minutes=29)
    assert 200 == desk.get("/payers").status_code
    for _ in range(2):
        desk.moment += timedelta(minutes=14)
        assert 200 == desk.get("/", headers=REFRESH).status_code
    desk.moment += timedelta(minutes=2)
    for _ in range(2):
        assert 401 == desk.get("/payers").status_code
    assert 1 == [what for _, _, what, _ in desk.events()].count("Logout")


def test_a_session_ends_in_any_case(desk: Desk) -> None:
    """After 10 hours, however busy."""
    desk.sign_in("front-desk")
    for _ in range(29):
        desk.moment += timedelta(minutes=20)
        assert 200 == desk.get("/payers").status_code
    desk.moment += timedelta(minutes=20)
    assert 401 == desk.get("/payers").status_code


def test_a_session_that_is_ended_is_ended_everywhere(desk: Desk) -> None:
    """A copy of the cookie opens nothing any more; so does not the session before this one."""
    desk.sign_in("front-desk")
    kept = desk.cookie()
    assert "/signed-out" == desk.post("/sign-out").headers["Location"]
    desk.client.set_cookie(COOKIE, kept, domain=HOST)
    assert 401 == desk.get("/payers").status_code
    assert [what for _, _, what, _ in desk.events()] == ["Login", "Logout"]


def test_a_second_sign_in_ends_the_first(desk: Desk) -> None:
    """On a computer that two use, the one who left is not in any more."""
    desk.sign_in("front-desk")
    kept = desk.cookie()
    desk.sign_in("billing", sub="b-2")
    desk.client.set_cookie(COOKIE, kept, domain=HOST)
    assert 401 == desk.get("/payers").status_code
    assert [what for _, _, what, _ in desk.events()] == ["Login", "Logout", "Login"]


def test_keys_change_without_signing_anybody_out(desk: Desk, tmp_path: Path) -> None:
    """A cookie of the old key is good as long as that key is given, and no longer."""
    desk.sign_in("front-desk")
    kept = desk.cookie()
    for keys, status in ((f"{'n' * 32} {'k' * 32}", 200), ("n" * 32, 401)):
        env = SETTINGS | {"INFORCE_DATABASE": f"sqlite:///{tmp_path}/inforce.db"}
        other = create_app(settings.read(env | {"INFORCE_SECRET_KEY": keys}))
        client = other.test_client()
        client.set_cookie(COOKIE, kept, domain=HOST)
        assert status == client.get("/payers", base_url=HOME).status_code
        close(other)


def test_a_form_without_a_session_is_not_lost(desk: Desk) -> None:
    """The page says how to send it again."""
    answer = desk.post("/retry", {"payer": "x", "code": "42"})
    assert 401 == answer.status_code
    assert "Sign in in a new tab" in answer.text
    assert "sent once more" in answer.text


@pytest.mark.parametrize(("headers", "status"), [
    ({"Sec_Fetch_Site": "same-origin"}, 303), ({"Sec_Fetch_Site": "cross-site"}, 403),
    ({"Sec_Fetch_Site": "same-site"}, 403), ({"Origin": HOME}, 303), ({"Origin": "null"}, 403),
    ({"Origin": "https://evil.example"}, 403), ({}, 303),
], ids=str)  # fmt: skip
def test_only_our_own_pages_send_forms(desk: Desk, headers: dict[str, str], status: int) -> None:
    """Also behind a proxy, that has another name for us than browsers have."""
    desk.sign_in("front-desk")
    kept = desk.cookie()
    proxy = desk.app.test_client()
    proxy.set_cookie(COOKIE, kept, domain="127.0.0.1")
    for path in ("/retry", "/sign-out"):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = proxy.post(path, headers=named, base_url="http://127.0.0.1:8080")
        assert status == answer.status_code


@pytest.mark.parametrize(("change", "told"), [
    ({"INFORCE_SIGN_IN_ISSUER": "http://id.clinic.example"}, "INFORCE_SIGN_IN_ISSUER"),
    ({"INFORCE_SIGN_IN_ISSUER": "https://[x"}, "INFORCE_SIGN_IN_ISSUER"),
    ({"INFORCE_SIGN_IN_ISSUER": "https://"}, "INFORCE_SIGN_IN_ISSUER"),
    ({"INFORCE_SIGN_IN_ISSUER": f"{ISSUER}/?x=1"}, "INFORCE_SIGN_IN_ISSUER"),
    ({"INFORCE_SIGN_IN_ISSUER": f"{ISSUER}/.well-known/x"}, "INFORCE_SIGN_IN_ISSUER"),
    ({"INFORCE_SIGN_IN_ISSUER": ""}, "INFORCE_SIGN_IN_ISSUER"),
    ({"INFORCE_SIGN_IN_ISUER": ISSUER}, "INFORCE_SIGN_IN_ISUER"),
    ({"INFORCE_SIGN_IN_SCOPE": "profile"}, "INFORCE_SIGN_IN_SCOPE"),
    ({"INFORCE_SIGN_IN_CLIENT_ID": ""}, "INFORCE_SIGN_IN_CLIENT_ID"),
    ({"INFORCE_SIGN_IN_CLIENT_SECRET": ""}, "INFORCE_SIGN_IN_CLIENT_SECRET"),
    ({"INFORCE_SIGN_IN_ROLES": "owner=Group"}, "INFORCE_SIGN_IN_ROLES: 'owner=Group'"),
    ({"INFORCE_SIGN_IN_ROLES": "billing"}, "INFORCE_SIGN_IN_ROLES"),
    ({"INFORCE_SIGN_IN_ROLES": " ; "}, "INFORCE_SIGN_IN_ROLES"),
    ({"INFORCE_SIGN_IN_ROLES": "billing=A; clinician=A"}, "INFORCE_SIGN_IN_ROLES"),
    ({"INFORCE_SECRET_KEY": ""}, "INFORCE_SECRET_KEY"),
    ({"INFORCE_SECRET_KEY": "short"}, "INFORCE_SECRET_KEY"),
    ({"INFORCE_PUBLIC_URL": "http://inforce.clinic.example"}, "INFORCE_PUBLIC_URL"),
    ({"INFORCE_PUBLIC_URL": f"{HOME}/inforce"}, "INFORCE_PUBLIC_URL"),
])  # fmt: skip
def test_settings_that_sign_nobody_in(change: dict[str, str], told: str) -> None:
    """The refusal names the setting."""
    with pytest.raises(SettingRefused, match=told):
        settings.read(SETTINGS | change)


def test_groups_by_roles() -> None:
    """Several groups may have a role; an open server asks for none of it."""
    env = SETTINGS | {"INFORCE_SIGN_IN_ROLES": "clinician=Doctors; clinician = Nurses;billing=B=1"}
    provider = settings.read(env).provider
    assert provider is not None
    assert {"Doctors": "clinician", "Nurses": "clinician", "B=1": "billing"} == provider.groups
    assert settings.read({"INFORCE_AUTH": "open", "INFORCE_SECRET_KEY": "short"}).provider is None


def test_secrets_are_not_in_what_settings_print() -> None:
    """Neither the client secret nor the key of sessions."""
    printed = repr(settings.read(SETTINGS))
    assert "k" * 32 not in printed
    assert "'secret'" not in printed
