"""Answers plain reads and searches without the web framework, in front of it.

Measured: of a read's time on the server, two thirds are Flask's request, routing and response. So
what needs none of that is answered here: GET of Type/id and of Type?query, without conditions,
formats or page origins. Everything else, and whatever is refused here, goes on to the application,
which answers the same and knows the refusals. A test holds both ways side by side.
"""

import gzip
import re
from collections.abc import Iterable
from urllib.parse import parse_qsl, unquote
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from server.interactions import read, search
from server.interactions.engine import Engine
from server.rest import bundles, headers
from server.rest.exchange import COMPRESS_ABOVE

_PATH = re.compile(r"/fhir/(?P<type>[A-Z][A-Za-z]+)(?:/(?P<id>[A-Za-z0-9.\-]{1,64}))?")
# What a client may say that this way does not listen to.
_SPECIAL = ("HTTP_IF_NONE_MATCH", "HTTP_IF_MODIFIED_SINCE", "HTTP_ORIGIN", "HTTP_PREFER")
_ACCEPTED = frozenset({"", "*/*", "application/fhir+json", "application/json"})
_TYPE = ("Content-Type", f"{headers.JSON}; charset=utf-8")
_PRIVATE = ("Cache-Control", "no-store")


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
    if found is None or (found["id"] and query) or not _is_simple(query):
        return None
    try:
        if found["id"]:
            body, told = _read(engine, found["type"], found["id"])
        else:
            body, told = _search(engine, found["type"], query), {}
    except Exception:  # noqa: BLE001 the application meets it too, answers and logs
        return None
    if len(body) > COMPRESS_ABOVE and "gzip" in environ.get("HTTP_ACCEPT_ENCODING", ""):
        body = gzip.compress(body, 1)
        told = {**told, "Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
    trace = headers.usable_trace(environ.get("HTTP_X_REQUEST_ID", "")) or engine.new_id()
    return body, [("X-Request-Id", trace), *told.items()]


def _is_simple(query: str) -> bool:
    """Tell whether a query asks for no format, in plain letters or hidden ones."""
    return query.isascii() and "_format" not in unquote(query)


def _read(engine: Engine, type_name: str, fhir_id: str) -> tuple[bytes, dict[str, str]]:
    found = read.read(engine, type_name, fhir_id)
    return found.body, headers.version_headers(found.version, found.updated)


def _search(engine: Engine, type_name: str, query: str) -> bytes:
    pairs = tuple(parse_qsl(query, keep_blank_values=True))
    return bundles.searchset(search.search(engine, type_name, pairs), engine.base)
