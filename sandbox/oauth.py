"""Who may call the payer: SMART Backend Services, once a client is made known by a control call.

Source: SMART App Launch 2.2, backend-services.html. Without a known client everybody may call.
"""

import secrets
import threading
import time
from typing import Any

from flask import Blueprint, Response, jsonify, request
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from sandbox import pas_json as fhir

LIFE_S, ASSERTION_LIFE_S = 300, 300
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class Door:
    """The one client that is known, and the tokens it was given."""

    def __init__(self) -> None:
        """Know nobody: the door is open."""
        self._lock = threading.Lock()
        self._client, self._keys, self._life_s = "", KeySet([]), LIFE_S
        self._tokens: dict[str, float] = {}
        self._seen: set[str] = set()

    def know(self, client: str, jwks: dict[str, Any], life_s: int) -> None:
        """Let in this client only, by these keys; its tokens live so long."""
        with self._lock:
            self._client, self._keys = client, KeySet.import_key_set(jwks)  # type: ignore[arg-type]
            self._life_s = life_s
            self._tokens.clear()

    def clear(self) -> None:
        """Let everybody in again."""
        with self._lock:
            self._client, self._keys = "", KeySet([])
            self._tokens.clear()

    def caller(self) -> str:
        """Return who calls: the known client, else whatever the call authorizes itself by."""
        return self._client or request.headers.get("Authorization", "")

    def refused(self) -> Response | None:
        """Return the answer to the call at hand if it may not come in, None if it may."""
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        with self._lock:
            if not self._client or self._tokens.get(token, 0.0) > time.monotonic():
                return None
        answer = jsonify(fhir.outcome("expected a token that is not over", kind="login"))
        answer.status_code = 401
        return answer

    def is_signed(self, url: str) -> bool:
        """Tell whether the call at hand is signed by our client for this address (CDS Hooks)."""
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        with self._lock:
            return not self._client or self._is_good(token, url)

    def blueprint(self) -> Blueprint:
        """Return the routes."""
        doors = Blueprint("oauth", __name__)
        doors.get("/fhir/.well-known/smart-configuration")(self.configuration)
        doors.post("/oauth/token")(self.token)
        return doors

    def configuration(self) -> Response:
        """Say where tokens are given, and for what proof."""
        return jsonify({
            "token_endpoint": _token_url(),
            "grant_types_supported": ["client_credentials"],
            "token_endpoint_auth_methods_supported": ["private_key_jwt"],
            "token_endpoint_auth_signing_alg_values_supported": ["ES384", "RS384"],
        })  # fmt: skip

    def token(self) -> Response:
        """Give a token for an assertion that is signed, ours, fresh and new."""
        form = request.form
        is_asked = form.get("grant_type") == "client_credentials"
        if not is_asked or form.get("client_assertion_type") != _ASSERTION:
            return _no("unsupported_grant_type", 400)
        with self._lock:
            if not self._is_good(form.get("client_assertion", ""), _token_url()):
                return _no("invalid_client", 401)
            token = secrets.token_urlsafe(24)
            self._tokens[token] = time.monotonic() + self._life_s
        return jsonify({
            "access_token": token, "token_type": "bearer", "expires_in": self._life_s,
            "scope": form.get("scope", ""),
        })  # fmt: skip

    def _is_good(self, assertion: str, audience: str) -> bool:
        try:
            claims = jwt.decode(assertion, self._keys, algorithms=["ES384", "RS384"]).claims
        except (JoseError, ValueError):
            return False
        left = int(claims.get("exp", 0)) - time.time()
        who = claims.get("iss"), claims.get("sub"), claims.get("aud")
        is_new = bool(claims.get("jti")) and claims["jti"] not in self._seen
        self._seen.add(str(claims.get("jti")))
        is_ours = who == (self._client, self._client, audience)
        return is_ours and is_new and 0 < left <= ASSERTION_LIFE_S


def _token_url() -> str:
    return f"{request.host_url.rstrip('/')}/oauth/token"


def _no(error: str, status: int) -> Response:
    answer = jsonify({"error": error})
    answer.status_code = status
    return answer
