"""One contract for every connector, over exchanges recorded in the vendor's published shape.

To add a clearinghouse: its line in connectors.CLEARINGHOUSES, its way here, and a folder of
exchanges. Each file holds what came back (`@path` names a fixture) and what must come of it.
"""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
import requests
import responses
from msgspec.structs import replace

from bots.connectors import CLEARINGHOUSES, availity, polls, stedi
from bots.connectors.access import Access
from bots.ports import Clearinghouse, Exchange
from bots.shapes import coverages, opkit
from fhir_profiles import codec, systems
from tests.fakes import NOW
from tests.unit.bots.test_270 import DEPENDENT, INQUIRY

FIXTURES = Path(__file__).parents[2] / "fixtures"
URL = "https://clearinghouse.example"
RAW = stedi.SHAPES[stedi.RAW].path
FILES = sorted((FIXTURES / "clearinghouses").glob("*/*.json"))
TOKEN = {"access_token": "token-1", "expires_in": 300, "token_type": "Bearer"}


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Polls come at once."""
    monkeypatch.setattr(polls, "PAUSES_S", (0.0, 0.0, 0.0))
    monkeypatch.setattr(polls, "LAST_S", 1000.0)


def connect(name: str = "stedi", shape: str = "") -> Clearinghouse:
    numbers = iter(range(1, 1000))
    return CLEARINGHOUSES[name](
        Access(
            name,
            URL,
            "test-key",
            "INFORCE",
            lambda: NOW,
            numbers.__next__,
            shape,
            "client-1",
            "HUB",
        )
    )


def _fixture(found: re.Match[str]) -> str:
    return (FIXTURES / found[1]).read_bytes().decode()


def body_of(recorded: dict[str, Any]) -> bytes:
    if "raw" in recorded:
        return re.sub("@(x12/.+?)@", _fixture, str(recorded["raw"])).encode()
    body = dict(recorded["body"])
    if str(body.get("x12", "")).startswith("@"):
        body["x12"] = (FIXTURES / body["x12"][1:]).read_bytes().decode()
    return codec.encode(body)


def written(body: Any) -> bytes:
    """Return a recorded body as bytes; `@path` is the content of a fixture."""
    if isinstance(body, str):
        return (FIXTURES / body[1:]).read_bytes()
    return codec.encode(body)


def play_stedi(recorded: dict[str, Any], wire: responses.RequestsMock, shape: str) -> None:
    wire.post(URL + stedi.SHAPES[shape or stedi.RAW].path, body=body_of(recorded),
              status=recorded["status"], headers=recorded["headers"])  # fmt: skip


def play_availity(recorded: dict[str, Any], wire: responses.RequestsMock, _: str) -> None:
    wire.post(URL + availity.TOKEN_PATH, json=TOKEN)
    posted = recorded["posted"]
    wire.post(URL + coverages.PATH, json=posted["body"], status=posted["status"])
    for poll in recorded["polls"]:
        place = f"{URL}{coverages.PATH}/{posted['body']['id']}"
        wire.get(place, body=written(poll["body"]), status=poll["status"])


def play_optum(recorded: dict[str, Any], wire: responses.RequestsMock, _: str) -> None:
    grant = stedi.OPTUM.grant
    assert grant is not None
    wire.post(URL + grant.path, json=TOKEN)
    wire.post(URL + stedi.OPTUM.shapes[stedi.RAW].path, body=body_of(recorded),
              status=recorded["status"], headers=recorded["headers"])  # fmt: skip


def play_core(recorded: dict[str, Any], wire: responses.RequestsMock, _: str) -> None:
    wire.post(URL, body=body_of(recorded), status=recorded["status"])


def play_opkit(recorded: dict[str, Any], wire: responses.RequestsMock, _: str) -> None:
    wire.post(URL + opkit.PATH, body=body_of(recorded), status=recorded["status"])


WAYS: dict[str, Callable[[dict[str, Any], responses.RequestsMock, str], None]] = {
    "stedi": play_stedi,
    "availity": play_availity,
    "core": play_core,
    "opkit": play_opkit,
    "optum": play_optum,
}


def check(recorded: dict[str, Any], folder: str = "stedi") -> Exchange:
    name, _, shape = folder.partition("-")
    with responses.RequestsMock() as wire:
        WAYS[name](recorded, wire, shape)
        return connect(name, shape).check(INQUIRY, timeout_s=5)


@pytest.mark.parametrize("file", FILES, ids=lambda f: f"{f.parent.name}-{f.stem}")
def test_recorded_exchanges(file: Path) -> None:
    """Answers, rejects with any HTTP status, and each class of failure (x12 5.6)."""
    recorded = codec.decode(file.read_bytes())
    expected = recorded["expected"]
    found = check(recorded, file.parent.name)

    assert found.sent
    if "failure" in expected:
        assert found.failure is not None
        assert (expected["failure"], expected["again"], expected.get("after_s")) == (
            found.failure.code, found.failure.again, found.failure.after_s)  # fmt: skip
    else:
        assert found.answer is not None
        assert expected["benefits"] == len(found.answer.benefits)
        assert expected["rejects"] == [r.reason for r in found.answer.rejects]
        for key, value in (("followUps", "follow_up"), ("loops", "loop")):
            if key in expected:
                assert expected[key] == [getattr(r, value) for r in found.answer.rejects]
        if "flags" in expected:
            assert expected["flags"] == list(found.answer.flags)


@pytest.mark.parametrize(
    ("error", "code", "after_s"),
    [
        (requests.ConnectionError(), "not-delivered", None),
        (requests.ConnectTimeout(), "not-delivered", None),
        (requests.ReadTimeout(), "no-answer", 90),
    ],
)
def test_what_the_network_does(error: Exception, code: str, after_s: int | None) -> None:
    """Not delivered comes again soon; a 270 without answer not within 90 s (CAQH CORE 153)."""
    with responses.RequestsMock() as wire:
        wire.post(URL + RAW, body=error)
        found = connect().check(INQUIRY, timeout_s=5)

    assert found.failure is not None
    assert (code, True, after_s) == (
        found.failure.code, found.failure.again, found.failure.after_s)  # fmt: skip
    assert (code == "no-answer") == bool(found.sent)


def test_what_goes_out() -> None:
    """The key in Authorization, one 270 in JSON, the trace as request id, numbers that differ."""
    with responses.RequestsMock() as wire:
        wire.post(URL + RAW, json={"x12": ""}, status=500)
        route = connect()
        route.check(INQUIRY, timeout_s=5)
        route.check(DEPENDENT, timeout_s=5)
        first, second = (call.request for call in wire.calls)

    assert ("test-key", "TRACE0001") == (
        first.headers["Authorization"], first.headers["X-Request-Id"])  # fmt: skip
    x12 = [codec.decode(call.body)["x12"] for call in (first, second)]  # type: ignore[arg-type]  # bytes
    assert ["*000000001*", "*000000002*"] == [text[89:100] for text in x12]
    assert "NM1*03*1*RIVERA*ROBIN~" in x12[1]


@pytest.mark.parametrize("shape", ["2024-04-01", "2026-06-01"])
def test_a_question_in_json_is_kept_and_read_again(shape: str) -> None:
    """What went out is what is kept, and both sides of the exchange can be read from it later."""
    recorded = FIXTURES / f"clearinghouses/stedi-{shape}/active.json"
    found = check(codec.decode(recorded.read_bytes()), f"stedi-{shape}")
    again = connect().reread("stedi", found.sent.encode(), found.received)

    assert again == (INQUIRY, found.answer)
    assert connect().reread("other", found.sent.encode(), found.received) is None


def test_a_question_that_breaks_the_guide_goes_out_in_no_shape() -> None:
    """The guide holds for the JSON as for the 270."""
    wrong = replace(INQUIRY, service_types=("3000",))
    with responses.RequestsMock():
        found = connect("stedi", "2024-04-01").check(wrong, timeout_s=5)

    assert found.failure is not None
    assert ("not-sent", "") == (found.failure.code, found.sent)


def test_availity_gets_one_question_and_one_token_for_all() -> None:
    """The form of the question; twenty checks at once fetch one token, post twenty questions."""
    recorded = codec.decode((FIXTURES / "clearinghouses/availity/active.json").read_bytes())
    done = written(recorded["polls"][-1]["body"])
    with responses.RequestsMock() as wire:
        wire.post(URL + availity.TOKEN_PATH, json=TOKEN)
        wire.post(URL + coverages.PATH, json={"id": "1", "statusCode": "0"}, status=202)
        wire.get(f"{URL}{coverages.PATH}/1", body=done)
        route = connect("availity")
        with ThreadPoolExecutor(20) as pool:
            asked = [replace(DEPENDENT, trace=f"TRACE{n:04d}") for n in range(20)]
            found = list(pool.map(lambda one: route.check(one, timeout_s=5), asked))
        calls = [(call.request.method, call.request.path_url) for call in wire.calls]
        form = parse_qs(str(next(c.request.body for c in wire.calls
                                 if c.request.path_url == coverages.PATH)))  # fmt: skip

    assert all(one.answer for one in found)
    assert 1 == calls.count(("POST", availity.TOKEN_PATH))
    assert 20 == calls.count(("POST", coverages.PATH))
    assert (["MEM0001"], ["Robin"], ["19"], ["2026-12-01"], ["30"]) == (
        form["memberId"], form["patientFirstName"], form["subscriberRelationship"],
        form["asOfDate"], form["serviceType"])  # fmt: skip


def test_availity_is_never_asked_twice_for_one_question() -> None:
    """A question whose answer did not come is asked after again, not posted again."""
    recorded = codec.decode((FIXTURES / "clearinghouses/availity/active.json").read_bytes())
    with responses.RequestsMock() as wire:
        wire.post(URL + availity.TOKEN_PATH, json=TOKEN)
        wire.post(URL + coverages.PATH, json={"id": "1", "statusCode": "0"}, status=202)
        for _ in range(3):
            wire.get(f"{URL}{coverages.PATH}/1", json={"id": "1", "statusCode": "0"}, status=202)
        done = written(recorded["polls"][-1]["body"])
        wire.get(f"{URL}{coverages.PATH}/1", body=done)
        route = connect("availity")
        first = route.check(INQUIRY, timeout_s=5)
        second = route.check(INQUIRY, timeout_s=5)
        posts = [c for c in wire.calls if c.request.path_url == coverages.PATH]

    assert first.failure is not None
    assert "no-answer" == first.failure.code
    assert second.answer is not None
    assert 1 == len(posts)


def test_availity_renews_a_token_that_is_refused_once() -> None:
    """401 takes a new token and tries again; a second 401 is a matter of credentials."""
    with responses.RequestsMock() as wire:
        wire.post(URL + availity.TOKEN_PATH, json=TOKEN)
        wire.post(URL + coverages.PATH, status=401)
        wire.post(URL + coverages.PATH, json={"id": "1", "statusCode": "0"}, status=202)
        wire.get(f"{URL}{coverages.PATH}/1", json={"id": "1", "statusCode": "7"})
        found = connect("availity").check(INQUIRY, timeout_s=5)
        tokens = [c for c in wire.calls if c.request.path_url == availity.TOKEN_PATH]

    assert found.failure is not None
    assert ("route-failed", 2) == (found.failure.code, len(tokens))


def test_availity_without_a_token_sends_nothing() -> None:
    """A client that is refused, and a token endpoint that is away, are told apart."""
    for reply, code in (({"status": 400}, "credentials"),
                        ({"body": requests.ConnectTimeout()}, "not-delivered")):  # fmt: skip
        with responses.RequestsMock() as wire:
            wire.post(URL + availity.TOKEN_PATH, **reply)
            found = connect("availity").check(INQUIRY, timeout_s=5)
        assert found.failure is not None
        assert code == found.failure.code


@pytest.mark.parametrize("shape", ["soap", "mime"])
def test_a_core_envelope_carries_the_270_and_who_asks(shape: str) -> None:
    """CAQH CORE 270: the fields of the envelope; the 270 is in it as it is kept."""
    with responses.RequestsMock() as wire:
        wire.post(URL, status=503)
        found = connect("core", shape).check(INQUIRY, timeout_s=5)
        request = wire.calls[0].request
    body = request.body.decode() if isinstance(request.body, bytes) else str(request.body)

    kinds = {"soap": "application/soap+xml", "mime": "multipart/form-data"}
    assert request.headers["Content-Type"].startswith(kinds[shape])
    told = ["X12_270_Request_005010X279A1", "RealTime", "2026-11-24T15:30:00Z", "INFORCE", "HUB",
            "2.2.0", "client-1", "test-key", found.sent]  # fmt: skip
    assert [] == [text for text in told if text not in body]
    assert re.search("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", body)


@pytest.mark.parametrize("folder", ["core", "core-mime"])
def test_a_core_exchange_is_read_again(folder: str) -> None:
    """Whatever envelope it came in."""
    recorded = codec.decode((FIXTURES / f"clearinghouses/{folder}/active.json").read_bytes())
    found = check(recorded, folder)
    again = connect("core").reread("core", found.sent.encode(), found.received)

    assert again is not None
    assert (INQUIRY.trace, found.answer) == (again[0].trace, again[1])


def test_opkit_tells_cents_and_names_nobody() -> None:
    """Check 10 of x12 section 6: 6000 is $60.00; the person is the one who was asked about."""
    recorded = codec.decode((FIXTURES / "clearinghouses/opkit/active.json").read_bytes())
    found = check(recorded, "opkit").answer

    assert found is not None
    assert found.subscriber is not None
    rows = {(row.kind, row.service_type, row.amount, row.percent, row.period, row.network)
            for row in found.benefits}  # fmt: skip
    assert {("1", "30", None, None, "", ""), ("B", "UC", Decimal(60), None, "27", "Y"),
            ("C", "30", Decimal(1500), None, "23", "Y"), ("C", "30", Decimal(500), None, "29", "Y"),
            ("A", "UC", None, Decimal("0.2"), "", "Y")} == rows  # fmt: skip
    assert "MEM0001" == found.subscriber.member_id
    assert all(row.flags == () for row in found.benefits)


def test_optum_gets_a_token_and_its_own_ids() -> None:
    """The shape of Stedi's raw X12 at another place: the token goes first, once for two checks."""
    own = replace(INQUIRY, route_payer_ids=((systems.OPTUM_PAYER, "OPTEXH"),))
    with responses.RequestsMock() as wire:
        wire.post(URL + "/apip/auth/v2/token", json=TOKEN)
        wire.post(URL + "/medicalnetwork/eligibility/v3/raw-x12", json={"x12": ""}, status=500)
        route = connect("optum")
        for question in (own, INQUIRY):
            route.check(question, timeout_s=5)
        token, *asked = (call.request for call in wire.calls)

    assert {"grant_type": ["client_credentials"], "client_id": ["client-1"],
            "client_secret": ["test-key"]} == parse_qs(str(token.body))  # fmt: skip
    assert ["Bearer token-1"] * 2 == [one.headers["Authorization"] for one in asked]
    first, second = (codec.decode(one.body)["x12"] for one in asked)  # type: ignore[arg-type]  # bytes
    assert ("OPTEXH" in first, "00099" in second, "*HUB " in first) == (True, True, True)


