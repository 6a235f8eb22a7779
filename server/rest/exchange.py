"""What every route reads from a request and writes into an answer."""

import gzip
import zlib
from collections.abc import Iterable
from dataclasses import replace
from typing import Any
from wsgiref.types import WSGIEnvironment

from flask import Response, current_app, g, request

from fhir_profiles import codec
from server.access.caller import ANYBODY, Caller
from server.errors import BadRequest, Issue, TooLarge, UnsupportedMediaType, outcome
from server.interactions import _write
from server.interactions._write import Origin, Saved
from server.interactions.engine import Engine
from server.interactions.read import Found
from server.rest import bundles, headers

ENGINE = "inforce.engine"
# In the WSGI environment: why there is no answer but a refusal, and who asks.
REFUSED, CALLER = "inforce.refused", "inforce.caller"
COMPRESS_ABOVE = 2048
_REFUSED_JSON = {
    codec.KEY_TWICE: "An object names a key twice.",
    codec.HOLDS_NUL: "A text holds NUL.",
}
_EXPOSED = (
    "Content-Location, ETag, Last-Modified, Location, Preference-Applied, Retry-After,"
    " X-Progress, X-Request-Id"
)
_ALLOWED = (
    "Accept, Authorization, Content-Type, If-Match, If-Modified-Since, If-None-Exist,"
    " If-None-Match, Prefer, X-Provenance, X-Request-Id"
)
_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"


def engine() -> Engine:
    """Return the engine that the application was put together with."""
    found: Engine = current_app.extensions[ENGINE]
    return found


def body(*media_types: str) -> Any:
    """Return the JSON of the body; `media_types` are taken beside JSON's own.

    Raises UnsupportedMediaType, TooLarge, or BadRequest where it is no JSON in UTF-8 or an object
    in it names a key twice.
    """
    headers.content_type(request.headers, *media_types)
    try:
        return codec.decode_strict(_plain(request.get_data()))
    except RecursionError as error:
        raise BadRequest("The body is nested too deeply.") from error
    except ValueError as error:
        text = _REFUSED_JSON.get(str(error))
        issue = (
            Issue("structure", text) if text else Issue("invalid", "The body is not JSON in UTF-8.")
        )
        raise BadRequest(issues=[issue]) from error


def _plain(sent: bytes) -> bytes:
    """Return the body without its Content-Encoding, which may be gzip."""
    coding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if coding == "identity":
        return sent
    if coding != "gzip":
        raise UnsupportedMediaType("Expected Content-Encoding gzip or none.")
    limit = current_app.config["MAX_CONTENT_LENGTH"]
    unzip = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        found = unzip.decompress(sent, limit + 1)
    except zlib.error as error:
        raise BadRequest("The body is not gzip.") from error
    if len(found) > limit:
        raise TooLarge("The body is larger than the server takes.")
    if not unzip.eof:
        raise BadRequest("The body is cut off.")
    return found


def pairs(source: Any) -> tuple[tuple[str, str], ...]:
    """Return the parameters of a query or form in order, repeated ones included."""
    return tuple(source.items(multi=True))


def query() -> tuple[tuple[str, str], ...]:
    """Return the parameters of the URL's query."""
    return headers.query_pairs(request.query_string.decode("utf-8", "replace"))


def preferences() -> frozenset[str]:
    """Return what the client prefers."""
    return headers.preferences(request.headers)


def is_strict() -> bool:
    """Tell whether the client wants unknown search parameters refused."""
    return "handling=strict" in preferences()


def origin() -> Origin:
    """Return where this request's write comes from, its X-Provenance checked."""
    text, caused = request.headers.get("X-Provenance"), cause()
    if not text:
        return caused
    try:
        given = codec.decode_strict(text.encode("latin-1"))
    except (ValueError, RecursionError) as error:
        raise BadRequest("Expected a Provenance as JSON.", expression="X-Provenance") from error
    if isinstance(given, dict) and "target" not in given:
        given = {**given, "target": [{"reference": "Bundle/this"}]}
    return replace(caused, provenance=_write.check(engine(), "Provenance", given))


def cause() -> Origin:
    """Return what led to this request: its trace, how many deliveries, and how urgent it is."""
    depth, priority = (request.headers.get(name, "") for name in headers.CAUSE)
    return headers.origin(g.trace, depth, priority, caller())


def caller() -> Caller:
    """Return who asks, as the door has let it in."""
    return caller_of(request.environ)


def caller_of(environ: WSGIEnvironment) -> Caller:
    """Return who asks by the WSGI environment; everybody may do all where there is no door."""
    found: Caller = environ.get(CALLER, ANYBODY)
    return found


def json(content: bytes | dict[str, Any], status: int = 200) -> Response:
    """Answer with a resource."""
    body_ = codec.encode(content) if isinstance(content, dict) else content
    return Response(body_, status, content_type=f"{headers.JSON}; charset=utf-8")


def stored(saved: Saved) -> Response:
    """Answer a write, as much of it as Prefer asks for (http.html#ops)."""
    wish = preferences()
    status = 201 if saved.created else 200
    if "return=minimal" in wish:
        answer = Response(b"", status)
        answer.headers.pop("Content-Type")
        applied = "return=minimal"
    elif "return=OperationOutcome" in wish:
        text = f"{saved.type}/{saved.id} is stored as version {saved.version}."
        answer = json(outcome([Issue("informational", text)], "information"), status)
        applied = "return=OperationOutcome"
    else:
        answer = json(saved.body or b"", status)
        applied = "return=representation" if "return=representation" in wish else ""
    if applied:
        answer.headers["Preference-Applied"] = applied
    answer.headers.update(headers.version_headers(saved.version, saved.updated))
    answer.headers["Location"] = bundles.location(saved, engine().base)
    return answer


def version(found: Found, *, unchanged: bool = False) -> Response:
    """Answer a read, or say that the client's copy is still good."""
    answer = Response(status=304) if unchanged else json(found.body)
    answer.headers.update(headers.version_headers(found.version, found.updated))
    return answer


def finish(answer: Response, origins: Iterable[str]) -> Response:
    """Add what every answer carries; `origins` are the web pages that may read it (CORS)."""
    answer.headers["X-Request-Id"] = g.get("trace", "")
    answer.headers.setdefault("Cache-Control", "no-store")
    caller = request.headers.get("Origin")
    if caller and caller in origins:
        answer.headers["Access-Control-Allow-Origin"] = caller
        answer.headers["Access-Control-Expose-Headers"] = _EXPOSED
        answer.headers.add("Vary", "Origin")
        if request.method == "OPTIONS":
            answer.headers["Access-Control-Allow-Methods"] = _METHODS
            answer.headers["Access-Control-Allow-Headers"] = _ALLOWED
    return _compressed(answer)


def _compressed(answer: Response) -> Response:
    if answer.is_streamed or "gzip" not in request.headers.get("Accept-Encoding", ""):
        return answer
    content = answer.get_data()
    if len(content) > COMPRESS_ABOVE and "Content-Encoding" not in answer.headers:
        answer.set_data(gzip.compress(content, 1))
        answer.headers["Content-Encoding"] = "gzip"
        answer.headers.add("Vary", "Accept-Encoding")
    return answer
