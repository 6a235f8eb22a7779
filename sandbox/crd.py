"""A payer's CDS Hooks service of Da Vinci CRD: order-sign in, a coverage-information out.

It comes as a system action, never as a card, and only where it says something new. What it says
follows from the code of the order (fixtures/pas/scenarios.json). Source: Da Vinci CRD 2.2.1.
"""

import copy
import hashlib
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, jsonify, request

from sandbox import authorizations, faults, members
from sandbox import pas_json as fhir
from sandbox.oauth import Door
from sandbox.pas_json import Json
from sandbox.received import told
from sandbox.world import World

ROUTE = "payer"
CRD = "http://hl7.org/fhir/us/davinci-crd"
EXT = f"{CRD}/StructureDefinition/ext-coverage-information"
_REASONS = f"{CRD}/CodeSystem/temp"
_HOOK = "order-sign"
_VERSION, _OPTIONS = "davinci-crd.version", "davinci-crd.configuration-options"
_TO_ASK = frozenset({"A1", "A2", "A3", "A4", "A6", "CT"})


def services(world: World, door: Door) -> Blueprint:
    """Return the routes."""
    doors = Blueprint("crd", __name__, url_prefix="/cds-services")

    def sign() -> Response:
        if not door.is_signed(request.base_url):
            return _json(fhir.outcome("expected a signed call", kind="login"), 401)
        world.received(told(ROUTE))
        fault = world.next_fault(ROUTE)
        spoilt = faults.misbehave(fault, request.environ, "") if fault else None
        if spoilt is not None:
            return spoilt
        return _json(*answer(request.get_json(silent=True, force=True)))

    doors.get("")(_discovery)
    doors.post(f"/{_HOOK}-crd")(sign)
    return doors


def _discovery() -> Response:
    coverage = {"code": "unsolicited-determ", "type": "boolean", "name": "Unsolicited",
                "description": "Tell what was not asked for", "default": True}  # fmt: skip
    return jsonify({"services": [{
        "hook": _HOOK, "id": f"{_HOOK}-crd", "title": "Coverage requirements",
        "description": "Tells whether an order is covered, and needs an authorization.",
        "prefetch": {
            "patient": "Patient/{{context.patientId}}",
            "coverage": "Coverage?patient={{context.patientId}}&status=active",
        },
        "extension": {_VERSION: ["2.2", "2.1"], _OPTIONS: [coverage]},
    }]})  # fmt: skip


def answer(body: Any) -> tuple[Json, int]:
    """Return the answer to a call and its status."""
    if not isinstance(body, dict) or body.get("hook") != _HOOK or not body.get("hookInstance"):
        return fhir.outcome("expected a call of order-sign", "hook"), 400
    prefetch = body.get("prefetch") or {}
    if not {"patient", "coverage"} <= prefetch.keys():
        return fhir.outcome("expected patient and coverage", "prefetch", "required"), 412
    coverages = [e["resource"] for e in prefetch["coverage"].get("entry", [])]
    if len(coverages) != 1:
        return fhir.outcome("expected exactly one Coverage", "prefetch.coverage"), 400
    orders = [e["resource"] for e in body["context"].get("draftOrders", {}).get("entry", [])]
    if not orders:
        return fhir.outcome("expected an order", "context.draftOrders"), 422
    actions = []
    for order in orders:
        said = _said(order, prefetch["patient"], coverages[0])
        if said not in [e for e in order.get("extension", []) if e.get("url") == EXT]:
            actions.append({
                "type": "update",
                "description": "What the payer says of this order",
                "resource": _with(order, said),
            })  # fmt: skip
    return {"cards": [], "systemActions": actions}, 200


def _with(order: Json, said: Json) -> Json:
    made = copy.deepcopy(order)
    others = [e for e in made.get("extension", []) if e.get("url") != EXT]
    return {**made, "extension": [*others, said]}


def _said(order: Json, patient: Json, coverage: Json) -> Json:
    """Return the coverage-information of one order; the same order has the same one in a day."""
    today = datetime.now(UTC).date().isoformat()
    mark = f"{order.get('resourceType')}/{order.get('id')}|{today}"
    assertion = hashlib.sha256(mark.encode()).hexdigest()[:16]
    parts: list[Json] = [
        {"url": "coverage", "valueReference": {"reference": f"Coverage/{coverage.get('id')}"}}
    ]
    reason = _no_member(patient, coverage)
    if reason:
        concept = fhir.concept(_REASONS, reason)
        parts += [{"url": "covered", "valueCode": "not-covered"},
                  {"url": "reason", "valueCodeableConcept": concept}]  # fmt: skip
    else:
        parts.append({"url": "covered", "valueCode": "covered"})
        parts += _needed(order)
    return {"url": EXT, "extension": [
        *parts, {"url": "date", "valueDate": today},
        {"url": "coverage-assertion-id", "valueString": assertion},
    ]}  # fmt: skip


def _needed(order: Json) -> list[Json]:
    code = fhir.code(order.get("code") or order.get("codeCodeableConcept"))
    decision = authorizations.scenario(code)
    if decision is None or decision.get("code") not in _TO_ASK:
        return [{"url": "pa-needed", "valueCode": "no-auth"}]
    found = [{"url": "pa-needed", "valueCode": "auth-needed"}]
    if "ask" in decision:
        found += [{"url": "doc-needed", "valueCode": "clinical"},
                  {"url": "doc-purpose", "valueCode": "withpa"}]  # fmt: skip
    return found


def _no_member(patient: Json, coverage: Json) -> str:
    if coverage.get("status") != "active":
        return "no-active-coverage"
    names = {str(name.get("family", "")) for name in patient.get("name", [])}
    known = fhir.member_ids(coverage) | {str(coverage.get("subscriberId", ""))}
    found = members.named(known, names, str(patient.get("birthDate", "")))
    return "" if found else "no-member-found"


def _json(body: Json, status: int) -> Response:
    made = jsonify(body)
    made.status_code = status
    return made
