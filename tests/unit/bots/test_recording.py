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

    def update(self, resource: Resource) -> Resource | None:
        self.calls.append("update")
        return super().update(resource)


def world(kind: type[FakeFhir]) -> FakeFhir:
    return kind(samples.coverage(), samples.patient(), samples.payer(), samples.clinic(),
                samples.request())  # fmt: skip


def check(fhir: FakeFhir, exchange: Exchange = GOOD) -> Resource:
    check_eligibility.handle(samples.request(), tools(fhir, FakeClearinghouse(exchange)))
    (stored,) = fhir.all("CoverageEligibilityResponse")
    return stored


def code(task: Resource) -> str:
    return elements.code(task.get("code"), systems.TASK_CODE)


def codes(fhir: FakeFhir) -> list[str]:
    return [code(task) for task in fhir.all("Task")]


def state(stored: Resource) -> str:
    return elements.tag(stored, systems.ELIGIBILITY_STATE)


def test_bytes_and_response_are_stored_in_one_call() -> None:
    """And leads to them; the mark is the one other write."""
    fhir = world(Counting)
    stored = check(fhir)

    assert isinstance(fhir, Counting)
    assert ["transact", "update"] == fhir.calls
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


def test_an_answer_mends_the_outage_that_overtook_it() -> None:
    """One response for the request: the other delivery's, brought up to date."""
    down = world(FakeFhir)
    with pytest.raises(RetryLater):
        check(down, DOWN)
    fhir = world(Overtaken)
    assert isinstance(fhir, Overtaken)
    fhir.other = down.all("CoverageEligibilityResponse")[0]
    stored = check(fhir)

    assert ("active", "2") == (state(stored), stored["meta"]["versionId"])
    assert elements.has_extension(fhir.all("Coverage")[0], systems.EXT_COVERAGE_STATE)


def test_an_outage_that_was_overtaken_by_an_answer_changes_nothing() -> None:
    """The answer stands, and is what the Coverage is marked by; the outage's bytes are kept."""
    up = world(FakeFhir)
    answer = check(up)
    fhir = world(Overtaken)
    assert isinstance(fhir, Overtaken)
    fhir.other = answer
    with pytest.raises(RetryLater):
        check(fhir, DOWN)

    (stored,) = fhir.all("CoverageEligibilityResponse")
    assert "active" == state(stored)
    (mark,) = fhir.all("Coverage")[0]["extension"]
    assert "active" == mark["extension"][0]["valueCode"]
    assert 1 == len(fhir.all("DocumentReference"))


class Visited(FakeFhir):
    """A server on which another answer on the coverage comes in while the payer thinks."""

    created = "2026-11-24T15:29:00+00:00"

    def transact(self, entries: Sequence[Resource]) -> list[Resource]:
        other = next(one["resource"] for one in entries if one["request"]["method"] == "POST")
        tags = [{"system": systems.ELIGIBILITY_STATE, "code": "inactive"}]
        insurance = [{**one, "inforce": False} for one in other["insurance"]]
        self.put({
            **other, "id": "other", "meta": {"tag": tags}, "created": self.created,
            "identifier": [{"system": systems.TRACE, "value": "OTHER"}], "insurance": insurance,
        })  # fmt: skip
        return super().transact(entries)


def test_an_answer_sees_what_was_stored_meanwhile() -> None:
    """The other answers are read with the write, not before: a flip is not missed."""
    fhir = world(Visited)
    check_eligibility.handle(samples.request(), tools(fhir, FakeClearinghouse(GOOD)))

    assert tasks.FLIP in codes(fhir)


def test_an_answer_that_is_stored_late_is_what_the_next_is_held_against() -> None:
    """Asked first and stored last: the flip is between it and the answer that came before it."""
    fhir = world(Visited)
    assert isinstance(fhir, Visited)
    fhir.created = "2026-11-24T15:31:00+00:00"
    check_eligibility.handle(samples.request(), tools(fhir, FakeClearinghouse(GOOD)))

    (flip,) = [one for one in fhir.all("Task") if tasks.FLIP == code(one)]
    assert "CoverageEligibilityResponse/other" == flip["focus"]["reference"]


class Away(FakeFhir):
    """A server that fails whatever is stored together, until it does not."""

    def transact(self, entries: Sequence[Resource]) -> list[Resource]:
        raise RetryLater(f"FHIR server: HTTP 500 for {len(entries)} entries")


def test_bytes_outlive_a_server_that_fails() -> None:
    """The event comes again; what the payer has said already is kept."""
    fhir = world(Away)
    with pytest.raises(RetryLater, match="HTTP 500"):
        check(fhir)

    assert 1 == len(fhir.all("DocumentReference"))
    assert [] == fhir.all("CoverageEligibilityResponse")


class Silent(FakeFhir):
    """A server that says nothing of what it has done."""

    def transact(self, entries: Sequence[Resource]) -> list[Resource]:
        return [{} for _ in super().transact(entries)]


class Plain(FakeFhir):
    """A server whose resources tell no version, and where a Coverage changes meanwhile."""

    def transact(self, entries: Sequence[Resource]) -> list[Resource]:
        self.put({**samples.coverage(), "dependent": "9"})
        return super().transact(entries)

    def _read(self, address: str) -> Resource | None:
        found = super()._read(address)
        if found is not None and found["resourceType"] == "Coverage":
            del found["meta"]
        return found

    def update(self, resource: Resource) -> Resource | None:
        return self.put(resource)


@pytest.mark.parametrize("kind_of_server", [Silent, Plain])
def test_a_server_that_tells_less_is_asked(kind_of_server: type[FakeFhir]) -> None:
    """One response, and the mark on the Coverage as it is now."""
    fhir = world(kind_of_server)
    stored = check(fhir)

    assert "active" == state(stored)
    assert (kind_of_server is Plain) == ("dependent" in fhir.all("Coverage")[0])
    assert elements.has_extension(fhir.all("Coverage")[0], systems.EXT_COVERAGE_STATE)
