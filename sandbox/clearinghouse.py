"""A clearinghouse in the shapes of Stedi, Optum, Availity, CAQH CORE and Opkit, from fixtures.

The routes `primary` (at the root) and `backup` (under /backup) answer alike; faults are set per
route. An answer put in by a control call wins over the fixtures.
"""

import time
from functools import partial
from typing import Any

from flask import Blueprint, Response, request

from sandbox import faults, fixtures
from sandbox.core import core
from sandbox.coverages import Coverages
from sandbox.inquiries import inquiries
from sandbox.received import told
from sandbox.service_reviews import ServiceReviews
from sandbox.world import World

JSON_2024 = "/2024-04-01/change/medicalnetwork/eligibility/v3"
PATH = f"{JSON_2024}/raw-x12"
JSON_2026 = "/2026-06-01/eligibility-check"
OPTUM, OPTUM_TOKEN = "/medicalnetwork/eligibility/v3/raw-x12", "/apip/auth/v2/token"
ROUTES = {"primary": "", "backup": "/backup"}
_ISA_LENGTH = 106
_NM109, _TRN02 = 9, 2
_JSON = "application/json"


def clearinghouse(world: World) -> Blueprint:
    """Return the clearinghouse's routes."""
    wires = Blueprint("clearinghouse", __name__)

    def check(route: str) -> Response:
        body = request.get_json(silent=True) or {}
        x12 = str(body.get("x12", ""))
        asked = read_270(x12) if request.path.endswith(OPTUM) else _read_json(body)
        return settle(route, x12, asked)

    def settle(route: str, x12: str, asked: dict[str, str] | None) -> Response:
        world.received(told(route, x12))
        if asked is None:
            return Response('{"message": "expected a question"}', 400, content_type=_JSON)
        fault = world.next_fault(route)
        spoilt = faults.misbehave(fault, request.environ, asked["trace"]) if fault else None
        return spoilt if spoilt is not None else _answer(world, asked)

    for route, prefix in ROUTES.items():
        for path in (PATH, JSON_2024, JSON_2026, OPTUM):
            rule, name = f"{prefix}{path}", f"{route}{path.replace('/', '-')}"
            wires.add_url_rule(rule, name, check, methods=["POST"], defaults={"route": route})
        coverages = Coverages(world, route)
        wires.add_url_rule(
            f"{prefix}{OPTUM_TOKEN}", f"{route}-token", coverages.token, methods=["POST"]
        )
        answer = partial(lambda way, x12: settle(way, x12, read_270(x12)), route)
        wires.register_blueprint(core(route, answer), url_prefix=prefix)
        wires.register_blueprint(coverages.blueprint(), url_prefix=prefix)
        wires.register_blueprint(inquiries(world, route), url_prefix=prefix)
        wires.register_blueprint(ServiceReviews(world, route).blueprint(), url_prefix=prefix)
    return wires


def _read_json(body: dict[str, Any]) -> dict[str, str] | None:
    """Return the subscriber's member id and the trace of a question in JSON."""
    trace = body.get("submitterTransactionIdentifier") or body.get("externalPatientId") or ""
    subscriber = body.get("subscriber")
    if not isinstance(subscriber, dict):
        return None
    return {"member": str(subscriber.get("memberId", "")), "trace": str(trace)}


def _answer(world: World, asked: dict[str, str]) -> Response:
    put_in = world.answers.get(asked["member"])
    if put_in is not None:
        kind, body = put_in
        if kind == _JSON:
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
