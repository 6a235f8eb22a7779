"""Routes of the FHIR API: one table, which the CapabilityStatement is made from too."""

import logging
import traceback
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, current_app, g, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, RequestEntityTooLarge

from fhir_profiles import codec
from server.errors import (
    BadRequest,
    FhirError,
    Issue,
    MethodRefused,
    NotFound,
    TooLarge,
    outcome,
)
from server.interactions import bundle, create, delete, history, read, search, update
from server.interactions._write import Saved
from server.interactions.engine import Engine
from server.operations import OPERATIONS
from server.operations.operation import Operation
from server.rest import bundles, headers
from server.rest.metadata import capability_statement
from server.search.request import IGNORED

_log = logging.getLogger(__name__)
ENGINE = "inforce.engine"
STATEMENT = "inforce.capability_statement"


def _engine() -> Engine:
    engine: Engine = current_app.extensions[ENGINE]
    return engine


def _body() -> Any:
    headers.check_content_type(request.headers)
    try:
        return codec.decode(request.get_data())
    except ValueError as error:
        raise BadRequest("The body is not JSON in UTF-8.") from error


def _pairs(source: Any) -> list[tuple[str, str]]:
    return list(source.items(multi=True))


def _is_strict() -> bool:
    return "handling=strict" in request.headers.get("Prefer", "").replace(" ", "")


def _json(body: bytes | dict[str, Any], status: int = 200, **extra: str) -> Response:
    content = codec.encode(body) if isinstance(body, dict) else body
    named = {name.replace("_", "-"): value for name, value in extra.items()}
    return Response(content, status, named, content_type=f"{headers.JSON}; charset=utf-8")


def _stored(saved: Saved) -> Response:
    """Answer a create or update, as much of it as Prefer asks for (http.html#ops)."""
    wish = request.headers.get("Prefer", "").replace(" ", "")
    content = b"" if "return=minimal" in wish else saved.body or b""
    answer = _json(content, 201 if saved.created else 200)
    if not content:
        answer.headers.pop("Content-Type")
    answer.headers.update(headers.version_headers(saved.version, saved.updated))
    answer.headers["Location"] = bundles.location(saved, _engine().base)
    return answer


def _found(found: read.Found) -> Response:
    answer = _json(found.body)
    answer.headers.update(headers.version_headers(found.version, found.updated))
    return answer


def _capabilities() -> Response:
    return _json(current_app.extensions[STATEMENT])


def _bundle() -> Response:
    kind, results = bundle.run(_engine(), _body(), trace=g.trace)
    return _json(bundles.responses(kind, results, _engine().base))


def _search(type_name: str) -> Response:
    page = search.search(_engine(), type_name, _pairs(request.args), strict=_is_strict())
    return _json(bundles.searchset(page, _engine().base))


def _search_form(type_name: str) -> Response:
    pairs = [*_pairs(request.args), *_pairs(request.form)]
    page = search.search(_engine(), type_name, pairs, strict=_is_strict())
    return _json(bundles.searchset(page, _engine().base))


def _create(type_name: str) -> Response:
    """Create; a query in the URL is taken as If-None-Exist, which some clients send so."""
    pairs = [(k, v) for k, v in _pairs(request.args) if k not in IGNORED]
    condition = request.headers.get("If-None-Exist", "") or urlencode(pairs)
    saved = create.create(_engine(), type_name, _body(), if_none_exist=condition, trace=g.trace)
    return _stored(saved)


def _read(type_name: str, fhir_id: str) -> Response:
    return _found(read.read(_engine(), type_name, fhir_id))


def _update(type_name: str, fhir_id: str) -> Response:
    saved = update.update(
        _engine(),
        type_name,
        fhir_id,
        _body(),
        if_match=headers.if_match(request.headers),
        trace=g.trace,
    )
    return _stored(saved)


def _delete(type_name: str, fhir_id: str) -> Response:
    match = headers.if_match(request.headers)
    delete.delete(_engine(), type_name, fhir_id, if_match=match, trace=g.trace)
    return Response(status=204)


