"""An answer on record: in one transaction where that can be, and piece by piece where not."""

from collections.abc import Sequence
from typing import Any

import pytest

from bots.errors import NeverRetry, RetryLater
from bots.handlers import check_eligibility
from bots.mapping import response, tasks
from bots.ports import Exchange, Failure
from fhir_profiles import elements, systems
from tests import samples
from tests.fakes import FakeClearinghouse, FakeFhir, tools
from tests.unit.bots.test_exchanges import GOOD, SENT

Resource = dict[str, Any]
DOWN = Exchange("fake", sent=SENT, failure=Failure("no-answer", "Nothing came.", again=True))


class Counting(FakeFhir):
    """A server that counts the calls that write."""

    def __init__(self, *resources: Resource) -> None:
        self.calls: list[str] = []
        super().__init__(*resources)
        self.calls.clear()

    def transact(self, entries: Sequence[Resource]) -> list[Resource]:
        self.calls.append("transact")
        return super().transact(entries)

    def create_once(self, resource: Resource, condition: str) -> Resource:
        self.calls.append("create")
        return super().create_once(resource, condition)

    def put_all(self, resources: Sequence[Resource]) -> None:
        self.calls.append("put")
        super().put_all(resources)


def world(kind: type[FakeFhir]) -> FakeFhir:
    return kind(samples.coverage(), samples.patient(), samples.payer(), samples.clinic(),
                samples.request())  # fmt: skip


def check(fhir: FakeFhir, exchange: Exchange = GOOD) -> Resource:
    check_eligibility.handle(samples.request(), tools(fhir, FakeClearinghouse(exchange)))
    (stored,) = fhir.all("CoverageEligibilityResponse")
    return stored


def state(stored: Resource) -> str:
    return elements.tag(stored, systems.ELIGIBILITY_STATE)


def test_bytes_and_response_are_stored_in_one_call() -> None:
    """And leads to them; the mark is the one other write."""
    fhir = world(Counting)
    stored = check(fhir)

    assert isinstance(fhir, Counting)
    assert "transact" == fhir.calls[0]
    assert "put" not in fhir.calls
    (link,) = elements.extensions(stored, systems.EXT_EXCHANGE)
    (document,) = fhir.all("DocumentReference")
    assert f"DocumentReference/{document['id']}" == link["valueReference"]["reference"]
    assert elements.has_extension(fhir.all("Coverage")[0], systems.EXT_COVERAGE_STATE)


def test_bytes_outlive_a_reader_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of ours costs the answer until it is mended, never what the payer said."""

    def fail(*_given: object, **_named: object) -> None:
        raise KeyError("a fault")

    monkeypatch.setattr(response, "answered", fail)
    fhir = world(FakeFhir)
    with pytest.raises(KeyError):
        check_eligibility.handle(samples.request(), tools(fhir, FakeClearinghouse(GOOD)))

    (document,) = fhir.all("DocumentReference")
    assert (2, []) == (len(document["content"]), fhir.all("CoverageEligibilityResponse"))


class Apart(FakeFhir):
    """A server that refuses what holds several resources."""

    def transact(self, entries: Sequence[Resource]) -> list[Resource]:
        raise NeverRetry(f"FHIR server refused {len(entries)} entries")


def test_what_is_refused_together_is_stored_apart() -> None:
    """Bytes, response and mark are there all the same."""
    fhir = world(Apart)
    stored = check(fhir)

    assert ("active", "complete") == (state(stored), stored["outcome"])
    assert 1 == len(fhir.all("DocumentReference"))
    assert elements.has_extension(fhir.all("Coverage")[0], systems.EXT_COVERAGE_STATE)


class Overtaken(FakeFhir):
    """A server on which another delivery of the request stores its answer first."""

    other: Resource

    def transact(self, entries: Sequence[Resource]) -> list[Resource]:
        self.put(self.other)
        return super().transact(entries)


def test_an_answer_that_was_overtaken_marks_nothing() -> None:
    """One response for the request, that of the other delivery; this one's bytes are kept."""
    down = world(FakeFhir)
    with pytest.raises(RetryLater):
        check(down, DOWN)
    fhir = world(Overtaken)
    assert isinstance(fhir, Overtaken)
    (first,) = down.all("CoverageEligibilityResponse")
    fhir.other = {**first, "created": "2026-11-24T15:29:00+00:00"}
    stored = check(fhir)

    assert "could-not-check" == state(stored)
    assert "extension" not in fhir.all("Coverage")[0]
    (document,) = fhir.all("DocumentReference")
    assert 2 == len(document["content"])


class Visited(FakeFhir):
    """A server on which another answer on the coverage comes in while the payer thinks."""

    def transact(self, entries: Sequence[Resource]) -> list[Resource]:
        other = next(one["resource"] for one in entries if one["request"]["method"] == "POST")
        tags = [{"system": systems.ELIGIBILITY_STATE, "code": "inactive"}]
        insurance = [{**one, "inforce": False} for one in other["insurance"]]
        self.put({
            **other, "id": "other", "meta": {"tag": tags}, "created": "2026-11-24T15:29:00+00:00",
            "identifier": [{"system": systems.TRACE, "value": "OTHER"}], "insurance": insurance,
        })  # fmt: skip
        return super().transact(entries)


def test_an_answer_sees_what_was_stored_meanwhile() -> None:
    """The other answers are read with the write, not before: a flip is not missed."""
    fhir = world(Visited)
    check_eligibility.handle(samples.request(), tools(fhir, FakeClearinghouse(GOOD)))

    codes = [elements.code(task.get("code"), systems.TASK_CODE) for task in fhir.all("Task")]
    assert tasks.FLIP in codes
