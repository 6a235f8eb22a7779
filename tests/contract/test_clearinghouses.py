"""One contract for every connector, over exchanges recorded in the vendor's published shape.

To add a clearinghouse: its line in connectors.CLEARINGHOUSES and a folder of exchanges. Each file
holds the answer (`@path` names a fixture) and what must come of it.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
import responses

from bots.connectors import CLEARINGHOUSES, stedi
from bots.connectors.access import Access
from bots.ports import Clearinghouse, Exchange
from fhir_profiles import codec
from tests.fakes import NOW
from tests.unit.bots.test_270 import DEPENDENT, INQUIRY

FIXTURES = Path(__file__).parents[2] / "fixtures"
URL = "https://clearinghouse.example"
PATHS = {"stedi": stedi.PATH}
FILES = sorted((FIXTURES / "clearinghouses").glob("*/*.json"))


def connect(name: str = "stedi") -> Clearinghouse:
    numbers = iter(range(1, 1000))
    return CLEARINGHOUSES[name](
        Access(name, URL, "test-key", "INFORCE", lambda: NOW, numbers.__next__)
    )


def body_of(recorded: dict[str, Any]) -> bytes:
    if "raw" in recorded:
        return str(recorded["raw"]).encode()
    body = dict(recorded["body"])
    if str(body.get("x12", "")).startswith("@"):
        body["x12"] = (FIXTURES / body["x12"][1:]).read_bytes().decode()
    return codec.encode(body)


def check(recorded: dict[str, Any], name: str = "stedi") -> Exchange:
    with responses.RequestsMock() as wire:
        wire.post(URL + PATHS[name], body=body_of(recorded), status=recorded["status"],
                  headers=recorded["headers"])  # fmt: skip
        return connect(name).check(INQUIRY, timeout_s=5)


@pytest.mark.parametrize("file", FILES, ids=lambda f: f"{f.parent.name}-{f.stem}")
def test_recorded_exchanges(file: Path) -> None:
    """Answers, rejects with any HTTP status, and each class of failure (x12 5.6)."""
    recorded = codec.decode(file.read_bytes())
    expected = recorded["expected"]
    found = check(recorded, file.parent.name)

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
        wire.post(URL + stedi.PATH, body=error)
        found = connect().check(INQUIRY, timeout_s=5)

    assert found.failure is not None
    assert (code, True, after_s) == (
        found.failure.code, found.failure.again, found.failure.after_s)  # fmt: skip


def test_what_goes_out() -> None:
    """The key in Authorization, one 270 in JSON, the trace as request id, numbers that differ."""
    with responses.RequestsMock() as wire:
        wire.post(URL + stedi.PATH, json={"x12": ""}, status=500)
        route = connect()
        route.check(INQUIRY, timeout_s=5)
        route.check(DEPENDENT, timeout_s=5)
        first, second = (call.request for call in wire.calls)

    assert ("test-key", "TRACE0001") == (
        first.headers["Authorization"], first.headers["X-Request-Id"])  # fmt: skip
    x12 = [codec.decode(call.body)["x12"] for call in (first, second)]  # type: ignore[arg-type]  # bytes
    assert ["*000000001*", "*000000002*"] == [text[89:100] for text in x12]
    assert "NM1*03*1*RIVERA*ROBIN~" in x12[1]


def test_a_payer_without_an_id_on_the_route_is_not_called() -> None:
    """Nothing goes out; the failure says that the route does not reach the payer."""
    with responses.RequestsMock():
        found = connect().check(replace(INQUIRY, payer_id=""), timeout_s=5)

    assert found.failure is not None
    assert ("payer-not-on-route", False) == (found.failure.code, found.failure.supported)


def test_the_key_is_not_in_a_repr() -> None:
    """Secrets stay out of logs."""
    access = Access("stedi", URL, "test-key", "INFORCE", lambda: NOW, lambda: 1)

    assert "test-key" not in repr(access)
