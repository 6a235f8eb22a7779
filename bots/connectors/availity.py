"""Availity Coverages: a token, one POST, and polls until the payer has answered.

Each POST is a new inquiry at the payer, so that a question is posted once and then only asked
after: a question whose answer did not come is taken up again where it was left. The answer is JSON
without X12; the JSON is what is kept.
"""

import time
from collections import OrderedDict
from dataclasses import replace
from http import HTTPStatus

from bots.connectors import polls, wire
from bots.connectors.access import Access
from bots.connectors.tokens import Bearer, Grant
from bots.connectors.wire import Reply, Wire
from bots.domain.eligibility import Answer, Inquiry
from bots.ports import Exchange, Failure, Finding
from bots.shapes import coverages, fields
from bots.shapes.fields import Shapeless
from fhir_profiles import codec, systems

TOKEN_PATH = "/v1/token"  # noqa: S105 a path
SCOPE = "healthcare-hipaa-transactions"
WAITING_LIMIT = 10_000
RUNNING = ("0", "R1")
_COMPLETE, _INVALID = "4", "3"
DOWN = ("7", "13", "14", "15")


def connect(access: Access) -> "Availity":
    """Return the connector of one configured route."""
    return Availity(access)


class Availity:
    """A route over Availity's API."""

    payer_systems = (systems.AVAILITY_PAYER,)

    def __init__(self, access: Access) -> None:
        """Keep the access, a pool of connections, and the questions that wait."""
        self.name = access.name
        self._access = access
        self._bearer = Bearer(access, Grant(TOKEN_PATH, SCOPE), Wire())
        self._waiting: OrderedDict[str, str] = OrderedDict()

    def check(self, inquiry: Inquiry, *, timeout_s: float) -> Exchange:
        """Ask once and wait. Every way to fail is a Failure in the Exchange, none is raised."""
        asked = inquiry.at(self.payer_systems[0])
        if not asked.payer_id:
            return Exchange(self.name, failure=wire.not_on_route())
        limit = time.monotonic() + timeout_s
        form = coverages.ask(asked)
        found = self._waiting.get(inquiry.trace) or self._post(form, limit)
        is_taken = isinstance(found, str)
        if isinstance(found, str):
            self._remember(inquiry.trace, found)
            found = self._poll(found, limit)
        exchange = self._read(found)
        may_come = exchange.failure is not None and exchange.failure.again
        if is_taken and may_come and not _is_finished(found):
            exchange = replace(exchange, failure=wire.no_answer())  # the payer has the question
        else:
            self._waiting.pop(inquiry.trace, None)
        went_out = is_taken or isinstance(found, Reply) or found.code == "no-answer"
        return replace(exchange, sent=codec.encode(form).decode() if went_out else "")

    def probe(self, *, timeout_s: float) -> list[Finding]:
        """Fetch a token, which asks no payer."""
        return self._bearer.probe(timeout_s=timeout_s)

    def reread(self, route: str, sent: bytes, received: bytes) -> tuple[Inquiry, Answer] | None:
        """Return what was asked and answered in an earlier exchange."""
        if route != self.name:
            return None
        form = wire.payload(sent)
        if form is None:
            raise Shapeless("expected a question as we write it")
        question, body = coverages.asked(form), fields.valid(wire.payload(received), "coverages")
        answer = coverages.read(body) if body is not None else None
        return (question, answer) if answer is not None else None

    def _post(self, form: fields.Json, limit: float) -> str | Reply | Failure:
        """Post the question; return its id, or the reply that is no id."""
        reply = self._call("POST", coverages.PATH, limit, form)
        if isinstance(reply, Failure) or not reply.is_whole:
            return reply
        body = wire.payload(reply.content) or {}
        is_taken = reply.status in (HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.ACCEPTED)
        return fields.text(body, "id") if is_taken and fields.text(body, "id") else reply

    def _poll(self, fhir_id: str, limit: float) -> Reply | Failure:
        """Ask after a question until it is finished or the time is up."""
        return polls.until(
            lambda: self._call("GET", f"{coverages.PATH}/{fhir_id}", limit),
            lambda reply: _status(wire.payload(reply.content) or {}) in RUNNING,
            limit,
        )

    def _call(
        self, method: str, path: str, limit: float, form: fields.Json | None = None
    ) -> Reply | Failure:
        headers = {"Accept": "application/json"}
        return self._bearer.call(method, path, limit, headers=headers, data=form)

    def _remember(self, trace: str, fhir_id: str) -> None:
        self._waiting[trace] = fhir_id
        while len(self._waiting) > WAITING_LIMIT:
            self._waiting.popitem(last=False)

    def _read(self, found: Reply | Failure) -> Exchange:
        if isinstance(found, Failure):
            return Exchange(self.name, failure=found)
        exchange = self._settled(found)
        return replace(exchange, received=found.content)

    def _settled(self, reply: Reply) -> Exchange:
        if not reply.is_whole:
            return Exchange(self.name, failure=wire.no_answer())
        body = fields.valid(wire.payload(reply.content), "coverages")
        if body is None or reply.status >= HTTPStatus.MULTIPLE_CHOICES:
            return Exchange(self.name, failure=wire.refused(reply))
        answer = coverages.read(body)
        if (answer is not None and _status(body) == _COMPLETE) or (answer and answer.rejects):
            return Exchange(self.name, answer=answer)
        return Exchange(self.name, failure=_unfinished(_status(body)))


def _is_finished(found: Reply | Failure) -> bool:
    """Tell whether the clearinghouse said how a question ended, well or not."""
    return isinstance(found, Reply) and bool(_status(wire.payload(found.content) or {}))


def _status(body: fields.Json) -> str:
    return fields.text(body, "statusCode")


def _unfinished(status: str) -> Failure:
    if status in DOWN:
        text = f"The payer could not be reached (status {status})."
        return Failure("route-failed", text, again=True)
    if status in (_COMPLETE, _INVALID):
        return wire.unreadable("The payer's answer holds no plan.")
    text = f"The clearinghouse refused our request (status {status or 'not stated'})."
    return Failure("request-refused", text, again=False)
