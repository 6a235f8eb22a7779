"""The endpoints that programs get tokens by: discovery, token, introspection and revocation.

Source: SMART App Launch 2.2, backend-services.html and conformance.html; RFC 6749 section 4.4, RFC
7009, RFC 7662. Programs only: people sign in to the pages elsewhere.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask import Blueprint, Response, jsonify, request

from server.access import scopes
from server.interactions.engine import Engine
from server.search.values import micros
from server.smart import assertion
from server.smart.assertion import AssertionRefused
from server.store import clients
from server.store.clients import Client, Token
from server.store.connection import Connection

LIFE_S = 300
TOKEN_BYTES = 32
PATHS = ("/.well-known/smart-configuration", "/fhir/.well-known/smart-configuration")
TOKEN, _INTROSPECT, _REVOKE = "/oauth2/token", "/oauth2/introspect", "/oauth2/revoke"
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_METHOD = "private_key_jwt"


class OAuthRefused(Exception):
    """A refusal by RFC 6749 section 5.2: its `error`, and a sentence for whoever reads the log."""

    def __init__(self, error: str, text: str, status: int = 400) -> None:
        """Keep what is answered; `status` is the HTTP status."""
        super().__init__(text)
        self.error, self.text, self.status = error, text, status


def server(engine: Engine, public_url: str) -> Blueprint:
    """Return the endpoints as a blueprint, for a server whose address is `public_url`."""
    made, api = _Server(engine, public_url), Blueprint("smart", __name__)
    for path in PATHS:
        api.add_url_rule(path, path.replace(".", ""), made.configuration, methods=["GET"])
    api.post(TOKEN)(made.token)
    api.post(_INTROSPECT)(made.introspect)
    api.post(_REVOKE)(made.revoke)
    api.register_error_handler(OAuthRefused, _refuse)
    return api


def give(
    connection: Connection, client: Client, asked: str, now: int, life_s: int = LIFE_S
) -> tuple[str, Token]:
    """Return a new token with what of the scopes asked for the client has; keep its digest only.

    `now` is microseconds since 1970. Raises OAuthRefused where nothing is left of them.
    """
    granted = str(scopes.kept(client.scopes).granted(asked))
    if not granted:
        raise OAuthRefused("invalid_scope", f"The client has of these none; it has {client.scopes}")
    text = secrets.token_urlsafe(TOKEN_BYTES)
    token = Token(client.id, granted, now + life_s * 1_000_000)
    clients.keep_token(connection, text, token, now)
    return text, token


class _Server:
    def __init__(self, engine: Engine, public_url: str) -> None:
        self._engine, self._url = engine, public_url

    def configuration(self) -> Response:
        """Say what programs can do here, and where."""
        listed = list(assertion.ALGORITHMS)
        return jsonify({
            "token_endpoint": self._url + TOKEN,
            "introspection_endpoint": self._url + _INTROSPECT,
            "revocation_endpoint": self._url + _REVOKE,
            "grant_types_supported": ["client_credentials"],
            "token_endpoint_auth_methods_supported": [_METHOD],
            "token_endpoint_auth_signing_alg_values_supported": listed,
            "introspection_endpoint_auth_methods_supported": [_METHOD],
            "revocation_endpoint_auth_methods_supported": [_METHOD],
            "scopes_supported": [str(scopes.ALL), "system/*.rs", "system/*.read", "system/*.write"],
            "capabilities": ["client-confidential-asymmetric", "permission-v1", "permission-v2"],
        })  # fmt: skip

    def token(self) -> Response:
        """Give a token for an assertion."""
        if request.form.get("grant_type") != "client_credentials":
            raise OAuthRefused("unsupported_grant_type", "Expected grant_type client_credentials.")
        with self._proven(TOKEN) as (connection, client):
            asked = request.form.get("scope", "")
            if not asked.strip():
                raise OAuthRefused("invalid_scope", "Expected scope.")
            text, token = give(connection, client, asked, micros(self._engine.now()))
        return _private({
            "access_token": text, "token_type": "bearer", "expires_in": LIFE_S,
            "scope": token.scopes,
        })  # fmt: skip

    def introspect(self) -> Response:
        """Say what a token is for; of one that is over, or none of ours, only that it is not."""
        now = micros(self._engine.now())
        with self._proven(_INTROSPECT) as (connection, _):
            found = clients.token(connection, request.form.get("token", ""), now)
        if found is None:
            return _private({"active": False})
        return _private({
            "active": True, "client_id": found.client, "scope": found.scopes,
            "exp": found.expires // 1_000_000, "token_type": "bearer",
        })  # fmt: skip

    def revoke(self) -> Response:
        """End a token of the client that asks; one that is none of its own is left alone."""
        with self._proven(_REVOKE) as (connection, client):
            clients.end_token(connection, request.form.get("token", ""), client.id)
        return Response(status=200)

    @contextmanager
    def _proven(self, path: str) -> Iterator[tuple[Connection, Client]]:
        """Begin a write transaction for the client that the form's assertion proves.

        Who proves nothing costs no transaction. Raises OAuthRefused.
        """
        if request.form.get("client_assertion_type") != _ASSERTION:
            text = f"Expected client_assertion_type {_ASSERTION}."
            raise OAuthRefused("invalid_client", text, 401)
        audiences = (self._url + TOKEN, self._url + path)
        text, now = request.form.get("client_assertion", ""), self._engine.now()
        try:
            with self._engine.database.read() as connection:
                found = assertion.proof(connection, text, audiences, now)
            with self._engine.database.write() as connection:
                yield connection, assertion.taken(connection, found, now)
        except AssertionRefused as error:
            raise OAuthRefused("invalid_client", str(error), 401) from error


def _private(body: dict[str, Any]) -> Response:
    answer = jsonify(body)
    answer.headers["Cache-Control"], answer.headers["Pragma"] = "no-store", "no-cache"
    return answer


def _refuse(error: OAuthRefused) -> Response:
    answer = _private({"error": error.error, "error_description": error.text})
    answer.status_code = error.status
    return answer
