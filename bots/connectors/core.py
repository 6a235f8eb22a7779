"""CAQH CORE real time (rule 270, vC2.2.0): one 270 in an envelope, SOAP or MIME, one 271 back.

The address of the endpoint is the whole URL. Name and password go in a UsernameToken of WS-Security
or in the parts of the form. What the envelope says by ErrorCode is about the envelope only.
"""

import time
from dataclasses import replace
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
from bots.domain.eligibility import Answer, Inquiry
from bots.ports import Exchange, Failure, Finding
from bots.x12 import eligibility_270, eligibility_271
from bots.x12.eligibility_270 import OutsideGuide
from bots.x12.eligibility_271 import NotA271
from bots.x12.envelope import Sender
from fhir_profiles import systems

SHAPES = ("soap", "mime")
RULE, PAYLOAD_TYPE = "2.2.0", "X12_270_Request_005010X279A1"
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


def connect(access: Access) -> "Core":
    """Return the connector of one configured route."""
    return Core(access)


class Core:
    """A route to any payer or clearinghouse that follows CORE connectivity."""

    payer_systems = (systems.CORE_PAYER,)

    def __init__(self, access: Access) -> None:
        """Keep the access and a pool of connections. Raises ValueError for an unknown shape."""
        self.name = access.name
        self._access = access
        self._is_soap = SHAPES.index(access.shape or SHAPES[0]) == 0
        self._wire = Wire()

    def check(self, inquiry: Inquiry, *, timeout_s: float) -> Exchange:
        """Ask once. Every way to fail is a Failure in the Exchange, none is raised."""
        asked = inquiry.at(self.payer_systems[0])
        if not asked.payer_id:
            return Exchange(self.name, failure=wire.not_on_route())
        access = self._access
        try:
            x12 = eligibility_270.write(
                asked,
                sender=Sender(access.sender_id, access.receiver_id),
                control=access.control(),
                moment=access.now(),
            )
        except OutsideGuide as error:
            return Exchange(self.name, failure=wire.not_sent(error))
        reply = self._send(x12, time.monotonic() + timeout_s)
        if isinstance(reply, Failure):
            went_out = x12 if reply.code == "no-answer" else ""
            return Exchange(self.name, failure=reply, sent=went_out)
        return replace(self._read(reply), sent=x12, received=reply.content)

    def probe(self, *, timeout_s: float) -> list[Finding]:
        """Look whether somebody answers there; of the key only an envelope would tell."""
        limit = time.monotonic() + timeout_s
        reply = self._wire.call("GET", self._access.url, limit=limit, headers={})
        return wire.findings(reply, key_told=False)

    def reread(self, route: str, sent: bytes, received: bytes) -> tuple[Inquiry, Answer] | None:
        """Return what was asked and answered in an earlier exchange, SOAP or MIME."""
        if route != self.name:
            return None
        question = eligibility_270.read(sent.decode("utf-8", "replace"))
        try:
            return question, eligibility_271.read(_parts(received).get("Payload", ""))
        except NotA271:
            return None

    def _send(self, x12: str, limit: float) -> Reply | Failure:
        moment = self._access.now().astimezone(UTC)
        fields = {
            "PayloadType": PAYLOAD_TYPE,
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
            return self._wire.call("POST", self._access.url, limit=limit, headers={}, parts=parts)
        told = "".join(f"<{name}>{escape(text)}</{name}>" for name, text in fields.items())
        body = _ENVELOPE.format(user=escape(user), password=escape(password), fields=told)
        headers = {
            "Content-Type": 'application/soap+xml; charset=utf-8; action="RealTimeTransaction"'
        }
        return self._wire.call(
            "POST", self._access.url, limit=limit, headers=headers, data=body.encode()
        )

    def _read(self, reply: Reply) -> Exchange:
        if not reply.is_whole:
            return Exchange(self.name, failure=wire.no_answer())
        parts = _parts(reply.content)
        error = parts.get("ErrorCode", "")
        is_fault = error == _FAULT_CODE
        if is_fault and (reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR or _is_receivers(parts)):
            text = f"The clearinghouse failed (HTTP {reply.status})."
            return Exchange(self.name, failure=Failure("route-failed", text, again=True))
        if error.lower() not in ("", _SUCCESS):
            return Exchange(self.name, failure=_refused(error))
        if not parts.get("Payload"):
            return Exchange(self.name, failure=wire.refused(reply))
        try:
            return Exchange(self.name, answer=eligibility_271.read(parts["Payload"]))
        except NotA271 as not_271:
            return Exchange(self.name, failure=wire.no_271(not_271))


def _refused(code: str) -> Failure:
    """Return what an ErrorCode of the envelope, or a Fault, stands for."""
    if any(word in code.lower() for word in _KEY_ERRORS):
        return wire.no_key()
    text = f"The clearinghouse refused our envelope ({code[:40]})."
    return Failure(wire.REJECTED, text, again=False)


def _parts(content: bytes) -> dict[str, str]:
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
