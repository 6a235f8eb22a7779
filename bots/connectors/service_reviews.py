"""Availity Service Reviews: a request for review is posted once, and then only asked after.

There is nothing that makes a second post the same request: one whose reply did not come is left to
a person, as it may have arrived.
"""

import time
from http import HTTPStatus

from bots.connectors import availity, polls, wire
from bots.connectors.access import Access
from bots.connectors.tokens import Bearer, Grant
from bots.connectors.wire import Reply, Wire
from bots.domain.review import Review
from bots.ports import UNCERTAIN, Failure, Reviewed
from bots.shapes import fields, service_reviews
from bots.shapes.fields import Json, Shapeless
from bots.shapes.service_reviews import Inexpressible
from fhir_profiles import codec, systems

_HEADERS = {"Accept": "application/json"}
_TAKEN = (HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.ACCEPTED)
_LATER = Failure(
    "no-answer", "The payer has the request and has not answered yet.", again=True,
    after_s=wire.NO_RESEND_S,
)  # fmt: skip
_DOWN = Failure(
    "route-failed", "The clearinghouse could not reach the payer: send it again.", again=False
)
_NAMELESS = Failure(
    "no-answer",
    "The clearinghouse took the request and did not say under which number: look at its portal.",
    again=False,
)


class ServiceReviews:
    """Requests for review by one configured access."""

    payer_system = systems.AVAILITY_PAYER

    def __init__(self, access: Access) -> None:
        """Keep the access and a pool of connections."""
        self._bearer = Bearer(access, Grant(availity.TOKEN_PATH, availity.SCOPE), Wire())

    def review(self, asked: Review, *, timeout_s: float) -> Reviewed:
        """Post a request; ask after one that was `taken` until it is decided.

        One that was just taken has not been answered: whoever calls keeps the number first.
        """
        limit = time.monotonic() + timeout_s
        if asked.taken:
            path = f"{service_reviews.PATH}/{asked.taken}"
            reply = polls.until(
                lambda: self._bearer.call("GET", path, limit, headers=_HEADERS), _is_running, limit
            )
            return _settled(reply, asked)
        try:
            body = service_reviews.ask(asked)
        except Inexpressible as error:
            return Reviewed(failure=Failure("not-sent", str(error), again=False))
        return self._post(body, limit)

    def _post(self, body: Json, limit: float) -> Reviewed:
        reply = self._bearer.call(
            "POST", service_reviews.PATH, limit,
            headers={**_HEADERS, "Content-Type": "application/json"}, data=codec.encode(body),
        )  # fmt: skip
        if isinstance(reply, Failure):
            is_unsure = reply.code == "no-answer" or reply == wire.CUT_OFF
            return Reviewed(failure=UNCERTAIN if is_unsure else reply)
        if not reply.is_whole or reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return Reviewed(reply.content, failure=UNCERTAIN)
        told = wire.payload(reply.content) or {}
        if reply.status not in _TAKEN:
            return Reviewed(reply.content, failure=_refused(reply, told))
        number = service_reviews.number(told, reply.headers.get("Location", ""))
        if not number:
            return Reviewed(reply.content, failure=_NAMELESS)
        return Reviewed(reply.content, failure=_LATER, taken=number)


def _is_running(reply: Reply) -> bool:
    status = service_reviews.status(wire.payload(reply.content) or {})
    return reply.status == HTTPStatus.ACCEPTED or status in availity.RUNNING


def _settled(reply: Reply | Failure, asked: Review) -> Reviewed:
    """Return what a request that was taken has come to; `taken` stays where asking may help."""
    if isinstance(reply, Failure):
        is_late = reply.code == "no-answer"
        return Reviewed(failure=_LATER if is_late else reply, taken=asked.taken)
    if not reply.is_whole:
        return Reviewed(failure=_LATER, taken=asked.taken)
    return _read(reply, asked)


def _read(reply: Reply, asked: Review) -> Reviewed:
    """Return what a whole reply says; one that says nothing of the request leaves it as it is."""
    told = wire.payload(reply.content)
    if reply.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return Reviewed(reply.content, failure=wire.no_key(), taken=asked.taken)
    if told is None or reply.status >= HTTPStatus.MULTIPLE_CHOICES:
        return Reviewed(reply.content, failure=_LATER, taken=asked.taken)
    body = fields.valid(told, "service_reviews")
    try:
        if body is not None:
            answer = service_reviews.read(body, asked)
            return Reviewed(reply.content, answer=answer, taken=asked.taken)
    except Shapeless:
        if service_reviews.status(told) in availity.DOWN:
            return Reviewed(reply.content, failure=_DOWN)
        if service_reviews.fields_named(told):
            return Reviewed(reply.content, failure=_refused(reply, told))
    return Reviewed(reply.content, taken=asked.taken)


def _refused(reply: Reply, body: Json) -> Failure:
    named = service_reviews.fields_named(body)
    if not named:
        return wire.refused(reply)
    text = f"The clearinghouse refused our request: look at {', '.join(named)}."
    return Failure("request-refused", text, again=False)
