"""What an identity provider may say that lets nobody in, and when a session is over."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
import responses
from flask.testing import FlaskClient
from joserfc import jwt
from joserfc.jwk import ECKey
from werkzeug.test import TestResponse

from server import clock, settings
from server.app import close, create_app
from server.settings import SettingRefused

ISSUER = "https://id.clinic.example"
KEY, STRANGER = (ECKey.generate_key("P-256", {"kid": name}) for name in ("one", "two"))
SETTINGS = {
    "INFORCE_PUBLIC_URL": "https://inforce.clinic.example",
    "INFORCE_SIGN_IN_ISSUER": ISSUER,
    "INFORCE_SIGN_IN_CLIENT_ID": "inforce",
    "INFORCE_SIGN_IN_CLIENT_SECRET": "secret",
    "INFORCE_SECRET_KEY": "k" * 32,
}
METADATA = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/auth",
    "token_endpoint": f"{ISSUER}/token",
    "jwks_uri": f"{ISSUER}/keys",
    "id_token_signing_alg_values_supported": ["ES256"],
}
NOT_DONE = "The sign-in was not completed. Try it again."
NOT_THERE = "The sign-in of your organization does not answer. Try it again."


class Desk:
    """A browser before the pages, and the provider that it is sent to."""

    client: FlaskClient

    def __init__(self, provider: responses.RequestsMock) -> None:
        self.provider = provider
        self.moment = datetime(2026, 11, 27, 8, tzinfo=UTC)

    def metadata(self, **change: Any) -> None:
        self.provider.get(f"{ISSUER}/.well-known/openid-configuration", json=METADATA | change)

    def start(self, to: str = "/") -> dict[str, str]:
        """Begin to sign in; return what the provider is asked."""
        answer = self.get("/sign-in", to=to)
        assert 302 == answer.status_code, answer.text
        query = parse_qs(urlsplit(answer.headers["Location"]).query)
        return {key: value[0] for key, value in query.items()}

    def come_back(self, asked: dict[str, str], key: ECKey = KEY, **claims: Any) -> TestResponse:
        """Come back with a code, for which the provider gives an ID token with these claims."""
        now = int(time.time())
        told = {
            "iss": ISSUER, "aud": "inforce", "sub": "f-1", "name": "Fran Desk", "iat": now,
            "exp": now + 60, "nonce": asked["nonce"], "groups": ["front-desk"], **claims,
        }  # fmt: skip
        told = {name: value for name, value in told.items() if value is not None}
        header = {"alg": "ES256", "kid": key.kid}
        body = {
            "access_token": "a",
            "token_type": "Bearer",
            "id_token": jwt.encode(header, told, key),
        }
        self.provider.get(f"{ISSUER}/keys", json={"keys": [KEY.as_dict(private=False)]})
        self.provider.post(f"{ISSUER}/token", json=body)
        return self.get("/sign-in/done", state=asked["state"], code="c")

    def get(self, path: str, **query: str) -> TestResponse:
        return self.client.get(path, query_string=query, base_url=SETTINGS["INFORCE_PUBLIC_URL"])


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as provider:
        made = Desk(provider)
        monkeypatch.setattr(clock, "now", lambda: made.moment)
        app = create_app(
            settings.read({**SETTINGS, "INFORCE_DATABASE": f"sqlite:///{tmp_path}/inforce.db"})
        )
        made.client = app.test_client()
        yield made
        close(app)


def test_groups_of_the_id_token_let_in(desk: Desk) -> None:
    """With PKCE and a nonce, to the page that was asked for, by a cookie of this host alone."""
    desk.metadata()
    asked = desk.start("/payers?name=x")
    assert ("S256", "openid profile") == (asked["code_challenge_method"], asked["scope"])
    answer = desk.come_back(asked)
    assert (302, "/payers?name=x") == (answer.status_code, answer.headers["Location"])
    cookie = answer.headers["Set-Cookie"]
    for part in ("__Host-inforce=", "Secure", "HttpOnly", "SameSite=Lax", "Path=/"):
        assert part in cookie
    assert 200 == desk.get("/payers").status_code


@pytest.mark.parametrize("change", [
    {"nonce": "another"}, {"aud": "another"}, {"iss": "https://other.example"}, {"exp": 1},
    {"sub": ""}, {"sub": None}, {"key": STRANGER},
], ids=["nonce", "audience", "issuer", "over", "nobody", "no subject", "key"])  # fmt: skip
def test_an_id_token_that_is_not_for_this_sign_in(desk: Desk, change: dict[str, Any]) -> None:
    """Another's, over, or of another key: nobody comes in."""
    desk.metadata()
    answer = desk.come_back(desk.start(), **change)
    assert 401 == answer.status_code
    assert NOT_DONE in answer.text
    assert 401 == desk.get("/payers").status_code


