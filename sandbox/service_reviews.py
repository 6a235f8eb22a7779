"""A clearinghouse that takes requests for review as JSON, in the shape of Availity.

A request is taken with a number; the first poll finds it at work. It is decided by the code of each
service, as by the PAS payer (fixtures/pas/scenarios.json).
"""

import itertools
import time
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from flask import Blueprint, Response, request

from sandbox import authorizations, faults
from sandbox.received import told
from sandbox.reply import reply
from sandbox.world import World

PATH = "/v2/service-reviews"
VALID_DAYS = 90
_RUNNING, _DOWN, _REFUSED = "0", "7", "19"
_WORDS = {
    "A1": "Certified in Total", "A2": "Certified - Partial", "A3": "Not Certified",
    "A4": "Pended", "A6": "Modified", "CT": "Contact Payer", "NA": "No Action Required",
}  # fmt: skip
_DECIDED = ("A1", "A2", "A3", "A6")
_numbers = itertools.count(1)
Entry = dict[str, Any]


@dataclass(slots=True)
class Kept:
    """A request, when it came, and how often it was asked after."""

    body: Entry
    number: str
    is_down: bool = False
    polls: int = 0
    began: float = field(default_factory=time.monotonic)


class ServiceReviews:
    """The calls of one route."""

    def __init__(self, world: World, route: str) -> None:
        """Answer on the route of that name."""
        self._world, self._route = world, route
        self._kept: dict[str, Kept] = {}

    def blueprint(self) -> Blueprint:
        """Return the calls; the token comes from the route's other shape."""
        calls = Blueprint(f"service-reviews-{self._route}", __name__)
        calls.post(PATH)(self.take)
        calls.get(f"{PATH}/<number>")(self.tell)
        return calls

    def take(self) -> Response:
        """Take a request; what it lacks is refused by field."""
        body: Entry = request.get_json(silent=True) or {}
        self._world.received(told(self._route))
        lacking = [
            name for name, there in (
                ("payer.id", body.get("payer", {}).get("id")),
                ("requestTypeCode", body.get("requestTypeCode")),
                ("subscriber.memberId", body.get("subscriber", {}).get("memberId")),
                ("patient.birthDate", body.get("patient", {}).get("birthDate")),
                ("requestingProvider.npi", body.get("requestingProvider", {}).get("npi")),
                ("procedures", body.get("procedures")),
            ) if not there
        ]  # fmt: skip
        if lacking:
            errors = [{"field": one, "errorMessage": "This field is required."} for one in lacking]
            return reply({"userMessage": "invalid", "statusCode": 400, "errors": errors}, 400)
        fault = self._world.next_fault(self._route)
        is_down = fault is not None and fault.kind == "aaa-42"
        spoilt = faults.misbehave(fault, request.environ, "") if fault and not is_down else None
        if spoilt is not None:
            return spoilt
        number = f"SR{next(_numbers):08}"
        with self._world.lock:
            self._kept[number] = Kept(body, number, is_down=is_down)
        taken = Response("", 202)
        taken.headers["Location"] = f"{request.base_url}/{number}"
        return taken

    def tell(self, number: str) -> Response:
        """Tell how a request stands."""
        with self._world.lock:
            kept = self._kept.get(number)
            if kept is None:
                return reply({"userMessage": "not found", "statusCode": 404}, 404)
            kept.polls += 1
        if kept.polls == 1:
            return reply({"id": number, "statusCode": _RUNNING, "status": "In Progress"}, 202)
        if kept.is_down:
            return reply({"id": number, "statusCode": _DOWN, "status": "Communication Error"})
        return reply({"id": number, "controlNumber": kept.number, **_decided(kept)})


def _decided(kept: Kept) -> Entry:
    asked: list[Entry] = kept.body["procedures"]
    decisions = [authorizations.scenario(str(one.get("code"))) or {} for one in asked]
    wrong = [n for n, one in enumerate(decisions) if "error" in one]
    if wrong:
        named = [{"field": f"procedures[{n}].code", "errorMessage": "Invalid code."} for n in wrong]
        return {"statusCode": _REFUSED, "status": "Request Error", "validationMessages": named}
    lines = [_line(one, told, kept) for one, told in zip(asked, decisions, strict=True)]
    actions = {line["statusCode"] for line in lines}
    whole = actions.pop() if len(actions) == 1 else "A2"
    return {
        **{name: value for name, value in kept.body.items() if name != "procedures"},
        "statusCode": whole,
        "status": _WORDS[whole],
        "updatable": False,
        "deletable": whole == "A4",
        "procedures": lines,
    }


def _line(asked: Entry, decision: Entry, kept: Kept) -> Entry:
    is_later = "then" in decision and time.monotonic() - kept.began > decision["after_s"]
    decision = decision["then"] if is_later else decision
    action = decision.get("code", "A1")
    made = {**asked, "statusCode": action, "status": _WORDS[action]}
    if action in _DECIDED:
        made["certificationNumber"] = f"{kept.number}-{asked['code']}"
    if action in _DECIDED and action != "A3":
        made |= _dates(datetime.now(UTC).date())
    if decision.get("units"):
        made["quantity"] = str(decision["units"])
    if decision.get("reason"):
        made["statusReasons"] = [{"code": decision["reason"]}]
    if decision.get("note"):
        made["notes"] = [{"message": decision["note"]}]
    return made


def _dates(today: date) -> Entry:
    return {
        "certificationIssueDate": today.isoformat(),
        "certificationEffectiveDate": today.isoformat(),
        "certificationExpirationDate": (today + timedelta(days=VALID_DAYS)).isoformat(),
    }
