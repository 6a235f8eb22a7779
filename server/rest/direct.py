"""Answers plain reads and searches without the web framework, in front of it.

Measured: of a read's time on the server, two thirds are Flask's request, routing and response. So
what needs none of that is answered here: GET of Type/id and of Type?query, without conditions,
formats or page origins. Everything else, and whatever is refused here, goes on to the application,
which answers the same and knows the refusals. A test holds both ways side by side.
"""

import re
from collections.abc import Iterable
from urllib.parse import parse_qsl
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from server.errors import FhirError
from server.interactions import read, search
from server.interactions.engine import Engine
from server.rest import bundles, headers

_PATH = re.compile(r"/fhir/(?P<type>[A-Z][A-Za-z]+)(?:/(?P<id>[A-Za-z0-9.\-]{1,64}))?")
# What a client may say that this way does not listen to.
_SPECIAL = ("HTTP_IF_NONE_MATCH", "HTTP_IF_MODIFIED_SINCE", "HTTP_ORIGIN", "HTTP_PREFER")
_ACCEPTED = frozenset({"", "*/*", "application/fhir+json", "application/json"})
_TYPE = ("Content-Type", f"{headers.JSON}; charset=utf-8")
_PRIVATE = ("Cache-Control", "no-store")
COMPRESS_ABOVE = 2048


def answer_first(engine: Engine, application: WSGIApplication) -> WSGIApplication:
    """Return `application` with the direct way before it."""

    def serve(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        answer = _answer(engine, environ) if _is_plain(environ) else None
        if answer is None:
            return application(environ, start_response)
        body, more = answer
        length = ("Content-Length", str(len(body)))
        start_response("200 OK", [_TYPE, _PRIVATE, length, *more])
        return [body]

    return serve


def _is_plain(environ: WSGIEnvironment) -> bool:
    return (
        environ["REQUEST_METHOD"] == "GET"
        and environ.get("HTTP_ACCEPT", "") in _ACCEPTED
        and not any(name in environ for name in _SPECIAL)
    )


def _answer(engine: Engine, environ: WSGIEnvironment) -> tuple[bytes, list[tuple[str, str]]] | None:
    """Return the body and headers of a 200, None where the application has to answer."""
    found = _PATH.fullmatch(environ["PATH_INFO"])
    query = environ.get("QUERY_STRING", "")
    if found is None or (found["id"] and query) or "_format" in query or not query.isascii():
        return None
    try:
        if found["id"]:
            body, told = _read(engine, found["type"], found["id"])
        else:
            body, told = _search(engine, found["type"], query), {}
    except FhirError:
        return None
    if len(body) > COMPRESS_ABOVE and "gzip" in environ.get("HTTP_ACCEPT_ENCODING", ""):
        return None
    trace = headers.usable_trace(environ.get("HTTP_X_REQUEST_ID", "")) or engine.new_id()
    return body, [("X-Request-Id", trace), *told.items()]


def _read(engine: Engine, type_name: str, fhir_id: str) -> tuple[bytes, dict[str, str]]:
    found = read.read(engine, type_name, fhir_id)
    return found.body, headers.version_headers(found.version, found.updated)


def _search(engine: Engine, type_name: str, query: str) -> bytes:
    pairs = tuple(parse_qsl(query, keep_blank_values=True))
    return bundles.searchset(search.search(engine, type_name, pairs), engine.base)
