"""Answers plain reads, searches and writes without the web framework, in front of it.

Measured: of a read's time on the server, two thirds are Flask's request, routing and response, and
a quarter of a create's. So what needs none of that is answered here: GET of Type/id and of
Type?query, POST to Type and of Bundles, and PUT to Type/id, without formats, page origins or
conditions but If-Match and If-None-Exist; of wishes (Prefer) the plain ones are known. Everything
else goes on to the application, which answers the same; so does whatever is refused here, which the
application only has to tell. A test holds both ways side by side.
"""

import gzip
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from fhir_profiles import codec
from server.errors import FhirError
from server.interactions import bundle, create, read, search, update
from server.interactions.engine import Engine
from server.rest import bundles, headers
from server.rest.exchange import COMPRESS_ABOVE, REFUSED, caller_of

_PATH = re.compile(r"/fhir/?(?:(?<=/)(?P<type>[A-Z][A-Za-z]+)(?:/(?P<id>[A-Za-z0-9.\-]{1,64}))?)?")
# What a client may say that this way does not listen to.
_SPECIAL = (
    "HTTP_IF_NONE_MATCH", "HTTP_IF_MODIFIED_SINCE", "HTTP_ORIGIN", "HTTP_X_PROVENANCE",
    "HTTP_CONTENT_ENCODING", "HTTP_TRANSFER_ENCODING",
)  # fmt: skip
_CREATES = ("HTTP_IF_NONE_EXIST", "HTTP_PREFER")  # listened to for what is written
_REPRESENTATION, _MINIMAL = "return=representation", "return=minimal"
_CAUSE = tuple(f"HTTP_{name.upper().replace('-', '_')}" for name in headers.CAUSE)
_ACCEPTED = frozenset({"", "*/*", "application/fhir+json", "application/json"})
_TYPE = ("Content-Type", f"{headers.JSON}; charset=utf-8")
_PRIVATE = ("Cache-Control", "no-store")
_WRITTEN = frozenset(
    f"{kind}{charset}"
    for kind in (headers.JSON, "application/json")
    for charset in ("", "; charset=utf-8", "; charset=UTF-8", ";charset=utf-8", ";charset=UTF-8")
)


@dataclass(frozen=True, slots=True)
class _Answer:
    body: bytes
    headers: dict[str, str]
    status: str = "200 OK"


