"""A clearinghouse in the raw X12 shape: takes a 270 in JSON, answers a 271 in JSON.

The routes `primary` (at the root) and `backup` (under /backup) answer alike; faults are set per
route. An answer put in by a control call wins over the fixtures.
"""

import time
from datetime import UTC, datetime

from flask import Blueprint, Response, request

from sandbox import faults, fixtures
from sandbox.world import World

PATH = "/2024-04-01/change/medicalnetwork/eligibility/v3/raw-x12"
_ISA_LENGTH = 106
_NM109, _TRN02 = 9, 2


def clearinghouse(world: World) -> Blueprint:
    """Return the clearinghouse's routes."""
    wires = Blueprint("clearinghouse", __name__)

    def check(route: str) -> Response:
        x12 = str((request.get_json(silent=True) or {}).get("x12", ""))
        world.received(
            {
                "route": route,
                "path": request.path,
                "received": datetime.now(UTC).isoformat(),
                "headers": dict(request.headers),
                "body": request.get_data(as_text=True),
                "x12": x12,
            }
        )
        asked = read_270(x12)
        if asked is None:
            return Response('{"message": "expected a 270"}', 400, content_type="application/json")
        fault = world.next_fault(route)
        spoilt = faults.misbehave(fault, request.environ, asked["trace"]) if fault else None
        return spoilt if spoilt is not None else _answer(world, asked)

    wires.add_url_rule(PATH, "primary", lambda: check("primary"), methods=["POST"])
    wires.add_url_rule(f"/backup{PATH}", "backup", lambda: check("backup"), methods=["POST"])
    return wires


def _answer(world: World, asked: dict[str, str]) -> Response:
    put_in = world.answers.get(asked["member"])
    if put_in is not None:
        kind, body = put_in
        if kind == "application/json":
            return Response(body, 200, content_type=kind)
        return faults.x12_answer(body.decode("utf-8"))
    known = fixtures.member(asked["member"])
    if known is None:
        return faults.x12_answer(fixtures.answer("aaa-75-not-found", asked["trace"]))
    time.sleep(known.get("delay_s", 0))
    return faults.x12_answer(fixtures.answer(known["answer"], asked["trace"]))


def read_270(x12: str) -> dict[str, str] | None:
    """Return the subscriber's member id and the trace of a 270, None if it is none."""
    if len(x12) < _ISA_LENGTH or not x12.startswith("ISA"):
        return None
    element, end = x12[3], x12[105]
    found = {"member": "", "trace": ""}
    for segment in x12.split(end):
        parts = segment.strip().split(element)
        if parts[:2] == ["NM1", "IL"] and len(parts) > _NM109:
            found["member"] = parts[9]
        elif parts[:2] == ["TRN", "1"] and len(parts) > _TRN02:
            found["trace"] = parts[2]
    return found if f"{end}ST{element}270{element}" in x12.replace("\n", "") else None
