"""What an OpenID provider may say of itself and of a person, and what we make of it."""

import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import requests
import responses

from server.access.people import Provider
from server.web import provider as module
from server.web.provider import Begun, OpenId, ProviderUnusable, SignInRefused
from tests.openid import ISSUER, KEY, METADATA, STRANGER, FakeProvider

US = Provider(ISSUER, "inforce", "secret", "openid profile", "groups", {})
REDIRECT = "https://inforce.clinic.example/sign-in/done"


class Clock:
    """The seconds that the provider's metadata are kept by."""

    now = 1000.0


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: made.now))
    return made


@pytest.fixture
def mock() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as made:
        yield made


@pytest.fixture
def there(mock: responses.RequestsMock) -> FakeProvider:
    made = FakeProvider(mock)
    made.says()
    made.signs_with(KEY)
    return made


@pytest.fixture
def openid() -> OpenId:
    return OpenId(US, REDIRECT)


def came_back(openid: OpenId, there: FakeProvider, claim: str = "groups", **token: Any) -> Any:
    """Return the claims about somebody who comes back with an ID token of these claims."""
    begun = openid.begin(anew=False)[1]
    there.gives(begun.nonce, **token)
    return openid.claims("code", begun, claim)


@pytest.mark.usefixtures("there")
def test_a_sign_in_goes_out_with_proofs(openid: OpenId) -> None:
    """State, nonce and PKCE, each its own; `anew` has it ask who it is."""
    url, begun = openid.begin(anew=False)
    again, other = openid.begin(anew=True)
    assert url.startswith(f"{ISSUER}/auth?")
    for part in (f"state={begun.state}", f"nonce={begun.nonce}", "code_challenge_method=S256"):
        assert part in url
    assert begun.verifier not in url
    assert ("prompt=login" in url, "prompt=login" in again) == (False, True)
    assert not {begun.state, begun.nonce, begun.verifier} & {other.state, other.nonce}


def test_claims_of_the_id_token(openid: OpenId, there: FakeProvider) -> None:
    """They are told as they are."""
    claims = came_back(openid, there)
    assert ("f-1", "Fran Desk", ["front-desk"]) == tuple(
        claims[name] for name in ("sub", "name", "groups")
    )


@pytest.mark.parametrize("token", [
    {"nonce": "another"}, {"aud": "another"}, {"iss": "https://other.example"}, {"exp": 1},
    {"sub": " "}, {"sub": None}, {"key": STRANGER}, {"key": None},
], ids=["nonce", "audience", "issuer", "over", "blank", "nobody", "key", "unsigned"])  # fmt: skip
def test_an_id_token_that_is_not_for_this_sign_in(
    openid: OpenId, there: FakeProvider, token: dict[str, Any]
) -> None:
    """Refused, also where the provider says that it takes everything."""
    there.says(id_token_signing_alg_values_supported=["ES256", "none", "HS256"])
    begun = openid.begin(anew=False)[1]
    there.gives(token.pop("nonce", begun.nonce), **token)
    with pytest.raises(SignInRefused):
        openid.claims("code", begun, "groups")


@pytest.mark.parametrize(("answer", "told"), [
    ({"json": {"error": "invalid_client"}, "status": 401}, "invalid_client"),
    ({"json": {"access_token": "a", "token_type": "Bearer"}}, "no_id_token"),
])  # fmt: skip
def test_a_code_that_buys_nothing(
    openid: OpenId, there: FakeProvider, answer: dict[str, Any], told: str
) -> None:
    """The word for the log is the provider's own."""
    begun = openid.begin(anew=False)[1]
    there.answers(f"{ISSUER}/token", method="POST", **answer)
    with pytest.raises(SignInRefused, match=told):
        openid.claims("code", begun, "groups")


def test_groups_of_userinfo(openid: OpenId, there: FakeProvider) -> None:
    """Asked for where the ID token has none; those of another person are not taken."""
    there.says(userinfo_endpoint=f"{ISSUER}/me")
    there.answers(f"{ISSUER}/me", json={"sub": "f-1", "groups": ["billing"]})
    assert ["billing"] == came_back(openid, there, groups=None)["groups"]
    there.answers(f"{ISSUER}/me", json={"sub": "b-2", "groups": ["billing"]})
    with pytest.raises(SignInRefused, match="another_subject"):
        came_back(openid, there, groups=None)


@pytest.mark.parametrize("change", [
    {"issuer": "https://other.example"}, {"issuer": f"{ISSUER}/"}, {"token_endpoint": None},
    {"token_endpoint": "http://id.clinic.example/token"}, {"jwks_uri": "http://[x/"},
    {"jwks_uri": 7}, {"id_token_signing_alg_values_supported": ["none", "HS256"]},
    {"id_token_signing_alg_values_supported": "ES256"},
], ids=str)  # fmt: skip
def test_metadata_that_cannot_be(
    openid: OpenId, there: FakeProvider, change: dict[str, Any]
) -> None:
    """Nobody is sent there, and no secret."""
    there.says(**change)
    with pytest.raises(ProviderUnusable):
        openid.begin(anew=False)


