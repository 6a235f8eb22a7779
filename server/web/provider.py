"""The clinic's OpenID provider: what it says of itself, and of who comes back from it.

Source: OpenID Connect Discovery 1.0 section 4, OpenID Connect Core 1.0 sections 3.1 and 5.3; RFC
7636 (PKCE); RFC 9700 (best current practice).
"""

import secrets
import threading
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import requests
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import BadSignatureError, InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from server.access import people
from server.access.people import Provider

ASK_LIMIT_S = 5
KEPT_S, LEFT_ALONE_S, QUEUE_S = 3600, 15, 0.2
LEEWAY_S = 120
_BASIC = "client_secret_basic"
# None that is signed with a shared secret, and none that is not signed.
_ALGORITHMS = {
    f"{kind}{size}" for kind in ("RS", "PS", "ES") for size in (256, 384, 512)
} | {"EdDSA", "Ed25519"}  # fmt: skip
_NEEDED = ("authorization_endpoint", "token_endpoint", "jwks_uri")
_USEFUL = ("userinfo_endpoint", "end_session_endpoint")


class ProviderUnusable(Exception):
    """The provider cannot be asked, or says of itself what cannot be; the message tells what."""


class SignInRefused(Exception):
    """The provider, or we, let nobody in; the message is a word for the log."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A sign-in that somebody was sent away for: what has to come back, and what proves it."""

    state: str
    nonce: str
    verifier: str


@dataclass(frozen=True, slots=True)
class _Metadata:
    """What the provider says of itself: addresses by their names, how it signs, and its keys."""

    addresses: dict[str, str]
    algorithms: list[str]
    method: str
    keys: KeySet
    until: float


