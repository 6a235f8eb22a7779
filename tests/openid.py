"""An OpenID provider for unit tests: its answers, as `responses` gives them, and ID tokens."""

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import responses
from joserfc import jwt
from joserfc.jwk import ECKey

ISSUER = "https://id.clinic.example"
KEY, STRANGER = (ECKey.generate_key("P-256", {"kid": name}) for name in ("one", "two"))
METADATA = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/auth",
    "token_endpoint": f"{ISSUER}/token",
    "jwks_uri": f"{ISSUER}/keys",
    "id_token_signing_alg_values_supported": ["ES256"],
}


class FakeProvider:
    """Answers by `responses`; what is said last of an address holds."""

    def __init__(self, mock: responses.RequestsMock) -> None:
        self._mock = mock

    def says(self, **change: Any) -> None:
        """Tell of itself, with these changes; None takes something away."""
        told = {name: value for name, value in (METADATA | change).items() if value is not None}
        self.answers(f"{ISSUER}/.well-known/openid-configuration", json=told)

    def signs_with(self, *keys: ECKey, kid: bool = True) -> None:
        """Publish these keys, without their ids where they have none."""
        shown = [key.as_dict(private=False) for key in keys]
        self.answers(f"{ISSUER}/keys", json={
            "keys": [one if kid else {k: v for k, v in one.items() if k != "kid"} for one in shown]
        })  # fmt: skip

    def gives(
        self, nonce: str, key: ECKey | None = KEY, *, kid: bool = True, **change: Any
    ) -> None:
        """Give an ID token for the next code, with these claims; without a key it is unsigned."""
        now = int(time.time())
        told = {
            "iss": ISSUER, "aud": "inforce", "sub": "f-1", "name": "Fran Desk", "iat": now,
            "exp": now + 60, "nonce": nonce, "groups": ["front-desk"], **change,
        }  # fmt: skip
        claims = {name: value for name, value in told.items() if value is not None}
        self.answers(f"{ISSUER}/token", method="POST", json={
            "access_token": "a", "token_type": "Bearer", "id_token": _token(claims, key, kid=kid),
        })  # fmt: skip

    def answers(self, address: str, method: str = "GET", **answer: Any) -> None:
        """Answer an address so from now on."""
        self._mock.remove(method, address)
        self._mock.add(method, address, **answer)

    def slows(self, address: str, answer: Callable[[Any], Any]) -> None:
        """Let a function answer an address."""
        self._mock.remove("GET", address)
        self._mock.add_callback("GET", address, answer)


def _token(claims: dict[str, Any], key: ECKey | None, *, kid: bool) -> str:
    if key is None:
        parts = (
            base64.urlsafe_b64encode(json.dumps(one).encode()) for one in ({"alg": "none"}, claims)
        )
        return ".".join([*(part.decode().rstrip("=") for part in parts), ""])
    return jwt.encode({"alg": "ES256"} | ({"kid": key.kid} if kid else {}), claims, key)
