"""Requests for services review (X12 278) in CAQH CORE envelopes: one request, one response.

CAQH CORE 278 rule: real time, the response within 20 seconds.
"""

import time
from dataclasses import replace

from bots.connectors import envelopes, wire
from bots.connectors.access import Access
from bots.connectors.envelopes import Envelopes
from bots.domain.review import Review
from bots.ports import Failure, Reviewed
from bots.x12 import acknowledgement, review_278
from bots.x12.envelope import Sender
from bots.x12.syntax import Unreadable
from fhir_profiles import systems

PAYLOAD_TYPE = "X12_278_Request_005010X217E1_2"


class Reviews:
    """Sends requests by one configured access, the clearinghouse that takes CORE envelopes."""

    payer_system = systems.CORE_PAYER

    def __init__(self, access: Access) -> None:
        """Keep the access and a pool of connections."""
        self._access, self._envelopes = access, Envelopes(access)

    def review(self, asked: Review, *, timeout_s: float) -> Reviewed:
        """Send one 278 and return what came of it. A denial is an answer, no failure."""
        access = self._access
        sender = Sender(access.sender_id, access.receiver_id)
        x12 = review_278.write(asked, sender=sender, control=access.control(), moment=access.now())
        reply = self._envelopes.send(PAYLOAD_TYPE, x12, time.monotonic() + timeout_s)
        if isinstance(reply, Failure):
            return Reviewed(failure=reply)
        found = envelopes.payload(reply)
        if isinstance(found, Failure):
            return Reviewed(reply.content, failure=found)
        try:
            return Reviewed(reply.content, answer=review_278.read(found))
        except Unreadable:
            return Reviewed(reply.content, failure=_acknowledged(found))


def _acknowledged(x12: str) -> Failure | None:
    """Return what a 999, 997 or TA1 in the place of a 278 means, None where there is none.

    A request that was taken is not sent again by itself.
    """
    told = acknowledgement.within(x12)
    return replace(wire.acknowledged(told), again=False, after_s=None) if told else None