class OpenId:
    """The provider, asked with what it knows us by; `redirect` is where it sends people back."""

    def __init__(self, provider: Provider, redirect: str) -> None:
        self._provider, self._redirect = provider, redirect
        self._lock = threading.Lock()
        self._kept: _Metadata | None = None
        self._fault, self._not_before = "", 0.0

    def begin(self, *, anew: bool) -> tuple[str, Begun]:
        """Return the address to send somebody to, and what to remember of it.

        With `anew` the provider asks who it is, whoever it knows already. Raises ProviderUnusable.
        """
        known = self._metadata()
        begun = Begun(*(secrets.token_urlsafe(32) for _ in range(3)))
        more = {"prompt": "login"} if anew else {}
        with self._session(known) as session:
            url, _ = session.create_authorization_url(
                known.addresses["authorization_endpoint"],
                state=begun.state, nonce=begun.nonce, code_verifier=begun.verifier, **more,
            )  # fmt: skip
        return str(url), begun

    def claims(self, code: str, begun: Begun, claim: str) -> dict[str, Any]:
        """Return the claims about who comes back with a code: of the ID token, and of UserInfo.

        The latter is asked where the ID token lacks `claim`. Raises SignInRefused and
        ProviderUnusable.
        """
        known = self._metadata()
        try:
            with self._session(known) as session:
                claims = self._checked(_token(session, known, code, begun), begun)
                if claim in claims or "userinfo_endpoint" not in known.addresses:
                    return claims
                return self._told(session, known, claims["sub"]) | claims
        except OAuthError as error:
            raise SignInRefused(str(error.error)) from error
        except JoseError as error:
            raise SignInRefused(type(error).__name__) from error
        except requests.RequestException as error:
            raise ProviderUnusable(type(error).__name__) from error

    def sign_out_at(self) -> str:
        """Return where people end what the provider knows of them, "" where that is not known."""
        kept = self._kept
        address = kept.addresses.get("end_session_endpoint", "") if kept is not None else ""
        mark = "&" if "?" in address else "?"
        return address and f"{address}{mark}{urlencode({'client_id': self._provider.client_id})}"

    def _session(self, known: _Metadata) -> OAuth2Session:
        return OAuth2Session(
            self._provider.client_id,
            self._provider.client_secret,
            scope=self._provider.scope,
            redirect_uri=self._redirect,
            code_challenge_method="S256",
            token_endpoint_auth_method=known.method,
            default_timeout=ASK_LIMIT_S,
        )

    def _checked(self, token: dict[str, Any], begun: Begun) -> dict[str, Any]:
        """Return the claims of an ID token that is for this sign-in. Raises JoseError otherwise."""
        text = token.get("id_token")
        if not isinstance(text, str):
            raise SignInRefused("no_id_token")
        try:
            read = self._decoded(text)
        except (BadSignatureError, InvalidKeyIdError):
            self._kept = None  # it may sign with another key by now
            read = self._decoded(text)
        expected = {"nonce": begun.nonce, "client_id": self._provider.client_id}
        options = {"iss": {"values": [self._provider.issuer]}}
        claims = CodeIDToken(read.claims, read.header, options, expected)
        claims.validate(leeway=LEEWAY_S)
        if not isinstance(claims["sub"], str) or not claims["sub"].strip():
            raise SignInRefused("no_subject")
        return dict(claims)

    def _decoded(self, text: str) -> jwt.Token:
        known = self._metadata()
        registry = JWSRegistry(algorithms=known.algorithms, strict_check_header=False)
        return jwt.decode(text, known.keys, registry=registry)

    def _told(self, session: OAuth2Session, known: _Metadata, subject: str) -> dict[str, Any]:
        """Return what UserInfo tells of the same person."""
        answer = session.get(known.addresses["userinfo_endpoint"], allow_redirects=False)
        answer.raise_for_status()
        told = answer.json()
        if not isinstance(told, dict) or told.get("sub") != subject:
            raise SignInRefused("another_subject")
        return told

    def _metadata(self) -> _Metadata:
        """Return what is known, asked anew after KEPT_S; after a fault it is left alone a while.

        One thread asks; the others do not wait for it, so that a slow provider holds up nobody.
        """
        kept = self._kept
        if kept is not None and time.monotonic() < kept.until:
            return kept
        if time.monotonic() < self._not_before:
            raise ProviderUnusable(self._fault)
        if not self._lock.acquire(timeout=QUEUE_S):
            raise ProviderUnusable("it is being asked")
        try:
            self._kept = self._asked()
            return self._kept
        except ProviderUnusable as error:
            self._fault, self._not_before = str(error), time.monotonic() + LEFT_ALONE_S
            raise
        finally:
            self._lock.release()

    def _asked(self) -> _Metadata:
        where = f"{self._provider.issuer.rstrip('/')}/.well-known/openid-configuration"
        told = _object(where)
        if told.get("issuer") != self._provider.issuer:
            raise ProviderUnusable("its metadata name another issuer")
        named = {name: told.get(name) for name in (*_NEEDED, *_USEFUL)}
        addresses = {
            name: address for name, address in named.items()
            if isinstance(address, str) and people.is_closed_way(address)
        }  # fmt: skip
        for name in _NEEDED:
            if name not in addresses:
                raise ProviderUnusable(f"its metadata have no https {name}")
        listed = _words(told, "id_token_signing_alg_values_supported", "RS256")
        algorithms = sorted(_ALGORITHMS & listed)
        if not algorithms:
            raise ProviderUnusable("it signs in no way that we take")
        methods = _words(told, "token_endpoint_auth_methods_supported", _BASIC)
        try:
            keys = KeySet.import_key_set(_object(addresses["jwks_uri"]))  # type: ignore[arg-type]
        except (JoseError, KeyError, TypeError, ValueError) as error:
            raise ProviderUnusable("its keys cannot be read") from error
        method = _BASIC if _BASIC in methods else "client_secret_post"
        return _Metadata(addresses, algorithms, method, keys, time.monotonic() + KEPT_S)


def _object(address: str) -> dict[str, Any]:
    try:
        answer = requests.get(address, timeout=ASK_LIMIT_S, allow_redirects=False)
        answer.raise_for_status()
        told = answer.json()
    except requests.RequestException as error:
        raise ProviderUnusable(type(error).__name__) from error
    if not isinstance(told, dict):
        raise ProviderUnusable("it answers with no JSON object")
    return told


def _token(session: OAuth2Session, known: _Metadata, code: str, begun: Begun) -> dict[str, Any]:
    """Return what a code buys, ID token and all."""
    try:
        token: dict[str, Any] = session.fetch_token(
            known.addresses["token_endpoint"], grant_type="authorization_code",
            code=code, code_verifier=begun.verifier, allow_redirects=False,
        )  # fmt: skip
    except ValueError as error:  # what came is no JSON object
        raise ProviderUnusable("its tokens cannot be read") from error
    return token


def _words(told: dict[str, Any], name: str, default: str) -> set[str]:
    listed = told.get(name, [default])
    return {one for one in listed if isinstance(one, str)} if isinstance(listed, list) else set()