def answer_first(engine: Engine, application: WSGIApplication, body_limit: int) -> WSGIApplication:
    """Return `application` with the direct way before it; `body_limit` is in bytes."""

    def serve(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        answer = _answer(engine, environ, body_limit) if _is_plain(environ) else None
        if answer is None:
            return application(environ, start_response)
        body, told = answer.body, answer.headers
        if len(body) > COMPRESS_ABOVE and "gzip" in environ.get("HTTP_ACCEPT_ENCODING", ""):
            body = gzip.compress(body, 1)
            told = {**told, "Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
        length = ("Content-Length", str(len(body)))
        start_response(answer.status, [_TYPE, _PRIVATE, length, *told.items()])
        return [body]

    return serve


def _is_plain(environ: WSGIEnvironment) -> bool:
    return (
        environ["REQUEST_METHOD"] in _WAYS
        and REFUSED not in environ
        and environ.get("HTTP_ACCEPT", "") in _ACCEPTED
        and not any(name in environ for name in _SPECIAL)
        and environ.get("HTTP_PREFER", "") in ("", _REPRESENTATION, _MINIMAL)
    )


def _answer(engine: Engine, environ: WSGIEnvironment, body_limit: int) -> _Answer | None:
    """Return the answer, None where the application has to give it."""
    found = _PATH.fullmatch(environ["PATH_INFO"])
    if found is None:
        return None
    trace = headers.usable_trace(environ.get("HTTP_X_REQUEST_ID", "")) or engine.new_id()
    environ["HTTP_X_REQUEST_ID"] = trace  # the same, whoever answers
    request = _Request(engine, found["type"] or "", found["id"] or "", environ, body_limit, trace)
    answer = _WAYS[environ["REQUEST_METHOD"]](request)
    if answer is not None:
        answer.headers["X-Request-Id"] = trace
    return answer


@dataclass(frozen=True, slots=True)
class _Request:
    engine: Engine
    type: str
    id: str
    environ: WSGIEnvironment
    body_limit: int
    trace: str


def _get(request: _Request) -> _Answer | None:
    query = request.environ.get("QUERY_STRING", "")
    if not request.type or (request.id and query) or not _is_simple(query):
        return None
    if any(name in request.environ for name in _CREATES):
        return None
    try:
        if request.id:
            found = read.read(request.engine, request.type, request.id)
            return _Answer(found.body, headers.version_headers(found.version, found.updated))
        return _Answer(_search(request.engine, request.type, query), {})
    except Exception as error:  # noqa: BLE001 the application tells of it
        _hand_on(request.environ, error)
        return None


def _post(request: _Request) -> _Answer | None:
    if request.id or "HTTP_IF_MATCH" in request.environ:
        return None
    if request.type and _is_minimal(request):
        return None
    if not request.type and "HTTP_IF_NONE_EXIST" in request.environ:
        return None
    return _written(request, None)


def _put(request: _Request) -> _Answer | None:
    text = request.environ.get("HTTP_IF_MATCH")
    match = headers.version_of(text) if text is not None else None
    if not request.id or (text is not None and match is None) or _is_minimal(request):
        return None
    if "HTTP_IF_NONE_EXIST" in request.environ:
        return None
    return _written(request, match)


def _written(request: _Request, if_match: int | None) -> _Answer | None:
    environ = request.environ
    length = environ.get("CONTENT_LENGTH", "")
    is_simple = environ.get("CONTENT_TYPE") in _WRITTEN and not environ.get("QUERY_STRING")
    if not is_simple or not length.isdecimal() or int(length) > request.body_limit:
        return None
    sent = environ["wsgi.input"].read(int(length))
    environ["wsgi.input"] = io.BytesIO(sent)  # for the application, should it have to answer
    try:
        body = codec.decode_strict(sent)
    except (ValueError, RecursionError):
        return None
    try:
        return _done(request, body, if_match)
    except Exception as error:  # noqa: BLE001 the application tells of it
        _hand_on(environ, error)
        return None


def _hand_on(environ: WSGIEnvironment, error: Exception) -> None:
    """Let the application raise what was raised here: nothing is done twice.

    The frames of a refusal are let go: they hold the body, and the environment that it stands in.
    """
    if isinstance(error, FhirError):
        error.__traceback__ = error.__cause__ = error.__context__ = None
    environ[REFUSED] = error


def _done(request: _Request, body: object, if_match: int | None) -> _Answer:
    engine, environ = request.engine, request.environ
    depth, priority = (environ.get(name, "") for name in _CAUSE)
    origin = headers.origin(request.trace, depth, priority, caller_of(environ))
    if not request.type:
        kind, results = bundle.run(engine, body, origin=origin)
        minimal = _is_minimal(request)
        return _Answer(bundles.responses(kind, results, engine.base, minimal=minimal), {})
    if request.id:
        saved = update.update(
            engine, request.type, request.id, body, if_match=if_match, origin=origin
        )
    else:
        condition = environ.get("HTTP_IF_NONE_EXIST", "")
        saved = create.create(engine, request.type, body, if_none_exist=condition, origin=origin)
    told = headers.version_headers(saved.version, saved.updated)
    if environ.get("HTTP_PREFER"):
        told["Preference-Applied"] = _REPRESENTATION
    told["Location"] = bundles.location(saved, engine.base)
    return _Answer(saved.body or b"", told, "201 Created" if saved.created else "200 OK")


_WAYS = {"GET": _get, "POST": _post, "PUT": _put}


def _is_minimal(request: _Request) -> bool:
    return request.environ.get("HTTP_PREFER") == _MINIMAL


def _is_simple(query: str) -> bool:
    """Tell whether a query asks for no format, in plain letters or hidden ones."""
    return query.isascii() and "_format" not in unquote(query)


def _search(engine: Engine, type_name: str, query: str) -> bytes:
    found = search.search(engine, type_name, headers.query_pairs(query))
    return bundles.searchset(found, engine.base)
