"""How a clearinghouse misbehaves on request: latency, HTTP errors, a payer that is down, a drop."""

import json
import socket
import time
from collections.abc import Mapping
from typing import Any

from flask import Response

from sandbox import fixtures
from sandbox.world import Fault

KINDS = ("timeout", "http-500", "http-429", "aaa-42", "drop", "none")
TIMEOUT_S = 60.0
RETRY_AFTER_S = 2


def misbehave(fault: Fault, environ: Mapping[str, Any], trace: str) -> Response | None:
    """Do what the fault says; return the answer, or None where the call goes on as usual."""
    time.sleep(fault.latency_ms / 1000)
    match fault.kind:
        case "timeout":
            time.sleep(TIMEOUT_S)
            return _drop(environ)
        case "http-500":
            return _json('{"message": "internal error"}', 500)
        case "http-429":
            answer = _json('{"message": "slow down", "code": "TOO_MANY_REQUESTS"}', 429)
            answer.headers["Retry-After"] = str(RETRY_AFTER_S)
            return answer
        case "aaa-42":
            return x12_answer(fixtures.answer("aaa-42-payer-down", trace))
        case "drop":
            return _drop(environ)
        case _:
            return None


def x12_answer(text: str) -> Response:
    """Return a 271 in the raw X12 shape."""
    return Response(json.dumps({"x12": text}), 200, content_type="application/json")


def _drop(environ: Mapping[str, Any]) -> Response:
    """Close the connection without an answer."""
    connection: socket.socket = environ["werkzeug.socket"]
    connection.shutdown(socket.SHUT_RDWR)
    return Response(status=500)


def _json(text: str, status: int) -> Response:
    return Response(text, status, content_type="application/json")