@pytest.mark.parametrize(
    ("name", "path", "method"),
    [("stedi", RAW, "POST"), ("opkit", opkit.PATH, "POST"), ("availity", "/v1/token", "POST"),
     ("optum", "/apip/auth/v2/token", "POST"), ("core", "", "GET")],
)  # fmt: skip
@pytest.mark.parametrize(
    ("status", "reached", "key"), [(400, True, True), (403, True, False), (503, False, None)]
)
def test_a_probe_tells_what_is_wrong(
    name: str, path: str, method: str, status: int, reached: bool, key: bool | None
) -> None:
    """An empty question is refused by whoever lets us in; no payer is asked."""
    if name in ("availity", "optum") and status == 400:
        key = False  # a token that is not given is the client's (RFC 6749)
    with responses.RequestsMock() as wire:
        wire.add(method, URL + path, status=status)
        found = {one.what: one for one in connect(name).probe(timeout_s=5)}

    assert reached == found["reached"].works
    if name != "core" and key is not None:
        assert key == found["key taken"].works
    assert all(one.text for one in found.values() if not one.works)


@pytest.mark.parametrize("name", sorted(CLEARINGHOUSES))
def test_a_payer_without_an_id_on_the_route_is_not_called(name: str) -> None:
    """Nothing goes out; the failure says that the route does not reach the payer."""
    with responses.RequestsMock():
        found = connect(name).check(replace(INQUIRY, payer_id=""), timeout_s=5)

    assert found.failure is not None
    assert ("payer-not-on-route", False) == (found.failure.code, found.failure.supported)


def test_the_key_is_not_in_a_repr() -> None:
    """Secrets stay out of logs."""
    access = Access("stedi", URL, "test-key", "INFORCE", lambda: NOW, lambda: 1)

    assert "test-key" not in repr(access)
