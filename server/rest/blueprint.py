"""Routes of the FHIR API: one table, which the CapabilityStatement is made from too."""

import hashlib
import logging
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from urllib.parse import urlencode

from flask import Blueprint, Response, current_app, g, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, RequestEntityTooLarge

from fhir_profiles import codec
from server.errors import (
    BadRequest,
    FhirError,
    Forbidden,
    Issue,
    MethodRefused,
    NotFound,
    TooLarge,
    Unauthorized,
    UnsupportedMediaType,
    log_fault,
    outcome,
)
from server.interactions import bundle, create, delete, history, patch, read, search, update
from server.interactions._write import Saved
from server.interactions.search import Page
from server.interactions.subset import subset
from server.operations import OPERATIONS
from server.operations.operation import INSTANCE, SYSTEM, TYPE, Answer, Call, Operation
from server.rest import bundles, exchange, headers, jobs
from server.rest.exchange import engine, json, pairs
from server.rest.metadata import capability_statement
from server.search.request import IGNORED, read_elements, read_summary

_log = logging.getLogger(__name__)
ENGINE = exchange.ENGINE
STATEMENT = "inforce.capability_statement"
_ID = re.compile(r"[A-Za-z0-9.\-]{1,64}")
_FORM = "application/x-www-form-urlencoded"
_CHALLENGES = {
    Unauthorized.status: 'Bearer realm="fhir", error="invalid_token"',
    Forbidden.status: 'Bearer realm="fhir", error="insufficient_scope"',
}


def _capabilities() -> Response:
    content, tag = current_app.extensions[STATEMENT]
    if tag in request.headers.get("If-None-Match", ""):
        answer = Response(status=304)
    else:
        answer = json(content)
    answer.headers["ETag"] = tag
    return answer


def _bundle() -> Response:
    kind, results = bundle.run(engine(), exchange.body(), origin=exchange.cause())
    minimal = "return=minimal" in exchange.preferences()
    return json(bundles.responses(kind, results, engine().base, minimal=minimal))


def _page(page: Page) -> Response:
    return json(bundles.searchset(page, engine().base))


def _form() -> tuple[tuple[str, str], ...]:
    kind = request.headers.get("Content-Type", _FORM).partition(";")[0].strip().lower()
    if kind != _FORM:
        raise UnsupportedMediaType(f"Expected Content-Type {_FORM}.")
    return (*exchange.query(), *pairs(request.form))


def _search(type_name: str) -> Response:
    return _page(search.search(engine(), type_name, exchange.query(), strict=exchange.is_strict()))


def _search_form(type_name: str) -> Response:
    return _page(search.search(engine(), type_name, _form(), strict=exchange.is_strict()))


def _search_system() -> Response:
    return _page(search.system(engine(), exchange.query(), strict=exchange.is_strict()))


def _search_system_form() -> Response:
    return _page(search.system(engine(), _form(), strict=exchange.is_strict()))


def _search_compartment(type_name: str, fhir_id: str, member: str) -> Response:
    if member.startswith("$"):
        named = (one for one in OPERATIONS if member == f"${one.name}")
        if any(not one.types or type_name in one.types for one in named):
            raise MethodRefused("This operation is called by POST.")
        raise NotFound("There is no operation of this name here.")
    place = (type_name, fhir_id, member)
    return _page(
        search.of_compartment(engine(), place, exchange.query(), strict=exchange.is_strict())
    )


def _search_compartment_form(type_name: str, fhir_id: str, member: str) -> Response:
    place = (type_name, fhir_id, member)
    return _page(search.of_compartment(engine(), place, _form(), strict=exchange.is_strict()))


def _create(type_name: str) -> Response:
    """Create; a query in the URL is taken as If-None-Exist, which some clients send so."""
    given = [(k, v) for k, v in exchange.query() if k not in IGNORED]
    condition = request.headers.get("If-None-Exist", "") or urlencode(given)
    origin = exchange.origin()
    return exchange.stored(
        create.create(engine(), type_name, exchange.body(), if_none_exist=condition, origin=origin)
    )


def _read(type_name: str, fhir_id: str) -> Response:
    found = read.read(engine(), type_name, fhir_id)
    if "If-None-Match" in request.headers or "If-Modified-Since" in request.headers:
        unchanged = read.is_unchanged(
            found, request.headers.get("If-None-Match"), headers.if_modified_since(request.headers)
        )
        return exchange.version(found, unchanged=unchanged)
    summary, elements = request.args.get("_summary"), request.args.get("_elements")
    if summary or elements:
        names = read_elements(elements) if elements else frozenset()
        part = subset(found.body, read_summary(summary or "false"), names)
        found = replace(found, body=part)
    return exchange.version(found)


