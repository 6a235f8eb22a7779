"""The control calls under /_control: put answers and faults in, read what was received."""

from collections.abc import Sequence
from typing import Any

from flask import Blueprint, Response, jsonify, request

from sandbox import authorizations, pas_metrics
from sandbox.faults import KINDS
from sandbox.oauth import LIFE_S, Door
from sandbox.payer import Payer
from sandbox.world import Fault, World

FAULTS = {"primary": KINDS, "backup": KINDS, "payer": KINDS, "smtp": ("smtp-451", "none")}
ANSWERS = ("application/edi-x12", "application/json")


class Control:
    """The control calls on one world."""

    def __init__(self, world: World, payers: Sequence[Payer], door: Door) -> None:
        """Work on `world`, its payers and their door."""
        self._world, self._payers, self._door = world, payers, door

    def blueprint(self) -> Blueprint:
        """Return the routes."""
        calls = Blueprint("control", __name__, url_prefix="/_control")
        calls.put("/eligibility/<path:member_id>")(self.put_answer)
        calls.put("/client")(self.put_client)
        calls.put("/decisions/<path:trace>")(self.put_decision)
        calls.get("/decisions")(self.decisions)
        calls.put("/faults")(self.put_fault)
        calls.get("/requests")(self.requests)
        calls.get("/mails")(self.mails)
        calls.delete("")(self.clear)
        return calls

    def put_answer(self, member_id: str) -> Response:
        """Answer the next checks of a member with exactly these bytes."""
        kind = request.mimetype
        if kind not in ANSWERS:
            return _wrong(f"expected Content-Type {' or '.join(ANSWERS)}")
        with self._world.lock:
            self._world.answers[member_id] = (kind, request.get_data())
        return Response(status=204)

    def put_client(self) -> Response:
        """Let only this client call the payer: client_id, jwks, and how long its tokens live."""
        wish: Any = request.get_json(silent=True)
        if not isinstance(wish, dict) or not {"client_id", "jwks"} <= wish.keys():
            return _wrong("expected an object with client_id and jwks")
        self._door.know(wish["client_id"], wish["jwks"], int(wish.get("life_s", LIFE_S)))
        return Response(status=204)

    def put_decision(self, trace: str) -> Response:
        """Decide so on the prior authorization with this Claim identifier, and when."""
        wish: Any = request.get_json(silent=True)
        wrong = authorizations.problem(wish)
        if wrong:
            return _wrong(wrong)
        for payer in self._payers:
            payer.authorizations.put_decision(trace, wish)
        return Response(status=204)

    def decisions(self) -> Response:
        """Return how the payers decided, item by item, and the figures that they publish."""
        every = [one for payer in self._payers for one in payer.authorizations.every()]
        return jsonify(pas_metrics.report(every))

    def put_fault(self) -> Response:
        """Let the next calls on a route misbehave."""
        wish: Any = request.get_json(silent=True)
        if not isinstance(wish, dict) or wish.get("route") not in FAULTS:
            return _wrong(f"expected an object with route, one of {', '.join(FAULTS)}")
        if wish.get("kind") not in FAULTS[wish["route"]]:
            return _wrong(f"expected kind, one of {', '.join(FAULTS[wish['route']])}")
        fault = Fault(wish["kind"], int(wish.get("times", 1)), int(wish.get("latency_ms", 0)))
        with self._world.lock:
            self._world.faults[wish["route"]] = fault
        return Response(status=204)

    def requests(self) -> Response:
        """Return every request received, in order, raw, with headers."""
        with self._world.lock:
            return jsonify(list(self._world.requests))

    def mails(self) -> Response:
        """Return every mail accepted, in order."""
        with self._world.lock:
            return jsonify(list(self._world.mails))

    def clear(self) -> Response:
        """Go back to the start."""
        self._world.clear()
        self._door.clear()
        for payer in self._payers:
            payer.authorizations.clear()
            payer.subscribers.clear()
            payer.members.clear()
        return Response(status=204)


def _wrong(text: str) -> Response:
    return Response(text + "\n", 400, content_type="text/plain; charset=utf-8")
