"""A payer that speaks Da Vinci PAS: Claim/$submit, Claim/$inquire, Subscription and metadata.

2.2.1 under /fhir, 2.0.1 under /fhir-2.0.1. It answers by scenario, or as a control call says.
"""

import threading
from typing import Any
from uuid import uuid4

from flask import Blueprint, Response, jsonify, request

from sandbox import authorizations, faults, pas_checks, pas_subscriptions
from sandbox import pas_json as fhir
from sandbox.authorizations import Authorizations
from sandbox.members import Members
from sandbox.oauth import Door
from sandbox.pas_answers import Authorization
from sandbox.pas_json import Json
from sandbox.pas_subscriptions import Subscribers
from sandbox.received import told
from sandbox.world import World

WELL_KNOWN = "/.well-known/davinci-configuration"
ROUTE, PHONE = "payer", "555-0188"
EDITIONS = {"/fhir": "2.2.1", "/fhir-2.0.1": "2.0.1"}
_PACKAGE = f"{fhir.GUIDE}/ImplementationGuide/hl7.fhir.us.davinci-pas"
_JSON_TYPES = ("application/fhir+json", "application/json")
_TOPIC_EXTENSION = (
    "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/"
    "capabilitystatement-subscriptiontopic-canonical"
)


class Payer:
    """One payer, in one edition of the guide, on one world."""

    def __init__(self, world: World, prefix: str, door: Door) -> None:
        """Answer below `prefix` whom `door` lets in."""
        self._door = door
        self._world, self._prefix, self._edition = world, prefix, EDITIONS[prefix]
        self.authorizations, self.subscribers = Authorizations(), Subscribers()
        self.members = Members()

    def blueprint(self) -> Blueprint:
        """Return the routes."""
        doors = Blueprint(self._prefix.replace(".", "-"), __name__, url_prefix=self._prefix)
        doors.before_request(self._refused)
        doors.get("/metadata")(self.metadata)
        doors.get(WELL_KNOWN)(self.well_known)
        doors.post("/Claim/$submit")(self.submit)
        doors.post("/Claim/$inquire")(self.inquire)
        doors.post("/Patient/$member-match")(self.match)
        doors.post("/$submit-attachment")(self.attach)
        doors.post("/Subscription")(self.subscribe)
        doors.route("/Subscription/<fhir_id>", methods=["GET", "PUT", "DELETE"])(self.subscription)
        doors.get("/Subscription/<fhir_id>/$status")(self.status)
        return doors

    def metadata(self) -> Response:
        """Return the CapabilityStatement of the guide's server."""
        operations = [
            {"name": "submit", "definition": f"{fhir.GUIDE}/OperationDefinition/Claim-submit"},
            {"name": "inquire", "definition": f"{fhir.GUIDE}/OperationDefinition/Claim-inquiry"},
        ]
        topic = {"url": _TOPIC_EXTENSION, "valueCanonical": fhir.TOPIC}
        subscription = {
            "type": "Subscription", "extension": [topic],
            "interaction": [{"code": code} for code in ("create", "update", "delete", "read")],
        }  # fmt: skip
        rest = {
            "mode": "server",
            "resource": [{"type": "Claim", "operation": operations}, subscription],
        }
        return _fhir({
            "resourceType": "CapabilityStatement", "status": "active", "date": "2026-11-26",
            "kind": "instance", "fhirVersion": "4.0.1", "format": ["json"], "rest": [rest],
            "implementationGuide": [f"{_PACKAGE}|{self._edition}"],
        })  # fmt: skip

    def well_known(self) -> Response:
        """Publish where this payer takes what (HRex 1.2.0, endpoint discovery)."""
        line = self._edition.rpartition(".")[0]
        return jsonify({
            "identifier": {"system": "urn:payer:ids", "value": "sandbox"},
            "endpoints": {f"davinci_pas_submission_endpoint#{line}": self._base()},
        })  # fmt: skip

    def submit(self) -> Response:
        """Answer a request, an update or a cancellation."""
        body = self._taken()
        if isinstance(body, Response):
            return body
        wrong = pas_checks.submitted(body, self._edition)
        if wrong is not None:
            return _refused(*wrong)
        answer, after_s, one = self.authorizations.submit(body, self._edition)
        if after_s:
            timer = threading.Timer(after_s, self._decide, (one, self._base()))
            timer.daemon = True
            timer.start()
        return _fhir(answer)

    def inquire(self) -> Response:
        """Answer which authorizations there are, by example."""
        body = self._taken()
        if isinstance(body, Response):
            return body
        wrong = pas_checks.inquired(body)
        if wrong is not None:
            return _refused(*wrong)
        every = self.authorizations.every()
        found, withheld = authorizations.matching(every, body)
        answers = [_without_asks(one.answer) for one in found]
        if self._edition == "2.0.1":
            return _fhir(answers[0] if answers else _empty())
        parameters = [{"name": "return", "resource": one} for one in answers]
        if withheld:
            text = f"Some authorizations are not shown. Call {PHONE} about them."
            warning = fhir.outcome(text, kind="suppressed", severity="warning")
            parameters.append({"name": "outcome", "resource": warning})
        answer = {"resourceType": "Parameters"}
        return _fhir(answer | ({"parameter": parameters} if parameters else {}))

    def match(self) -> Response:
        """Answer who a person is here."""
        body = self._taken()
        return body if isinstance(body, Response) else _fhir(*self.members.match(body))

    def attach(self) -> Response:
        """Take a document that was asked for; once all have come, decide and tell."""
        body = self._taken()
        if isinstance(body, Response):
            return body
        wrong = pas_checks.attached(body)
        if wrong is not None:
            return _refused(*wrong, status=422)
        told = {one["name"]: one for one in body["parameter"]}
        control, member = (
            str(told[name]["valueIdentifier"]["value"]) for name in ("TrackingId", "MemberId")
        )
        one = self.authorizations.attach(control, member)
        if one is None:
            return _refused("Parameters.parameter[TrackingId]", "is not asked for", status=422)
        if one.later:
            self._decide(one, self._base())
        return _fhir(fhir.outcome("taken", kind="informational", severity="information"))

    def subscribe(self) -> Response:
        """Take a new Subscription."""
        return self._stored(str(uuid4()), 201)

    def subscription(self, fhir_id: str) -> Response:
        """Read, change or delete a Subscription; only its own system may."""
        there = self.subscribers.get(fhir_id)
        if there is None:
            return _fhir(fhir.outcome("not here", kind="not-found"), 404)
        if there.owner != self._door.caller():
            return _fhir(fhir.outcome("of another system", kind="forbidden"), 403)
        if request.method == "DELETE":
            self.subscribers.remove(fhir_id)
            return Response(status=204)
        return self._stored(fhir_id, 200) if request.method == "PUT" else _fhir(there.resource)

    def status(self, fhir_id: str) -> Response:
        """Answer how a Subscription stands."""
        there = self.subscribers.get(fhir_id)
        if there is None:
            return _fhir(fhir.outcome("not here", kind="not-found"), 404)
        return _fhir(self.subscribers.status(there, self._base()))

    def _refused(self) -> Response | None:
        is_open = request.path.endswith(("/metadata", WELL_KNOWN))
        return None if is_open else self._door.refused()

    def _stored(self, fhir_id: str, status: int) -> Response:
        body: Any = request.get_json(silent=True, force=True)
        wrong = pas_subscriptions.problem(body)
        if wrong is not None:
            return _refused(*wrong, status=422)
        return _fhir(self.subscribers.put(body, fhir_id, self._door.caller(), self._base()), status)

    def _taken(self) -> Any:
        """Return the body, or the answer to one that is not even read."""
        self._world.received(told(ROUTE))
        fault = self._world.next_fault(ROUTE)
        spoilt = faults.misbehave(fault, request.environ, "") if fault else None
        if spoilt is not None:
            return spoilt
        if request.mimetype not in _JSON_TYPES:
            return _fhir(fhir.outcome("expected application/fhir+json", kind="not-supported"), 415)
        body = request.get_json(silent=True, force=True)
        return _refused("Bundle", "is no JSON") if body is None else body

    def _decide(self, one: Authorization, base: str) -> None:
        answer = self.authorizations.settle(one, self._edition)
        if answer is not None:
            self.subscribers.tell(_senders(one), answer, base)

    def _base(self) -> str:
        return f"{request.host_url.rstrip('/')}{self._prefix}"


def _senders(one: Authorization) -> set[str]:
    """Return the system that sent a request: its interchange id, else the NPIs in it."""
    sender = fhir.parts(one.claim, "TransmissionIdentifiers").get("interchangeSenderID")
    known = fhir.by_url(one.request)
    provider = known.get(fhir.reference(one.claim["provider"]), {})
    return {sender} if sender else fhir.identifiers(provider, fhir.NPI)


def _without_asks(answer: Json) -> Json:
    """Return an answer as an inquiry gets it: what the payer asks for stands in the first only."""
    kept = [
        e for e in answer["entry"] if e["resource"]["resourceType"] != "CommunicationRequest"
    ]  # fmt: skip
    first = {k: v for k, v in kept[0]["resource"].items() if k != "communicationRequest"}
    return {**answer, "entry": [{**kept[0], "resource": first}, *kept[1:]]}


def _empty() -> Json:
    return {"resourceType": "Bundle", "type": "collection", "entry": []}


def _refused(element: str, text: str, status: int = 400) -> Response:
    return _fhir(fhir.outcome(f"{element} {text}", element), status)


def _fhir(body: Json, status: int = 200) -> Response:
    answer = jsonify(body)
    answer.status_code, answer.mimetype = status, "application/fhir+json"
    return answer
