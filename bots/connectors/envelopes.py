"""CAQH CORE envelopes (connectivity vC2.2.0): X12 in SOAP or MIME to an endpoint, and X12 back.

Name and password go in a UsernameToken of WS-Security or in the parts of the form. What the
envelope says by ErrorCode is about the envelope only.
"""

from datetime import UTC
from email import message_from_bytes
from email.policy import HTTP
from http import HTTPStatus
from uuid import NAMESPACE_URL, uuid5
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from bots.connectors import wire
from bots.connectors.access import Access
from bots.connectors.wire import Reply, Wire
from bots.ports import Failure

SHAPES = ("soap", "mime")
RULE = "2.2.0"
SOAP = "http://www.w3.org/2003/05/soap-envelope"
CORE = "http://www.caqh.org/SOAP/WSDL/CORERule2.2.0.xsd"
WSSE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
_TEXT = (
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0"
    "#PasswordText"
)
_ENVELOPE = (
    f'<env:Envelope xmlns:env="{SOAP}"><env:Header>'
    f'<wsse:Security xmlns:wsse="{WSSE}" env:mustUnderstand="true"><wsse:UsernameToken>'
    f'<wsse:Username>{{user}}</wsse:Username><wsse:Password Type="{_TEXT}">{{password}}'
    "</wsse:Password></wsse:UsernameToken></wsse:Security></env:Header><env:Body>"
    f'<core:COREEnvelopeRealTimeRequest xmlns:core="{CORE}">{{fields}}'
    "</core:COREEnvelopeRealTimeRequest></env:Body></env:Envelope>"
)
_FAULT, _FAULT_CODE = f"{{{SOAP}}}Fault", "Fault"
_KEY_ERRORS = ("unauthorized", "username", "password")
_SUCCESS = "success"


class Envelopes:
    """The endpoint of one access: puts a question in, and takes the answer out."""

    def __init__(self, access: Access) -> None:
        """Keep the access and a pool of connections. Raises ValueError for an unknown shape."""
        self._access = access
        self._is_soap = SHAPES.index(access.shape or SHAPES[0]) == 0
        self.wire = Wire()

    def send(self, payload_type: str, x12: str, limit: float) -> Reply | Failure:
        """Post one interchange, of a type as CORE names it; `limit` is monotonic."""
        moment = self._access.now().astimezone(UTC)
        fields = {
            "PayloadType": payload_type,
            "ProcessingMode": "RealTime",
            "PayloadID": str(uuid5(NAMESPACE_URL, x12)),  # the control number makes each its own
            "TimeStamp": f"{moment:%Y-%m-%dT%H:%M:%SZ}",
            "SenderID": self._access.sender_id,
            "ReceiverID": self._access.receiver_id,
            "CORERuleVersion": RULE,
            "Payload": x12,
        }
        user, password = self._access.client_id, self._access.key
        if not self._is_soap:
            parts = {"UserName": user, "Password": password, **fields}
            return self.wire.call("POST", self._access.url, limit=limit, headers={}, parts=parts)
        told = "".join(f"<{name}>{escape(text)}</{name}>" for name, text in fields.items())
        body = _ENVELOPE.format(user=escape(user), password=escape(password), fields=told)
        headers = {
            "Content-Type": 'application/soap+xml; charset=utf-8; action="RealTimeTransaction"'
        }
        return self.wire.call(
            "POST", self._access.url, limit=limit, headers=headers, data=body.encode()
        )


def payload(reply: Reply) -> str | Failure:
    """Return the X12 that came back, or why there is none."""
    if not reply.is_whole:
        return wire.no_answer()
    parts = fields(reply.content)
    error = parts.get("ErrorCode", "")
    is_fault = error == _FAULT_CODE
    if is_fault and (reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR or _is_receivers(parts)):
        text = f"The clearinghouse failed (HTTP {reply.status})."
        return Failure("route-failed", text, again=True)
    if error.lower() not in ("", _SUCCESS):
        return _refused(error)
    return parts.get("Payload") or wire.refused(reply)


def _refused(code: str) -> Failure:
    """Return what an ErrorCode of the envelope, or a Fault, stands for."""
    if any(word in code.lower() for word in _KEY_ERRORS):
        return wire.no_key()
    text = f"The clearinghouse refused our envelope ({code[:40]})."
    return Failure(wire.REJECTED, text, again=False)


def fields(content: bytes) -> dict[str, str]:
    """Return the fields of a SOAP or MIME reply; a Fault as its ErrorCode; {} for anything else."""
    text = content.strip()
    if text.startswith(b"--"):
        return _of_form(text)
    if not text.startswith(b"<") or b"<!DOCTYPE" in text:  # SOAP allows no DTD
        return {}
    try:
        body = ET.fromstring(text.decode("utf-8"))  # noqa: S314 without DTD no entities
    except (ET.ParseError, UnicodeDecodeError):
        return {}
    found = {one.tag.rpartition("}")[2]: (one.text or "").strip() for one in body.iter()}
    if any(one.tag == _FAULT for one in body.iter()):
        return {"ErrorCode": _FAULT_CODE, "Value": found.get("Value", "")}
    return found


def _is_receivers(parts: dict[str, str]) -> bool:
    """Tell whether a Fault is the receiver's own (SOAP 1.2 Code Receiver, 1.1 Server)."""
    return parts.get("Value", "").rpartition(":")[2] in ("Receiver", "Server")


def _of_form(content: bytes) -> dict[str, str]:
    """Return the parts of a multipart form by name; the boundary is its first line."""
    boundary = content.partition(b"\r\n")[0].strip()[2:]
    head = b'Content-Type: multipart/form-data; boundary="' + boundary + b'"\r\n\r\n'
    form = message_from_bytes(head + content, policy=HTTP)
    found = {}
    for part in form.iter_parts():
        name = part.get_param("name", header="content-disposition")
        payload = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(payload, bytes):
            found[name] = payload.decode("utf-8", "replace").strip()
    return found