@pytest.mark.parametrize("place", [".well-known/openid-configuration", "keys"])
@pytest.mark.parametrize("answer", [
    {"body": "<html>"}, {"json": []}, {"json": {"error": "maintenance"}}, {"status": 500},
    {"status": 302, "headers": {"Location": f"{ISSUER}/other"}},
    {"body": requests.ConnectTimeout()},
], ids=["no JSON", "a list", "an error with 200", "500", "a redirect", "silent"])  # fmt: skip
def test_a_provider_with_a_bad_hour(
    openid: OpenId, there: FakeProvider, clock: Clock, place: str, answer: dict[str, Any]
) -> None:
    """It is left alone for a moment, and then asked again: one bad answer is not kept."""
    there.answers(f"{ISSUER}/{place}", **answer)
    there.answers(f"{ISSUER}/other", json=METADATA | {"keys": [KEY.as_dict(private=False)]})
    for _ in range(2):
        with pytest.raises(ProviderUnusable):
            openid.begin(anew=False)
    there.says()
    there.signs_with(KEY)
    with pytest.raises(ProviderUnusable):
        openid.begin(anew=False)
    clock.now += module.LEFT_ALONE_S
    assert came_back(openid, there)


def test_a_silent_provider_is_asked_once_in_a_while(
    openid: OpenId, there: FakeProvider, mock: responses.RequestsMock
) -> None:
    """However many want to sign in: each thread that waits for it is one less for the API."""
    there.answers(f"{ISSUER}/.well-known/openid-configuration", body=requests.ConnectTimeout())
    for _ in range(20):
        with pytest.raises(ProviderUnusable):
            openid.begin(anew=False)
    assert 1 == len(mock.calls)


def test_nobody_waits_for_who_asks(openid: OpenId, there: FakeProvider) -> None:
    """While one thread asks a slow provider, the others are told to try again."""
    asking, asked = threading.Event(), threading.Event()

    def slow(_: Any) -> tuple[int, dict[str, str], str]:
        asking.set()
        asked.wait(5)
        return 500, {}, ""

    there.slows(f"{ISSUER}/.well-known/openid-configuration", slow)

    def ask() -> None:
        with pytest.raises(ProviderUnusable):
            openid.begin(anew=False)

    first = threading.Thread(target=ask)
    first.start()
    assert asking.wait(5)
    with pytest.raises(ProviderUnusable, match="being asked"):
        openid.begin(anew=False)
    asked.set()
    first.join()


@pytest.mark.parametrize("kid", [True, False])
def test_a_provider_that_changes_its_key(openid: OpenId, there: FakeProvider, kid: bool) -> None:
    """Also without ids of keys, where nothing but the signature tells."""
    there.signs_with(KEY, kid=kid)
    assert came_back(openid, there, kid=kid)
    there.signs_with(STRANGER, kid=kid)
    assert came_back(openid, there, key=STRANGER, kid=kid)
    with pytest.raises(SignInRefused):
        came_back(openid, there, kid=kid)


def test_a_key_that_is_withdrawn(openid: OpenId, there: FakeProvider, clock: Clock) -> None:
    """It is good for another hour at most."""
    assert came_back(openid, there)
    there.signs_with(STRANGER)
    clock.now += module.KEPT_S
    with pytest.raises(SignInRefused):
        came_back(openid, there)


def test_an_issuer_with_a_slash_at_its_end(there: FakeProvider) -> None:
    """As some have: it is compared to the letter, and asked at the same place."""
    there.says(issuer=f"{ISSUER}/")
    us = Provider(f"{ISSUER}/", "inforce", "secret", "openid", "groups", {})
    assert came_back(OpenId(us, REDIRECT), there, iss=f"{ISSUER}/")


@pytest.mark.parametrize(("methods", "is_basic"), [
    (None, True), (["client_secret_basic", "client_secret_post"], True),
    (["client_secret_post"], False),
])  # fmt: skip
def test_the_secret_goes_as_the_provider_takes_it(
    openid: OpenId, there: FakeProvider, mock: responses.RequestsMock, methods: Any,
    is_basic: bool,
) -> None:  # fmt: skip
    """By HTTP Basic where it can, else in the form."""
    there.says(token_endpoint_auth_methods_supported=methods)
    came_back(openid, there)
    sent = next(call.request for call in mock.calls if call.request.method == "POST")
    assert is_basic == sent.headers.get("Authorization", "").startswith("Basic ")
    assert is_basic == ("client_secret=secret" not in str(sent.body))


def test_a_token_endpoint_that_leads_elsewhere(openid: OpenId, there: FakeProvider) -> None:
    """No code is taken there."""
    begun = openid.begin(anew=False)[1]
    there.answers(f"{ISSUER}/token", method="POST", status=302,
                  headers={"Location": "https://evil.example"})  # fmt: skip
    with pytest.raises((SignInRefused, ProviderUnusable)):
        openid.claims("code", begun, "groups")


def test_where_people_sign_out(openid: OpenId, there: FakeProvider) -> None:
    """Only where the provider is known already, and says so by https."""
    assert not openid.sign_out_at()
    there.says(end_session_endpoint=f"{ISSUER}/end?x=1")
    openid.begin(anew=False)
    assert f"{ISSUER}/end?x=1&client_id=inforce" == openid.sign_out_at()


def test_who_was_never_sent_has_no_proof(openid: OpenId, there: FakeProvider) -> None:
    """Somebody else's nonce does not fit."""
    there.gives("nonce of another")
    with pytest.raises(SignInRefused):
        openid.claims("code", Begun("state", "nonce", "verifier"), "groups")
