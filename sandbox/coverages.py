"""A clearinghouse in Availity's shape: a token, a question, and polls until it is answered."""

from uuid import uuid4

from flask import Blueprint, Response, request

from sandbox import faults, fixtures
from sandbox.received import told
from sandbox.reply import JSON, reply
from sandbox.world import Question, World

TOKEN_LIFE_S = 300
RUNNING, INVALID, DOWN, REFUSED = "0", "3", "7", "19"


class Coverages:
    """The calls of one route; the first poll of a question always finds it at work."""

    def __init__(self, world: World, route: str) -> None:
        """Answer from `world` on the route of that name."""
        self._world = world
        self._route = route

    def blueprint(self) -> Blueprint:
        """Return the calls."""
        calls = Blueprint(f"coverages-{self._route}", __name__)
        calls.post("/v1/token")(self.token)
        calls.post("/v1/coverages")(self.ask)
        calls.get("/v1/coverages/<number>")(self.poll)
        return calls

    def token(self) -> Response:
        """Give a token to whoever asks."""
        body = {"access_token": "sandbox", "token_type": "Bearer", "expires_in": TOKEN_LIFE_S}
        return reply(body, 200)

    def ask(self) -> Response:
        """Take a question."""
        form = request.form.to_dict()
        self._world.received(told(self._route))
        fault = self._world.next_fault(self._route)
        is_down = fault is not None and fault.kind == "aaa-42"
        if fault is not None and not is_down:
            spoilt = faults.misbehave(fault, request.environ, "")
            if spoilt is not None:
                return spoilt
        number = uuid4().hex
        with self._world.lock:
            self._world.questions[number] = Question(form.get("memberId", ""), is_down=is_down)
        return _state(number, RUNNING, 202)

    def poll(self, number: str) -> Response:
        """Tell how a question stands."""
        with self._world.lock:
            question = self._world.questions.get(number)
            if question is None:
                return reply({"userMessage": "not found", "statusCode": 404}, 404)
            question.polls += 1
        if question.polls == 1:
            return _state(number, RUNNING, 202)
        if question.is_down:
            return _state(number, DOWN, 200)
        return self._finished(number, question.member)

    def _finished(self, number: str, member: str) -> Response:
        """Answer; what is known in X12 only cannot be told in this shape."""
        kind, body = self._world.answers.get(member, ("", b""))
        if kind == JSON:
            return Response(body, 200, content_type=JSON)
        known = fixtures.member(member)
        if known is None and not kind:
            problem = {"field": "memberId", "code": "75", "errorMessage": "Member not found"}
            return reply({"id": number, "statusCode": REFUSED, "validationMessages": [problem]})
        finished = fixtures.coverage(known["answer"]) if known and not kind else None
        return reply(finished | {"id": number}) if finished else _state(number, INVALID, 200)


def _state(number: str, status: str, http: int) -> Response:
    return reply({"id": number, "statusCode": status}, http)
