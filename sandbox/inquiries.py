"""A clearinghouse in the shape that Opkit had: one call, flat benefits, amounts in cents."""

from flask import Blueprint, Response, request

from sandbox import faults, fixtures
from sandbox.received import told
from sandbox.reply import JSON, reply
from sandbox.world import World


def inquiries(world: World, route: str) -> Blueprint:
    """Return the call of one route.

    Of whom it does not know, and of what X12 alone can tell, it has no plan.
    """
    calls = Blueprint(f"inquiries-{route}", __name__)

    @calls.post("/v1/eligibility_inquiries")
    def ask() -> Response:
        body = request.get_json(silent=True) or {}
        world.received(told(route))
        fault = world.next_fault(route)
        spoilt = faults.misbehave(fault, request.environ, "") if fault else None
        if spoilt is not None:
            return spoilt
        subscriber = body.get("subscriber")
        if not isinstance(subscriber, dict):
            return reply({"message": "expected a subscriber"}, 400)
        return _answer(world, str(subscriber.get("member_id", "")))

    return calls


def _answer(world: World, member: str) -> Response:
    kind, body = world.answers.get(member, ("", b""))
    if kind == JSON:
        return Response(body, 200, content_type=JSON)
    known = fixtures.member(member)
    found = fixtures.inquiry(known["answer"]) if known and not kind else None
    return reply(found, 200) if found else reply({"id": "inq-none"}, 200)
