"""Tokens of payers by SMART Backend Services: a signed assertion buys a short bearer token.

Source: SMART App Launch 2.2, backend-services.html and client-confidential-asymmetric.html; RFC
7523. A payer says at .well-known/smart-configuration where its tokens are given.
"""

import json
import secrets
import threading
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from bots.connectors import wire
from bots.connectors.wire import Wire
from bots.ports import Failure

LIFE_S, RENEW_AT = 240, 0.8  # of an assertion, at most 300 s; of a token's life
SCOPE = "system/*.*"
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ALGORITHMS = ("ES384", "RS384")


def new_key() -> dict[str, Any]:
    """Return a new private key (ES384) as a JWK."""
    from joserfc.jwk import ECKey  # noqa: PLC0415 100 ms that most starts do not need

    made = ECKey.generate_key(
        "P-384", {"kid": secrets.token_hex(8), "alg": "ES384", "use": "sig"}
    )  # fmt: skip
    return dict(made.as_dict(private=True))


def public(key: str) -> dict[str, Any]:
    """Return the JWKS that payers need of a private key (a JWK as JSON)."""
    from joserfc.jwk import import_key  # noqa: PLC0415

    return {"keys": [dict(import_key(json.loads(key)).as_dict(private=False))]}


class BackendServices:
    """Our client at whatever payer the address is of; without a key there are no tokens."""

    def __init__(self, client_id: str, key: str, calls: Wire) -> None:
        """Take the client id and the private key, a JWK as JSON; both "" for none."""
        self._client_id, self._key, self._wire = client_id, key, calls
        self._lock = threading.Lock()
        self._tokens: dict[str, tuple[str, float]] = {}  # address -> token, when to renew it

    def headers(self, address: str, limit: float, *, renew: bool) -> Mapping[str, str] | Failure:
        """Return the header that lets us in at a payer, asked for once for all who need it."""
        if not self._key:
            return {}
        with self._lock:
            token, renew_at = self._tokens.get(address, ("", 0.0))
            if not token or renew or time.monotonic() >= renew_at:
                given = self._given(address, limit)
                if isinstance(given, Failure):
                    return given
                token, life_s = given
                self._tokens[address] = token, time.monotonic() + RENEW_AT * life_s
        return {"Authorization": f"Bearer {token}"}

    def signature(self, audience: str) -> Mapping[str, str]:
        """Return the header of a call that is signed itself (CDS Hooks); {} without a key."""
        return {"Authorization": f"Bearer {self._assertion(audience)}"} if self._key else {}

    def _given(self, address: str, limit: float) -> tuple[str, float] | Failure:
        url = self._token_url(address, limit)
        if isinstance(url, Failure):
            return url
        form = {
            "grant_type": "client_credentials",
            "scope": SCOPE,
            "client_assertion_type": _ASSERTION,
            "client_assertion": self._assertion(url),
        }
        reply = self._wire.call("POST", url, limit=limit, headers={}, data=form)
        if isinstance(reply, Failure):
            return reply
        body: Mapping[str, Any] = wire.payload(reply.content) or {}
        token, life_s = body.get("access_token"), body.get("expires_in", 0)
        if reply.status in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED):
            return wire.no_key()
        if reply.status != HTTPStatus.OK or not isinstance(token, str):
            return wire.refused(reply)
        return token, float(life_s) if isinstance(life_s, int | float) else 0.0

    def _token_url(self, address: str, limit: float) -> str | Failure:
        url = f"{address}/.well-known/smart-configuration"
        reply = self._wire.call("GET", url, limit=limit, headers={"Accept": "application/json"})
        if isinstance(reply, Failure):
            return reply
        found = (wire.payload(reply.content) or {}).get("token_endpoint")
        if reply.status != HTTPStatus.OK or not isinstance(found, str):
            text = "The payer does not say where it gives tokens (.well-known/smart-configuration)."
            return Failure("credentials", text, again=True, after_s=wire.CREDENTIALS_WAIT_S)
        return found

    def _assertion(self, audience: str) -> str:
        from joserfc import jwt  # noqa: PLC0415
        from joserfc.jwk import import_key  # noqa: PLC0415

        key = import_key(json.loads(self._key))
        claims = {
            "iss": self._client_id, "sub": self._client_id, "aud": audience,
            "exp": int(time.time()) + LIFE_S, "jti": secrets.token_urlsafe(24),  # noqa: TID251 the wire's own clock
        }  # fmt: skip
        header = {"alg": key.get("alg"), "kid": key.kid, "typ": "JWT"}
        return jwt.encode(header, claims, key, algorithms=list(ALGORITHMS))