def _update(type_name: str, fhir_id: str) -> Response:
    match, origin = headers.if_match(request.headers), exchange.origin()
    saved = update.update(
        engine(), type_name, fhir_id, exchange.body(), if_match=match, origin=origin
    )
    return exchange.stored(saved)


def _criteria() -> str:
    return urlencode([(k, v) for k, v in exchange.query() if k not in IGNORED])


def _update_conditional(type_name: str) -> Response:
    match, origin = headers.if_match(request.headers), exchange.origin()
    saved = update.conditional(
        engine(), type_name, _criteria(), exchange.body(), if_match=match, origin=origin
    )
    return exchange.stored(saved)


def _change() -> patch.Change:
    kind = headers.content_type(request.headers, *headers.PATCHES)
    return patch.change_of(kind, exchange.body(*headers.PATCHES))


def _patch(type_name: str, fhir_id: str) -> Response:
    match, origin = headers.if_match(request.headers), exchange.origin()
    saved = patch.patch(engine(), type_name, fhir_id, _change(), if_match=match, origin=origin)
    return exchange.stored(saved)


def _patch_conditional(type_name: str) -> Response:
    match, origin = headers.if_match(request.headers), exchange.origin()
    saved = patch.conditional(
        engine(), type_name, _criteria(), _change(), if_match=match, origin=origin
    )
    return exchange.stored(saved)


def _delete(type_name: str, fhir_id: str) -> Response:
    match, origin = headers.if_match(request.headers), exchange.origin()
    return _deleted(delete.delete(engine(), type_name, fhir_id, if_match=match, origin=origin))


def _delete_conditional(type_name: str) -> Response:
    origin = exchange.origin()
    return _deleted(delete.conditional(engine(), type_name, _criteria(), origin=origin))


def _deleted(saved: Saved | None) -> Response:
    answer = Response(status=204)
    if saved is not None:
        answer.headers.update(headers.version_headers(saved.version, saved.updated))
    return answer


def _history(type_name: str = "", fhir_id: str = "") -> Response:
    past = history.history(engine(), (type_name, fhir_id), exchange.query())
    return json(bundles.history(past, engine().base))


def _vread(type_name: str, fhir_id: str, version_id: str) -> Response:
    return exchange.version(read.vread(engine(), type_name, fhir_id, version_id))


def _operate(operation: Operation) -> Callable[..., Response]:
    def view(type_name: str = "", fhir_id: str = "") -> Response:
        has_body = request.method == "POST" and bool(request.content_length or _is_chunked())
        call = Call(
            engine=engine(),
            type=type_name,
            id=fhir_id,
            pairs=exchange.query(),
            body=exchange.body() if has_body else None,
            preferences=exchange.preferences(),
            origin=exchange.origin(),
            url=f"{engine().base}{request.full_path.removeprefix('/fhir').rstrip('?')}",
        )
        if operation.parameters is not None:
            call.check(operation.parameters)
        done = operation.run(call)
        if isinstance(done, Page):
            return _page(done)
        if not isinstance(done, Answer):
            return json(done)
        answer = json(done.body, done.status)
        answer.headers.update(done.headers)
        return answer

    return view


def _is_chunked() -> bool:
    return "chunked" in request.headers.get("Transfer-Encoding", "").lower()


