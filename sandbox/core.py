"""A clearinghouse behind CAQH CORE envelopes: SOAP in, SOAP out; a multipart form likewise."""

import re
from collections.abc import Callable
from html import escape, unescape
from typing import Any

from flask import Blueprint, Response, request

from sandbox import review

PATH = "/core"
_SOAP = "http://www.w3.org/2003/05/soap-envelope"
_CORE = "http://www.caqh.org/SOAP/WSDL/CORERule2.2.0.xsd"
_TYPE = "X12_271_Response_005010X279A1"
_REVIEW = "X12_278_Response_005010X217E1_2"
_BOUNDARY = "=_sandbox"
Answer = Callable[[str], Response]


def core(route: str, answer: Answer) -> Blueprint:
    """Return the endpoint; `answer` gives the raw X12 shape's reply to a 270."""
    calls = Blueprint(f"core-{route}", __name__)

    def take() -> Response:
        if request.method == "GET":
            return Response("a CORE endpoint\n", content_type="text/plain")
        x12 = _payload()
        told = _form if request.mimetype == "multipart/form-data" else _soap
        if review.is_278(x12):
            return told(review.answer(x12), _REVIEW)
        reply = answer(x12)
        body: dict[str, Any] = reply.get_json(silent=True) or {}
        if "x12" not in body:
            return reply
        return told(str(body["x12"]), _TYPE)

    calls.add_url_rule(PATH, "take", take, methods=["GET", "POST"])
    return calls


def _payload() -> str:
    if request.mimetype == "multipart/form-data":
        return request.form.get("Payload", "")
    found = re.search(r"<Payload>(.*?)</Payload>", request.get_data(as_text=True), re.DOTALL)
    return unescape(found[1]) if found else ""


def _soap(x12: str, kind: str) -> Response:
    fields = {"PayloadType": kind, "Payload": x12, "ErrorCode": "Success"}
    told = "".join(f"<{name}>{escape(text)}</{name}>" for name, text in fields.items())
    body = (
        f'<s:Envelope xmlns:s="{_SOAP}"><s:Body><c:COREEnvelopeRealTimeResponse xmlns:c="{_CORE}">'
        f"{told}</c:COREEnvelopeRealTimeResponse></s:Body></s:Envelope>"
    )
    return Response(body, 200, content_type="application/soap+xml")


def _form(x12: str, kind: str) -> Response:
    fields = {"PayloadType": kind, "Payload": x12, "ErrorCode": "Success"}
    parts = [
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n'
        for name, text in fields.items()
    ]
    mime = f'multipart/form-data; boundary="{_BOUNDARY}"'
    return Response("".join([*parts, f"--{_BOUNDARY}--\r\n"]), 200, content_type=mime)
