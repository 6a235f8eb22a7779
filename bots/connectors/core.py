"""CAQH CORE real time (rule 270, vC2.2.0): one 270 in an envelope, SOAP or MIME, one 271 back.

The address of the endpoint is the whole URL.
"""

import time
from dataclasses import replace

from bots.connectors import envelopes, wire
from bots.connectors.access import Access
from bots.connectors.envelopes import Envelopes
from bots.connectors.wire import Reply
from bots.domain.eligibility import Answer, Inquiry
from bots.ports import Exchange, Failure, Finding
from bots.x12 import eligibility_270, eligibility_271
from bots.x12.eligibility_270 import OutsideGuide
from bots.x12.eligibility_271 import NotA271
from bots.x12.envelope import Sender
from fhir_profiles import systems

PAYLOAD_TYPE = "X12_270_Request_005010X279A1"


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
        self._envelopes = Envelopes(access)

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
        reply = self._envelopes.send(PAYLOAD_TYPE, x12, time.monotonic() + timeout_s)
        if isinstance(reply, Failure):
            went_out = x12 if reply.code == "no-answer" else ""
            return Exchange(self.name, failure=reply, sent=went_out)
        return replace(self._read(reply), sent=x12, received=reply.content)

    def probe(self, *, timeout_s: float) -> list[Finding]:
        """Look whether somebody answers there; of the key only an envelope would tell."""
        limit = time.monotonic() + timeout_s
        reply = self._envelopes.wire.call("GET", self._access.url, limit=limit, headers={})
        return wire.findings(reply, key_told=False)

    def reread(self, route: str, sent: bytes, received: bytes) -> tuple[Inquiry, Answer] | None:
        """Return what was asked and answered in an earlier exchange, SOAP or MIME."""
        if route != self.name:
            return None
        question = eligibility_270.read(sent.decode("utf-8", "replace"))
        try:
            return question, eligibility_271.read(envelopes.fields(received).get("Payload", ""))
        except NotA271:
            return None

    def _read(self, reply: Reply) -> Exchange:
        x12 = envelopes.payload(reply)
        if isinstance(x12, Failure):
            return Exchange(self.name, failure=x12)
        try:
            return Exchange(self.name, answer=eligibility_271.read(x12))
        except NotA271 as not_271:
            return Exchange(self.name, failure=wire.no_271(not_271))