def test_who_comes_back_without_having_been_sent(desk: Desk) -> None:
    """A link that somebody else prepared signs nobody in."""
    desk.metadata()
    asked = desk.start()
    desk.client.delete_cookie("__Host-inforce", domain="inforce.clinic.example")
    answer = desk.come_back(asked)
    assert (401, True) == (answer.status_code, NOT_DONE in answer.text)


def test_the_same_answer_twice_is_one_sign_in(desk: Desk) -> None:
    """A double click leads on."""
    desk.metadata()
    asked = desk.start()
    assert 302 == desk.come_back(asked).status_code
    assert "/" == desk.come_back(asked).headers["Location"]


def test_the_provider_refuses(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """Its error code stands in the log, and nothing that anybody can write there."""
    desk.metadata()
    asked = desk.start()
    for told, logged in (("access_denied", "access_denied"), ("x\nFORGED", "OAuthError")):
        answer = desk.get("/sign-in/done", state=asked["state"], error=told)
        assert 401 == answer.status_code
        assert f"a sign-in was not completed: {logged}" in caplog.messages
    assert "FORGED" not in caplog.text


@pytest.mark.parametrize("metadata", [
    {"json": METADATA | {"issuer": "https://other.example"}}, {"json": {"issuer": ISSUER}},
    {"body": "<html>"}, {"status": 500}, {"body": requests.ConnectTimeout()},
], ids=["another issuer", "no endpoint", "no JSON", "500", "silent"])  # fmt: skip
def test_a_provider_that_cannot_be_used(desk: Desk, metadata: dict[str, Any]) -> None:
    """It is said so, with the way to try again."""
    desk.provider.get(f"{ISSUER}/.well-known/openid-configuration", **metadata)
    answer = desk.get("/sign-in", to="/payers")
    assert (503, True) == (answer.status_code, NOT_THERE in answer.text)
    assert 'href="/sign-in' in answer.text
    assert 200 == desk.get("/signed-out").status_code


@pytest.mark.parametrize("to", [
    "https://evil.example", "//evil.example", "/\\evil.example", "/\t/evil.example", "/a b", "",
])  # fmt: skip
def test_nobody_is_led_elsewhere(desk: Desk, to: str) -> None:
    """What is no page of ours leads to the day."""
    desk.metadata()
    assert "/" == desk.come_back(desk.start(to)).headers["Location"]


@pytest.mark.parametrize(("roles", "home"), [("front-desk", "/"), ("payer-relations", "/payers")])
def test_home_is_what_one_may_see(desk: Desk, roles: str, home: str) -> None:
    """Payer relations have no patients, so that they land on the payers."""
    desk.metadata()
    assert home == desk.come_back(desk.start(), groups=roles).headers["Location"]


@pytest.mark.parametrize(("subject", "status"), [("f-1", 302), ("b-2", 401)])
def test_groups_of_the_userinfo(desk: Desk, subject: str, status: int) -> None:
    """They are asked for where the ID token has none; another person's are not taken (5.3.2)."""
    desk.metadata(userinfo_endpoint=f"{ISSUER}/me")
    desk.provider.get(f"{ISSUER}/me", json={"sub": subject, "groups": ["billing"]})
    assert status == desk.come_back(desk.start(), groups=None).status_code
    assert (200 if status == 302 else 401) == desk.get("/authorizations").status_code


def test_a_session_ends_when_nobody_uses_it(desk: Desk) -> None:
    """After 30 minutes without a page; a page that brings itself up to date is no use."""
    desk.metadata()
    desk.come_back(desk.start())
    desk.moment += timedelta(minutes=29)
    assert 200 == desk.get("/payers").status_code
    for _ in range(2):
        desk.moment += timedelta(minutes=14)
        answer = desk.client.get(
            "/", base_url=SETTINGS["INFORCE_PUBLIC_URL"], headers={"Sec-Fetch-Dest": "empty"}
        )
        assert 200 == answer.status_code
    desk.moment += timedelta(minutes=2)
    assert 401 == desk.get("/payers").status_code


def test_a_session_ends_in_any_case(desk: Desk) -> None:
    """After 10 hours, however busy."""
    desk.metadata()
    desk.come_back(desk.start())
    for _ in range(29):
        desk.moment += timedelta(minutes=20)
        assert 200 == desk.get("/payers").status_code
    desk.moment += timedelta(minutes=20)
    assert 401 == desk.get("/payers").status_code


def test_a_form_without_a_session_is_not_lost(desk: Desk) -> None:
    """The page says how to send it again."""
    answer = desk.client.post(
        "/retry", base_url=SETTINGS["INFORCE_PUBLIC_URL"], data={"payer": "x", "code": "42"}
    )
    assert 401 == answer.status_code
    assert "Sign in in a new tab" in answer.text
    assert "sent once more" in answer.text


def test_no_other_site_signs_anybody_out(desk: Desk) -> None:
    """Its form is refused, and the session goes on."""
    desk.metadata()
    desk.come_back(desk.start())
    answer = desk.client.post(
        "/sign-out", base_url=SETTINGS["INFORCE_PUBLIC_URL"],
        headers={"Sec-Fetch-Site": "cross-site"},
    )  # fmt: skip
    assert (403, 200) == (answer.status_code, desk.get("/payers").status_code)


@pytest.mark.parametrize(("change", "told"), [
    ({"INFORCE_SIGN_IN_ISSUER": "http://id.clinic.example"}, "INFORCE_SIGN_IN_ISSUER"),
    ({"INFORCE_SIGN_IN_CLIENT_ID": ""}, "INFORCE_SIGN_IN_CLIENT_ID"),
    ({"INFORCE_SIGN_IN_CLIENT_SECRET": ""}, "INFORCE_SIGN_IN_CLIENT_SECRET"),
    ({"INFORCE_SIGN_IN_ROLES": "owner=Group"}, "INFORCE_SIGN_IN_ROLES"),
    ({"INFORCE_SIGN_IN_ROLES": "billing"}, "INFORCE_SIGN_IN_ROLES"),
    ({"INFORCE_SIGN_IN_ROLES": "billing=A; clinician=A"}, "INFORCE_SIGN_IN_ROLES"),
    ({"INFORCE_SECRET_KEY": ""}, "INFORCE_SECRET_KEY"),
    ({"INFORCE_SECRET_KEY": "short"}, "INFORCE_SECRET_KEY"),
])  # fmt: skip
def test_settings_that_sign_nobody_in(change: dict[str, str], told: str) -> None:
    """The refusal names the setting."""
    with pytest.raises(SettingRefused, match=told):
        settings.read(SETTINGS | change)


def test_secrets_are_not_in_what_settings_print() -> None:
    """Neither the client secret nor the key of sessions."""
    printed = repr(settings.read(SETTINGS))
    assert "k" * 32 not in printed
    assert "'secret'" not in printed