# (interaction code of capabilitystatement, method, rule, view); a code may stand several times.
ROUTES: tuple[tuple[str, str, str, Callable[..., Response]], ...] = (
    ("capabilities", "GET", "/metadata", _capabilities),
    ("transaction", "POST", "", _bundle),
    ("batch", "POST", "/", _bundle),
    ("search-system", "GET", "", _search_system),
    ("search-system", "GET", "/", _search_system),
    ("search-system", "POST", "/_search", _search_system_form),
    ("history-system", "GET", "/_history", _history),
    ("search-type", "GET", "/<type_name>", _search),
    ("search-type", "POST", "/<type_name>/_search", _search_form),
    ("search-type", "GET", "/<type_name>/<fhir_id>/<member>", _search_compartment),
    (
        "search-type",
        "POST",
        "/<type_name>/<fhir_id>/<member>/_search",
        _search_compartment_form,
    ),
    ("create", "POST", "/<type_name>", _create),
    ("read", "GET", "/<type_name>/<fhir_id>", _read),
    ("update", "PUT", "/<type_name>/<fhir_id>", _update),
    ("update", "PUT", "/<type_name>", _update_conditional),
    ("patch", "PATCH", "/<type_name>/<fhir_id>", _patch),
    ("patch", "PATCH", "/<type_name>", _patch_conditional),
    ("delete", "DELETE", "/<type_name>/<fhir_id>", _delete),
    ("delete", "DELETE", "/<type_name>", _delete_conditional),
    ("history-type", "GET", "/<type_name>/_history", _history),
    ("history-instance", "GET", "/<type_name>/<fhir_id>/_history", _history),
    ("vread", "GET", "/<type_name>/<fhir_id>/_history/<version_id>", _vread),
)
_LEVELS = {SYSTEM: "", TYPE: "/<type_name>", INSTANCE: "/<type_name>/<fhir_id>"}


def fhir_api(origins: Iterable[str]) -> Blueprint:
    """Return the FHIR API as a blueprint; the app keeps the Engine in its extensions.

    `origins` are the web pages whose scripts may call it (CORS).
    """
    api = Blueprint("fhir", __name__, url_prefix="/fhir")
    for number, (code, method, rule, view) in enumerate(ROUTES):
        api.add_url_rule(rule, f"{number}-{code}", view, methods=[method], strict_slashes=True)
    for number, operation in enumerate(OPERATIONS):
        for place, given in _places(operation):
            api.add_url_rule(
                f"{place}/${operation.name}",
                f"{number}-{operation.name}-{place.replace('.', '')}",
                _operate(operation),
                methods=list(operation.methods),
                defaults=given,
            )
    jobs.add_routes(api)
    allowed = frozenset(origins)
    api.before_app_request(_trace)
    api.before_request(_negotiate)
    api.after_app_request(lambda answer: exchange.finish(answer, allowed))
    return api


def _places(operation: Operation) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the rules under which an operation is called, and the type where it is in the rule."""
    for level in operation.levels:
        types = operation.types if level != SYSTEM else ()
        for name in types:
            yield _LEVELS[level].replace("<type_name>", name), {"type_name": name}
        if not types:
            yield _LEVELS[level], {}


def statement(base: str, date: str, token_url: str) -> tuple[bytes, str]:
    """Return the CapabilityStatement of this table as bytes to serve as they are, and its ETag.

    `token_url` is where clients get their tokens, "" where they need none.
    """
    codes = (code for code, *_ in ROUTES if code != "capabilities")
    content = codec.encode(capability_statement(codes, OPERATIONS, base, date, token_url))
    return content, f'W/"{hashlib.sha256(content).hexdigest()[:16]}"'


def _trace() -> None:
    g.trace = headers.usable_trace(request.headers.get("X-Request-Id", "")) or engine().new_id()


def _negotiate() -> None:
    refused = request.environ.pop(exchange.REFUSED, None)
    if refused is not None:
        raise refused
    fhir_id = (request.view_args or {}).get("fhir_id", "-")
    if not _ID.fullmatch(fhir_id) or "\0" in request.path:
        refused = BadRequest if request.method == "PUT" else NotFound
        raise refused("An id is 1 to 64 letters, digits, '-' or '.'.", expression="id")
    if request.method != "OPTIONS":
        headers.check_accept(request.headers, request.args.get("_format"))


def refuse(error: FhirError) -> Response:
    """Answer a refusal with its OperationOutcome; RFC 6750 has it say how to come in."""
    answer = json(outcome(error.issues), error.status)
    if error.status in _CHALLENGES:
        answer.headers["WWW-Authenticate"] = _CHALLENGES[error.status]
    return answer


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
    return json(outcome(issues), error.code or 500)


def refuse_depth(_error: RecursionError) -> Response:
    """Answer a body that is nested beyond what can be walked."""
    return refuse(BadRequest("The body is nested too deeply."))


def refuse_surprise(error: Exception) -> Response:
    """Answer a fault of ours: logged with its trace, told without details."""
    trace = g.get("trace", "")
    log_fault(_log, f"unexpected, trace {trace}", error)
    text = f"The server failed; the fault is logged under trace {trace}."
    return json(outcome([Issue("exception", text)], "fatal"), 500)