def _history(type_name: str, fhir_id: str) -> Response:
    limits = {}
    for name in ("_count", "_before"):
        text = request.args.get(name)
        if text is not None and not (text.isdecimal() and len(text) < 18):  # noqa: PLR2004 int64
            raise BadRequest("Expected a whole number.", expression=name)
        limits[name.removeprefix("_")] = None if text is None else int(text)
    past = history.history(_engine(), type_name, fhir_id, **limits)
    return _json(bundles.history(past, _engine().base, type_name, fhir_id))


def _operate(operation: Operation) -> Callable[..., Response]:
    def view(type_name: str, fhir_id: str = "") -> Response:
        return _json(operation.run(_engine(), type_name, fhir_id, _body()))

    return view


def _vread(type_name: str, fhir_id: str, version_id: str) -> Response:
    return _found(read.vread(_engine(), type_name, fhir_id, version_id))


# (interaction code of capabilitystatement, method, rule, view)
ROUTES: tuple[tuple[str, str, str, Callable[..., Response]], ...] = (
    ("capabilities", "GET", "/metadata", _capabilities),
    ("transaction", "POST", "", _bundle),
    ("batch", "POST", "/", _bundle),
    ("search-type", "GET", "/<type_name>", _search),
    ("search-type", "POST", "/<type_name>/_search", _search_form),
    ("create", "POST", "/<type_name>", _create),
    ("read", "GET", "/<type_name>/<fhir_id>", _read),
    ("update", "PUT", "/<type_name>/<fhir_id>", _update),
    ("delete", "DELETE", "/<type_name>/<fhir_id>", _delete),
    ("history-instance", "GET", "/<type_name>/<fhir_id>/_history", _history),
    ("vread", "GET", "/<type_name>/<fhir_id>/_history/<version_id>", _vread),
)


def fhir_api() -> Blueprint:
    """Return the FHIR API as a blueprint; the app keeps the Engine in its extensions."""
    api = Blueprint("fhir", __name__, url_prefix="/fhir")
    for number, (code, method, rule, view) in enumerate(ROUTES):
        api.add_url_rule(rule, f"{number}-{code}", view, methods=[method], strict_slashes=True)
    for operation in OPERATIONS:
        for level, place in (("type", "/<type_name>"), ("instance", "/<type_name>/<fhir_id>")):
            rule, name = f"{place}/${operation.name}", f"{level}-{operation.name}"
            api.add_url_rule(rule, name, _operate(operation), methods=["POST"])
    api.before_app_request(_trace)
    api.before_request(_negotiate)
    api.after_app_request(_leave)
    return api


def statement(base: str, date: str) -> bytes:
    """Return the CapabilityStatement of this table, as bytes that can be served as they are."""
    codes = (code for code, *_ in ROUTES if code != "capabilities")
    return codec.encode(capability_statement(codes, OPERATIONS, base, date))


def _trace() -> None:
    g.trace = headers.trace(request.headers) or _engine().new_id()


def _negotiate() -> None:
    headers.check_accept(request.headers, request.args.get("_format"))


def _leave(answer: Response) -> Response:
    answer.headers["X-Request-Id"] = g.trace
    answer.headers.setdefault("Cache-Control", "no-store")
    return answer


def refuse(error: FhirError) -> Response:
    """Answer a refusal with its OperationOutcome."""
    return _json(outcome(error.issues), error.status)


def refuse_http(error: HTTPException) -> Response:
    """Answer what the web framework refuses (routing, size) with an OperationOutcome."""
    if isinstance(error, RequestEntityTooLarge):
        return refuse(TooLarge("The body is larger than the server takes."))
    if isinstance(error, MethodNotAllowed):
        answer = refuse(MethodRefused("This interaction is not supported at this address."))
        answer.headers["Allow"] = ", ".join(sorted(error.valid_methods or ()))
        return answer
    if error.code == 404:  # noqa: PLR2004
        return refuse(NotFound("Nothing is served at this address."))
    issues: Iterable[Issue] = [Issue("processing", error.name)]
    return _json(outcome(issues), error.code or 500)


def refuse_surprise(error: Exception) -> Response:
    """Answer a fault of ours: logged with its trace, told without details."""
    trace = g.get("trace", "")
    lines = "".join(traceback.format_tb(error.__traceback__))  # never the message: it may hold data
    _log.error("unexpected %s, trace %s\n%s", type(error).__name__, trace, lines)
    text = f"The server failed; the fault is logged under trace {trace}."
    return _json(outcome([Issue("exception", text)], "fatal"), 500)
