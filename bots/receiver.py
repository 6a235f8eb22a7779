"""POST /hooks/<bot>: check who calls, run the bot, and answer what should follow.

POST /payers/[Endpoint id]/notifications: the same for what payers tell us, each by its own token.

200 done; 422 never again; 503 again, with Retry-After where a wait is known, also for a bot that
was stopped at its deadline; 401 for a delivery that is neither signed nor carries the secret. A
server that PUTs to endpoint/Type/id, as strict R4 says, is understood too.
"""

import hashlib
import hmac
import logging
import traceback
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, request
from werkzeug.datastructures import Headers

from bots import payer_notices
from bots.deadline import Deadline, Overdue
from bots.errors import NeverRetry, RetryLater
from bots.mapping import pas_notice
from bots.mapping.pas_notice import NoNotice
from bots.ports import RUN, Run, Tools
from bots.registry import BY_NAME
from fhir_profiles import codec

WINDOW_S = 300  # a signature older or newer than this is a replay
NOTICES = "payer-notices"
BODY_LIMIT_BYTES = 10 * 1024 * 1024
_log = logging.getLogger(__name__)


def receiver(tools: Tools, secret: str, deadline: Deadline) -> Flask:
    """Return the WSGI application that runs bots for deliveries which know `secret`."""
    app = Flask("bots", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = BODY_LIMIT_BYTES

    def take(name: str, **_address: str) -> Response:
        now_s = int(tools.now().timestamp())
        if not is_genuine(request.headers, request.get_data(), secret, now_s):
            return _text("expected a delivery signed with INFORCE_BOTS_HOOK_SECRET", 401)
        if name not in BY_NAME:
            return _text("no bot of this name", 404)
        try:
            resource = codec.decode(request.get_data())
        except ValueError:
            resource = None
        if not isinstance(resource, dict) or not resource.get("id"):
            return _text("expected a FHIR resource with an id as payload", 422)
        return _run(name, resource, tools, deadline)

    def hear(endpoint_id: str) -> Response:
        told = request.headers.get("Authorization", "").removeprefix("Bearer ")
        expected = payer_notices.token(secret, endpoint_id)
        if not hmac.compare_digest(told.encode(), expected.encode()):
            return _text("expected the token that the Subscription names", 401)
        return _heard(request.get_data(), endpoint_id, tools, deadline)

    app.add_url_rule("/hooks/<name>", "hook", take, methods=["POST"])
    app.add_url_rule("/hooks/<name>/<type_name>/<fhir_id>", "hook-put", take, methods=["PUT"])
    app.add_url_rule(payer_notices.PATH, "notices", hear, methods=["POST"])
    app.add_url_rule("/healthz", "healthz", lambda: _text("ok", 200))
    return app


def is_genuine(headers: Headers, body: bytes, secret: str, now_s: int) -> bool:
    """Tell whether a delivery comes from who knows `secret`, and is no replay.

    Signed: HMAC-SHA256 over "timestamp.delivery id.body". A server that cannot sign may send the
    secret itself as a bearer token, by channel.header of the Subscription.
    """
    bearer = headers.get("Authorization", "").removeprefix("Bearer ")
    if hmac.compare_digest(bearer.encode(), secret.encode()):
        return True
    timestamp, delivery = headers.get("X-Inforce-Timestamp", ""), headers.get("X-Inforce-Delivery")
    if not timestamp.isdecimal() or abs(now_s - int(timestamp)) > WINDOW_S:
        return False
    signed = f"{timestamp}.{delivery}.".encode() + body
    expected = "v1=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    sent = headers.get("X-Inforce-Signature", "")
    return hmac.compare_digest(expected.encode(), sent.encode())


def _run(name: str, resource: dict[str, Any], tools: Tools, deadline: Deadline) -> Response:
    """Run a bot and answer what came of it, and what it wrote, for the server's audit."""
    run = Run(request.headers.get("X-Request-Id", ""), request.headers.get("X-Inforce-Depth", ""))
    token = RUN.set(run)
    try:
        answer = _ran(name, lambda: BY_NAME[name].handle(resource, tools), deadline, run.trace)
    finally:
        RUN.reset(token)
    if run.wrote:
        answer.headers["X-Inforce-Wrote"] = ", ".join(run.wrote)
    return answer


def _heard(body: bytes, endpoint_id: str, tools: Tools, deadline: Deadline) -> Response:
    try:
        notice = pas_notice.read(codec.decode(body))
    except (ValueError, NoNotice) as error:
        return _text(str(error), 422)
    work = partial(payer_notices.receive, notice, endpoint_id, tools)
    return _ran(NOTICES, work, deadline, "")


def _ran(name: str, work: Callable[[], None], deadline: Deadline, trace: str) -> Response:
    try:
        deadline.run(work)
    except RetryLater as error:
        _log.warning("%s: later: %s, trace %s", name, error, trace)
        answer = _outcome("transient", f"{name}: later: {error}", 503)
        if error.after_s is not None:
            answer.headers["Retry-After"] = str(error.after_s)
        return answer
    except Overdue:
        _log.error("%s: stopped after %g s, trace %s", name, deadline.limit_s, trace)
        return _outcome("timeout", f"{name}: stopped after {deadline.limit_s:g} s", 503)
    except NeverRetry as error:
        _log.error("%s: never: %s, trace %s", name, error, trace)
        return _outcome("processing", f"{name}: never: {error}", 422)
    except Exception as error:  # noqa: BLE001 the door: logged without its message, then retried
        lines = "".join(traceback.format_tb(error.__traceback__))
        _log.error("%s: %s, trace %s\n%s", name, type(error).__name__, trace, lines)
        return _outcome("exception", f"{name}: failed", 500)
    return _outcome("informational", f"{name}: done", 200)


def _outcome(code: str, text: str, status: int) -> Response:
    """Answer an OperationOutcome; its words go into the AuditEvent of the attempt."""
    severity = "information" if status == HTTPStatus.OK else "error"
    body = {
        "resourceType": "OperationOutcome",
        "issue": [{"severity": severity, "code": code, "diagnostics": text}],
    }
    return Response(codec.encode(body), status, content_type="application/fhir+json")


def _text(text: str, status: int) -> Response:
    return Response(text + "\n", status, content_type="text/plain; charset=utf-8")
