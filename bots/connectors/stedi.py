"""Stedi, in each of its three shapes: raw X12, the JSON of 2024-04-01, the JSON of 2026-06-01.

Optum's medical network, whose shape of raw X12 Stedi's is, is another `Vendor` of the same: its
client gets a token, where Stedi's key goes in Authorization. Whatever the shape, the X12 in the
answer goes first and the JSON beside it is held against it. A payer's reject may come with HTTP 200
or 400; what the body holds decides, then the status. The sandbox speaks the same shapes.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from msgspec import structs

from bots.connectors import wire
from bots.connectors.access import Access
from bots.connectors.tokens import Bearer, Grant
from bots.connectors.wire import Reply, Wire
from bots.domain.eligibility import Answer, Inquiry
from bots.ports import Exchange, Failure, Finding
from bots.shapes import change, difference, fields, plans
from bots.shapes.fields import Json, Shapeless
from bots.x12 import eligibility_270, eligibility_271
from bots.x12.eligibility_270 import OutsideGuide
from bots.x12.eligibility_271 import NotA271
from bots.x12.envelope import Sender
from fhir_profiles import codec, systems

RAW = "raw-x12"


@dataclass(frozen=True, slots=True)
class Shape:
    """One way to ask, and how its answers read; raw X12 has no `ask`, for the 270 is all of it."""

    path: str
    schema: str
    read: Callable[[Json], Answer | None]
    ask: Callable[[Inquiry], Json] | None = None
    asked: Callable[[Json], Inquiry] | None = None


SHAPES = {
    RAW: Shape(f"{change.PATH}/raw-x12", "change", change.read),
    "2024-04-01": Shape(change.PATH, "change", change.read, change.ask, change.asked),
    "2026-06-01": Shape(plans.PATH, "plans", plans.read, plans.ask, plans.asked),
}


@dataclass(frozen=True, slots=True)
class Vendor:
    """What tells one vendor of these shapes from another; without a `grant` the key is sent."""

    payer_system: str
    shapes: Mapping[str, Shape]
    receiver_id: str = ""
    grant: Grant | None = None


STEDI = Vendor(systems.STEDI_PAYER, SHAPES, "STEDI")
OPTUM = Vendor(
    systems.OPTUM_PAYER,
    {RAW: Shape("/medicalnetwork/eligibility/v3/raw-x12", "change", change.read)},
    grant=Grant("/apip/auth/v2/token"),
)


def connect(access: Access) -> "Stedi":
    """Return the connector of one configured route."""
    return Stedi(access, STEDI)


def connect_optum(access: Access) -> "Stedi":
    """Return the connector of a route over Optum's medical network."""
    return Stedi(access, OPTUM)


class Stedi:
    """A route over Stedi's API, or over anything that speaks one of its shapes."""

    def __init__(self, access: Access, vendor: Vendor) -> None:
        """Keep the access and a pool of connections. Raises KeyError for an unknown shape."""
        self.name = access.name
        self.payer_systems = (vendor.payer_system,)
        self._access = access
        self._receiver_id = vendor.receiver_id or access.receiver_id
        self._shape = vendor.shapes[access.shape or RAW]
        self._wire = Wire()
        self._bearer = Bearer(access, vendor.grant, self._wire) if vendor.grant else None

    def check(self, inquiry: Inquiry, *, timeout_s: float) -> Exchange:
        """Ask once. Every way to fail is a Failure in the Exchange, none is raised."""
        asked = inquiry.at(self.payer_systems[0])
        if not asked.payer_id:
            return Exchange(self.name, failure=wire.not_on_route())
        try:
            sent, body = self._question(asked)
        except OutsideGuide as error:
            return Exchange(self.name, failure=wire.not_sent(error))
        reply = self._post(codec.encode(body), inquiry.trace, time.monotonic() + timeout_s)
        if isinstance(reply, Failure):
            went_out = sent if reply.code == "no-answer" else ""
            return Exchange(self.name, failure=reply, sent=went_out)
        return replace(self._read(reply), sent=sent, received=reply.content)

    def probe(self, *, timeout_s: float) -> list[Finding]:
        """Send an empty question, which is refused without a payer: how, tells about the key."""
        if self._bearer is not None:
            return self._bearer.probe(timeout_s=timeout_s)
        reply = self._post(b"{}", "", time.monotonic() + timeout_s)
        return wire.findings(reply, key_told=True)

    def reread(self, route: str, sent: bytes, received: bytes) -> tuple[Inquiry, Answer] | None:
        """Return what was asked and answered in an earlier exchange, whatever shape it had."""
        if route != self.name:
            return None
        shape, question = _question_of(sent)
        try:
            answer = _answer(received, shape)
        except NotA271:
            return None
        return (question, answer) if answer is not None else None

    def _post(self, body: bytes, trace: str, limit: float) -> Reply | Failure:
        headers = {"Content-Type": "application/json"}
        headers |= {"X-Request-Id": trace} if trace else {}
        path = self._shape.path
        if self._bearer is not None:
            return self._bearer.call("POST", path, limit, headers=headers, data=body)
        headers["Authorization"] = self._access.key
        url = self._access.url + path
        return self._wire.call("POST", url, limit=limit, headers=headers, data=body)

    def _question(self, asked: Inquiry) -> tuple[str, Json]:
        """Return what is kept of the question, and the body that carries it.

        The guide holds in every shape, so the 270 is always written. Raises OutsideGuide.
        """
        x12 = eligibility_270.write(
            asked,
            sender=Sender(self._access.sender_id, self._receiver_id),
            control=self._access.control(),
            moment=self._access.now(),
        )
        if self._shape.ask is None:
            return x12, {"x12": x12}
        body = self._shape.ask(asked)
        return codec.encode(body).decode(), body

    def _read(self, reply: Reply) -> Exchange:
        if not reply.is_whole:
            return Exchange(self.name, failure=wire.no_answer())
        try:
            answer = _answer(reply.content, self._shape)
        except NotA271 as error:
            return Exchange(self.name, failure=wire.no_271(error))
        if answer is None:
            return Exchange(self.name, failure=wire.refused(reply))
        return Exchange(self.name, answer=answer)


def _question_of(sent: bytes) -> tuple[Shape, Inquiry]:
    """Return the shape of a question that went out earlier, and the question. Raises Unreadable."""
    body = wire.payload(sent)
    if body is None:
        return SHAPES[RAW], eligibility_270.read(sent.decode("utf-8", "replace"))
    for shape in SHAPES.values():
        try:
            if shape.asked is not None:
                return shape, shape.asked(body)
        except Shapeless:
            continue
    raise Shapeless("expected a question in one of the shapes we write")


def _answer(content: bytes, shape: Shape) -> Answer | None:
    """Return the answer in a body: its X12, else its JSON; None for neither. Raises NotA271.

    In a shape of JSON the vendor numbers its own 270, so that its trace number is not ours.
    """
    body = fields.valid(wire.payload(content), shape.schema)
    if body is None:
        return None
    told = shape.read(body)
    if not body.get("x12"):
        return told
    try:
        answer = eligibility_271.read(body["x12"])
    except NotA271:
        if told is None or not told.benefits:
            raise
        return structs.replace(told, flags=(*told.flags, "unreadable:x12"))
    if told is not None and told.benefits:
        answer = structs.replace(answer, flags=(*answer.flags, *difference.between(told, answer)))
    return answer if shape.ask is None else structs.replace(answer, trace="")
