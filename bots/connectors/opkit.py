"""Opkit, which is gone: its API as it was, for whoever speaks it still. Never a default route.

POST {url}/v1/eligibility_inquiries, the key as user of HTTP Basic.
"""

import base64
import time
from dataclasses import replace

from bots.connectors import wire
from bots.connectors.access import Access
from bots.connectors.wire import Reply, Wire
from bots.domain.eligibility import Answer, Inquiry, Person
from bots.ports import Exchange, Failure, Finding
from bots.shapes import fields, opkit
from bots.shapes.fields import Json, Shapeless
from fhir_profiles import codec, systems


def connect(access: Access) -> "Opkit":
    """Return the connector of one configured route."""
    return Opkit(access)


class Opkit:
    """A route over anything that speaks Opkit's eligibility inquiries."""

    payer_systems = (systems.OPKIT_PAYER,)

    def __init__(self, access: Access) -> None:
        """Keep the access and a pool of connections."""
        self.name = access.name
        self._access = access
        self._wire = Wire()

    def check(self, inquiry: Inquiry, *, timeout_s: float) -> Exchange:
        """Ask once. Every way to fail is a Failure in the Exchange, none is raised."""
        asked = inquiry.at(self.payer_systems[0])
        if not asked.payer_id:
            return Exchange(self.name, failure=wire.not_on_route())
        sent = codec.encode(opkit.ask(asked))
        reply = self._post(sent, time.monotonic() + timeout_s)
        if isinstance(reply, Failure):
            went_out = sent.decode() if reply.code == "no-answer" else ""
            return Exchange(self.name, failure=reply, sent=went_out)
        return replace(self._read(reply, asked), sent=sent.decode(), received=reply.content)

    def probe(self, *, timeout_s: float) -> list[Finding]:
        """Send an empty question, which is refused without a payer."""
        reply = self._post(b"{}", time.monotonic() + timeout_s)
        return wire.findings(reply, key_told=True)

    def reread(self, route: str, sent: bytes, received: bytes) -> tuple[Inquiry, Answer] | None:
        """Return what was asked and answered in an earlier exchange; the shape has no date."""
        if route != self.name:
            return None
        body = wire.payload(sent)
        if body is None:
            raise Shapeless("expected a question as we write it")
        nobody = Inquiry("", "", "", "", "", Person(""), self._access.now().date())
        question = opkit.asked(body, nobody)
        told = _valid(received)
        answer = opkit.read(told, question) if told is not None else None
        return (question, answer) if answer is not None else None

    def _post(self, body: bytes, limit: float) -> Reply | Failure:
        key = base64.b64encode(f"{self._access.key}:".encode()).decode()
        headers = {"Authorization": f"Basic {key}", "Content-Type": "application/json"}
        url = self._access.url + opkit.PATH
        return self._wire.call("POST", url, limit=limit, headers=headers, data=body)

    def _read(self, reply: Reply, asked: Inquiry) -> Exchange:
        if not reply.is_whole:
            return Exchange(self.name, failure=wire.no_answer())
        body = _valid(reply.content)
        answer = opkit.read(body, asked) if body is not None else None
        if answer is None:
            return Exchange(self.name, failure=wire.refused(reply))
        return Exchange(self.name, answer=answer)


def _valid(content: bytes) -> Json | None:
    return fields.valid(wire.payload(content), "opkit")
