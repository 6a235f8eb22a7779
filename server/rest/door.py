"""Lets in who brings a token that allows what is asked: the one place where scopes are enforced.

In front of the FHIR API, whichever way answers it. What a Bundle asks is known when it is read, so
that its entries are asked about there, by the same rules; so is whose Subscription tells of what.

Source: RFC 6750; SMART App Launch 2.2, backend-services.html; FHIR R4 security.html.
"""

import io
import logging
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from server.access import needs, scopes
from server.access.caller import Caller
from server.errors import FhirError, Forbidden, TooLarge, Unauthorized
from server.interactions import search
from server.interactions.engine import Engine
from server.operations import OPERATIONS
from server.rest import exchange, headers
from server.search.values import micros
from server.store import clients

_log = logging.getLogger(__name__)
_BASE = "/fhir"
_PUBLIC = frozenset({f"{_BASE}/metadata", f"{_BASE}/.well-known/smart-configuration"})
_NOBODY = Caller("", scopes.kept(""))
_NEEDED = {(one.name, kind): one.needs for one in OPERATIONS for kind in one.types or ("",)}


def guard(engine: Engine, application: WSGIApplication, body_limit: int) -> WSGIApplication:
    """Return `application` with the door before it; `body_limit` is in bytes."""

    def serve(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if _is_guarded(environ):
            try:
                environ[exchange.CALLER] = _let_in(engine, environ, body_limit)
            except Exception as error:  # noqa: BLE001 whatever it was, the application tells of it
                environ[exchange.REFUSED], environ[exchange.CALLER] = error, _NOBODY
        return application(environ, start_response)

    return serve


def _is_guarded(environ: WSGIEnvironment) -> bool:
    path = environ["PATH_INFO"]
    is_fhir = path == _BASE or path.startswith(f"{_BASE}/")
    return is_fhir and path not in _PUBLIC and environ["REQUEST_METHOD"] != "OPTIONS"


def _let_in(engine: Engine, environ: WSGIEnvironment, body_limit: int) -> Caller:
    """Return who asks. Raises Unauthorized where that is not known, Forbidden what is too much."""
    caller = _caller(engine, environ.get("HTTP_AUTHORIZATION", ""))
    try:
        caller.demand(_needs(engine, environ, body_limit))
    except FhirError as error:
        why = str(error) if isinstance(error, Forbidden) else type(error).__name__
        _log.warning("refused: client %s: %s", caller.client, why)
        raise
    return caller


def _caller(engine: Engine, authorization: str) -> Caller:
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthorized(
            "Send a bearer token; .well-known/smart-configuration says who gives it."
        )
    with engine.database.read() as connection:
        found = clients.token(connection, token.strip(), micros(engine.now()))
    if found is None:
        raise Unauthorized("The token is over, or none of ours: ask for a new one.")
    return Caller(found.client, scopes.kept(found.scopes))


def _needs(engine: Engine, environ: WSGIEnvironment, body_limit: int) -> set[str]:
    method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"].removeprefix(_BASE).strip("/")
    pairs = list(headers.query_pairs(environ.get("QUERY_STRING", "")))
    if method == "POST" and path.endswith("_search"):
        pairs += headers.query_pairs(_form(environ, body_limit))
    found = needs.of_request(method, path, search.effective(engine, tuple(pairs)), _NEEDED)
    if "HTTP_IF_NONE_EXIST" in environ:
        found |= needs.of_condition(path, environ["HTTP_IF_NONE_EXIST"])
    if "HTTP_X_PROVENANCE" in environ:
        found.add("Provenance.c")
    return found


def _form(environ: WSGIEnvironment, body_limit: int) -> str:
    """Return the form of a search, which the application reads once more."""
    sent = environ["wsgi.input"].read(body_limit + 1)
    if len(sent) > body_limit:
        raise TooLarge("The body is larger than the server takes.")
    environ["wsgi.input"] = io.BytesIO(sent)
    return str(sent.decode("utf-8", "replace"))
