"""The three bots over fakes: once per cause, whatever is delivered twice or fails between."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import pytest

from bots.domain.eligibility import Answer
from bots.errors import NeverRetry, RetryLater
from bots.handlers import check_eligibility, request_eligibility
from bots.ports import Exchange, Failure
from bots.x12 import eligibility_271
from fhir_profiles import elements, systems
from server.validation import structure
from tests import samples
from tests.fakes import NOW, FakeClearinghouse, FakeFhir, tools
from tests.x12_texts import answer_271, file_271, reject_271, sample_271

DOWN = Exchange("fake", failure=Failure("not-delivered", "The clearinghouse cannot be reached.",
                                        again=True))  # fmt: skip


def told(*rows: str) -> Exchange:
    return Exchange("fake", answer=eligibility_271.read(answer_271(*rows)))


def world(*more: dict[str, Any]) -> FakeFhir:
    return FakeFhir(samples.coverage(), samples.patient(), samples.payer(), samples.clinic(), *more)


def responses(fhir: FakeFhir) -> list[dict[str, Any]]:
    return fhir.all("CoverageEligibilityResponse")


def state(resource: dict[str, Any]) -> str:
    return elements.tag(resource, systems.ELIGIBILITY_STATE)


def test_a_new_coverage_is_asked_about_once() -> None:
    """Created: one request, however often the event comes (R002-05, R002-22)."""
    fhir = world()
    (coverage,) = fhir.read_all(["Coverage/cov"])
    for _ in range(3):
        request_eligibility.handle(coverage, tools(fhir))  # type: ignore[arg-type]  # it is there

    (made,) = fhir.all("CoverageEligibilityRequest")
    assert ("2026-11-24", "Organization/clinic", "coverage-change") == (
        made["servicedDate"], made["provider"]["reference"],
        elements.tag(made, systems.CHECK_REASON))  # fmt: skip


def test_the_day_of_service_is_the_sites_day() -> None:
    """At 02:00 UTC it is still yesterday in New York."""
    fhir = world()
    (coverage,) = fhir.read_all(["Coverage/cov"])
    night = NOW.replace(hour=2)
    request_eligibility.handle(coverage, tools(fhir, now=lambda: night))  # type: ignore[arg-type]  # it is there

    assert "2026-11-23" == fhir.all("CoverageEligibilityRequest")[0]["servicedDate"]


@pytest.mark.parametrize(
    ("change", "asked"),
    [({"text": {"div": "x"}}, 1), ({"subscriberId": "NEW"}, 2), ({"status": "cancelled"}, 1)],
)
def test_only_changes_that_matter_ask_again(change: dict[str, Any], asked: int) -> None:
    """prior-art checks 16 and 18."""
    fhir = world()
    for coverage in (fhir.read_all(["Coverage/cov"])[0], fhir.put(samples.coverage(**change))):
        request_eligibility.handle(coverage, tools(fhir))  # type: ignore[arg-type]  # it is there

    assert asked == len(fhir.all("CoverageEligibilityRequest"))


def test_a_check_stores_one_response_and_marks_the_coverage() -> None:
    """R002-09, R003-48; a second delivery costs no second 270."""
    fhir, house = world(), FakeClearinghouse(told("EB*1**30"))
    for _ in range(2):
        check_eligibility.handle(samples.request(), tools(fhir, house))

    (stored,) = responses(fhir)
    (mark,) = fhir.all("Coverage")[0]["extension"]
    assert (1, "active") == (len(house.asked), state(stored))
    assert (
        f"CoverageEligibilityResponse/{stored['id']}"
        == (mark["extension"][3]["valueReference"]["reference"])
    )


def test_a_failed_check_never_changes_the_mark() -> None:
    """R003-48: only a payer's word does."""
    fhir = world()
    for exchange in (DOWN, told("EB*B**98***27*5")):
        wish = samples.request(identifier=[{"system": systems.TRACE, "value": str(exchange)[:9]}])
        with suppress(RetryLater):
            check_eligibility.handle(wish, tools(fhir, FakeClearinghouse(exchange)))

    assert "extension" not in fhir.all("Coverage")[0]


def test_an_outage_is_told_at_once_and_mended_later() -> None:
    """One response, at first could-not-check, then the answer, in the same resource."""
    fhir = world()
    house = FakeClearinghouse(DOWN, DOWN, told("EB*1**30"))
    for _ in range(2):
        with pytest.raises(RetryLater):
            check_eligibility.handle(samples.request(), tools(fhir, house))
    assert ["could-not-check"] == [state(r) for r in responses(fhir)]
    assert "error" == responses(fhir)[0]["outcome"]

    check_eligibility.handle(samples.request(), tools(fhir, house))

    (stored,) = responses(fhir)
    assert ("active", "complete", "2") == (
        state(stored), stored["outcome"], stored["meta"]["versionId"])  # fmt: skip
    assert ["TRACE1"] * 3 == [inquiry.trace for inquiry in house.asked]


def test_a_payer_that_is_down_is_asked_again() -> None:
    """AAA 42: an answer, stored, and the event comes again."""
    down = Exchange("fake", answer=eligibility_271.read(file_271("aaa-42-payer-down")))
    fhir = world()
    with pytest.raises(RetryLater, match="AAA 42"):
        check_eligibility.handle(samples.request(), tools(fhir, FakeClearinghouse(down)))

    assert "could-not-check" == state(responses(fhir)[0])


@pytest.mark.parametrize(
    "exchange",
    [
        Exchange("fake", answer=Answer(rejects=eligibility_271.read(
            file_271("aaa-75-not-found")).rejects)),
        Exchange("fake", failure=Failure("unreadable-answer", "No 271.", again=False)),
    ],
)  # fmt: skip
def test_a_final_word_is_not_asked_again(exchange: Exchange) -> None:
    """Payer rejects and unreadable answers leave a response and end the matter."""
    fhir, house = world(), FakeClearinghouse(exchange)
    for _ in range(2):
        check_eligibility.handle(samples.request(), tools(fhir, house))

    assert (1, "error") == (len(house.asked), responses(fhir)[0]["outcome"])


def test_a_payer_that_no_route_reaches_is_not_supported() -> None:
    """A state of its own, not an error of the data."""
    failure = Failure("payer-not-on-route", "No id.", again=False, supported=False)
    other = samples.payer(identifier=[{"system": systems.OPKIT_PAYER, "value": "x"}])
    fhir = world(other)
    house = FakeClearinghouse(Exchange("fake", failure=failure))
    check_eligibility.handle(samples.request(), tools(fhir, house))

    assert "not-supported" == state(responses(fhir)[0])


@pytest.mark.parametrize(
    ("replaced", "codes"),
    [
        (samples.coverage(subscriberId="", identifier=[]), ["missing-member-id"]),
        (samples.patient(birthDate="1985"), ["missing-birth-date"]),
        (samples.payer(identifier=[]), ["missing-payer-id"]),
        ({**samples.clinic(), "identifier": []}, ["missing-provider-npi"]),
        ({**samples.patient(), "name": []}, ["missing-patient-name"]),
    ],
)
def test_what_is_missing_is_named_and_nothing_is_sent(
    replaced: dict[str, Any], codes: list[str]
) -> None:
    """prior-art check 14: zero calls, one response of outcome error."""
    fhir, house = world(replaced), FakeClearinghouse()
    check_eligibility.handle(samples.request(), tools(fhir, house))

    (stored,) = responses(fhir)
    assert ([], "error") == (house.asked, stored["outcome"])
    assert codes == [elements.code(e["code"], systems.CHECK_ERROR) for e in stored["error"]]


@pytest.mark.req("R002-34")
def test_the_id_that_was_sent_is_kept() -> None:
    """Whatever the directory becomes later, the check says what was submitted."""
    fhir = world()
    answer = eligibility_271.read(answer_271("EB*1**30"))
    house = FakeClearinghouse(Exchange("fake", answer, sent="ISA", payer_id="00099"))
    check_eligibility.handle(samples.request(), tools(fhir, house))

    assert "00099" == elements.extension_value(responses(fhir)[0], systems.EXT_PAYER_ID)


def test_a_request_that_points_nowhere_is_answered_too() -> None:
    """No coverage, no patient, no payer on the server: named, not a crash."""
    fhir, house = FakeFhir(), FakeClearinghouse()
    check_eligibility.handle(samples.request(), tools(fhir, house))

    assert {
        "no-coverage",
        "no-patient",
        "no-payer",
        "missing-provider-npi",
        "missing-provider-name",
    } == {elements.code(e["code"], systems.CHECK_ERROR) for e in responses(fhir)[0]["error"]}


def test_a_draft_request_is_left_alone() -> None:
    """Only active requests are asked."""
    fhir = world()
    check_eligibility.handle(samples.request(status="draft"), tools(fhir))

    assert [] == responses(fhir)


def test_a_request_without_trace_gets_one_from_its_address() -> None:
    """Anybody's request is answered once."""
    fhir, house = world(), FakeClearinghouse(told("EB*1**30"))
    wish = samples.request()
    del wish["identifier"]
    for _ in range(2):
        check_eligibility.handle(wish, tools(fhir, house))

    assert 1 == len(responses(fhir))
    assert house.asked[0].trace == elements.identifier(responses(fhir)[0], systems.TRACE)


def test_a_coverage_that_changes_meanwhile_is_marked_all_the_same() -> None:
    """If-Match lost once: read again, marked again."""
    fhir = world()
    fhir.lose_next_update = True
    check_eligibility.handle(samples.request(), tools(fhir, FakeClearinghouse(told("EB*6**30"))))

    assert "inactive" == fhir.all("Coverage")[0]["extension"][0]["extension"][0]["valueCode"]


@pytest.mark.parametrize(
    ("reason", "expected"), [("t-24h", (65.0, True)), ("check-in", (22.0, False))]
)
def test_a_batch_may_wait_and_a_person_may_not(reason: str, expected: tuple[float, bool]) -> None:
    """CAQH CORE 156 for who waits; a payer that takes a minute is still read by the sweep."""
    house = FakeClearinghouse(told("EB*1**30"))
    tag = [{"system": systems.CHECK_REASON, "code": reason}]
    check_eligibility.handle(samples.request(meta={"tag": tag}), tools(world(), house))

    assert expected == (house.timeouts[0], house.asked[0].background)


def test_other_payers_make_one_task() -> None:
    """prior-art check 12; told twice it is still one Task."""
    fhir = world()
    for trace in ("A", "B"):
        answer = eligibility_271.read(sample_271("medicare-advantage-other-payer"))
        wish = samples.request(identifier=[{"system": systems.TRACE, "value": trace}])
        house = FakeClearinghouse(Exchange("fake", answer=answer))
        check_eligibility.handle(wish, tools(fhir, house))

    assert 1 == len(fhir.all("Task"))


ODD = [
    "EB*1**30*HM *GOLD", "EB*A**98*****-.2", "EB***30", "EB*1** *HM", "EB*C**30***23 *5",
    "EB*C**30****99999999999999999999999999999.5", "EB*F**33***23***VS*99999999999",
    "EB*B**98***27*5*****Y*HC: ", "EB*B**98***27*5*****Y*HC:",
]  # fmt: skip


@pytest.mark.parametrize("row", ODD)
@pytest.mark.parametrize("more", [(), ("III*ZZ",), ("DTP**D8*20260101",), ("NM1", "PER*IC")])
def test_odd_rows_always_become_valid_fhir(row: str, more: tuple[str, ...]) -> None:
    """What FHIR allows in no code or number stands in texts; nothing is lost at our own door."""
    fhir = world()
    check_eligibility.handle(
        samples.request(), tools(fhir, FakeClearinghouse(told("EB*1**30", row, *more)))
    )

    (stored,) = responses(fhir)
    assert [] == structure.check(stored)
    assert "active" in state(stored)


def test_a_reject_without_reason_is_still_a_response() -> None:
    """AAA with nothing in AAA03."""
    fhir = world()
    answer = eligibility_271.read(reject_271("AAA*Y"))
    house = FakeClearinghouse(Exchange("fake", answer=answer))
    check_eligibility.handle(samples.request(), tools(fhir, house))

    assert [] == structure.check(responses(fhir)[0])
    assert "could-not-check" == state(responses(fhir)[0])


class Strict(FakeFhir):
    """A server that refuses responses with items."""

    def create_once(self, resource: dict[str, Any], condition: str) -> dict[str, Any]:
        self._refuse_items(resource)
        return super().create_once(resource, condition)

    def transact(self, entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        for entry in entries:
            self._refuse_items(entry.get("resource", {}))
        return super().transact(entries)

    @staticmethod
    def _refuse_items(resource: dict[str, Any]) -> None:
        if "item" in str(resource.get("insurance")):
            raise NeverRetry("FHIR server refused a new CoverageEligibilityResponse: HTTP 422")


def test_an_answer_that_cannot_be_stored_is_told() -> None:
    """The last resort: a response that says so, in place of none."""
    fhir = Strict(samples.coverage(), samples.patient(), samples.payer(), samples.clinic())
    check_eligibility.handle(samples.request(), tools(fhir, FakeClearinghouse(told("EB*1**30"))))

    (stored,) = responses(fhir)
    assert ("error", "could-not-check") == (stored["outcome"], state(stored))


def test_the_focal_coverage_is_asked_about_and_answered() -> None:
    """Two insurances: the same one in the question, the answer and the mark."""
    fhir = world(samples.coverage("second", subscriberId="SECOND"))
    house = FakeClearinghouse(told("EB*6**30"))
    entries = [
        {"coverage": {"reference": "Coverage/cov"}},
        {"focal": True, "coverage": {"reference": "Coverage/second"}},
    ]
    check_eligibility.handle(samples.request(insurance=entries), tools(fhir, house))

    marked = [c["id"] for c in fhir.all("Coverage") if "extension" in c]
    assert ("SECOND", ["second"]) == (house.asked[0].subscriber.member_id, marked)


@pytest.mark.parametrize("trace", ["X~EQ*35~", "A&B,C", "x" * 51, "ü"])
def test_a_trace_that_x12_cannot_carry_is_replaced(trace: str) -> None:
    """Anybody may write an identifier: it goes into the 270 only if it is harmless."""
    fhir, house = world(), FakeClearinghouse(told("EB*1**30"))
    wish = samples.request(identifier=[{"system": systems.TRACE, "value": trace}])
    for _ in range(2):
        check_eligibility.handle(wish, tools(fhir, house))

    assert 1 == len(house.asked) == len(responses(fhir))
    assert 32 == len(house.asked[0].trace)


def test_contained_people_are_understood() -> None:
    """An EHR may put patient and payer inside the Coverage."""
    inside = [samples.patient("p"), samples.payer("o")]
    coverage = samples.coverage(
        contained=inside, beneficiary={"reference": "#p"}, payor=[{"reference": "#o"}]
    )
    fhir = FakeFhir(coverage, samples.clinic())
    house = FakeClearinghouse(told("EB*1**30"))
    (stored,) = fhir.read_all(["Coverage/cov"])
    request_eligibility.handle(stored, tools(fhir))  # type: ignore[arg-type]  # it is there
    (asked,) = fhir.all("CoverageEligibilityRequest")
    check_eligibility.handle(asked, tools(fhir, house))

    assert [[], []] == [structure.check(r) for r in (asked, responses(fhir)[0])]
    assert ("Rivera", "00099") == (house.asked[0].subscriber.last, house.asked[0].payer_id)


FAMILY = answer_271("EB*1**30", "HL*4*3*23*0", "NM1*03*1*RIVERA*ROBIN", "EB*6**30")


def child_world() -> FakeFhir:
    """The patient is a child of the subscriber."""
    coverage = samples.coverage(
        relationship=samples.relationship("child"), subscriber={"reference": "Patient/parent"}
    )
    child = samples.patient(name=[{"family": "Rivera", "given": ["Robin"]}], birthDate="2015-03-04")
    return FakeFhir(coverage, child, samples.patient("parent"), samples.payer(), samples.clinic())


def checked(fhir: FakeFhir, text: str) -> dict[str, Any]:
    """Run a check that the payer answers with `text` and return the stored response."""
    house = FakeClearinghouse(Exchange("fake", answer=eligibility_271.read(text)))
    check_eligibility.handle(samples.request(), tools(fhir, house))
    (stored,) = responses(fhir)
    return stored


def test_the_dependent_is_judged_by_own_rows() -> None:
    """An active subscriber and a terminated child: the child is not in force."""
    stored = checked(child_world(), FAMILY)

    (beside,) = elements.extensions(stored, systems.EXT_MESSAGE)
    assert ("inactive", False) == (state(stored), stored["insurance"][0]["inforce"])
    assert "the subscriber, not the patient" in str(beside)


def test_the_subscriber_is_judged_without_the_dependent() -> None:
    """Asked about the mother, and told of her and of her child: hers is what counts."""
    stored = checked(world(), FAMILY)

    assert ("active", True) == (state(stored), stored["insurance"][0]["inforce"])


@pytest.mark.req("check-10")
@pytest.mark.parametrize(
    ("fhir", "text"),
    [
        (world, answer_271("EB*1**30").replace("RIVERA*ANA", "OKAFOR*BEN")),
        (world, answer_271("EB*1**30").replace("19850214", "19850215")),
        (world, answer_271("EB*6**30").replace("*RIVERA*ANA****MI*INF100001", "")),
        (child_world, answer_271("EB*1**30")),
        (child_world, FAMILY.replace("ROBIN", "ROSA")),
    ],
)
def test_another_persons_answer_is_nobodys(fhir: Callable[[], FakeFhir], text: str) -> None:
    """Another name, another birth date, no name, the mother's for the child's, a twin's."""
    there = fhir()
    stored = checked(there, text)

    assert ("could-not-check", "error") == (state(stored), stored["outcome"])
    assert "person-mismatch" == stored["error"][0]["code"]["coding"][0]["code"]
    assert [{"coverage": {"reference": "Coverage/cov"}}] == stored["insurance"]
    assert "extension" not in there.all("Coverage")[0]
    (task,) = there.all("Task")
    assert "person-mismatch" == task["code"]["coding"][0]["code"]


def test_an_unknown_code_is_one_task_that_counts() -> None:
    """Per payer, element and value: three answers with it, one of them delivered twice."""
    fhir = world()
    for trace in ("A", "B", "B", "C"):
        wish = samples.request(identifier=[{"system": systems.TRACE, "value": trace}])
        house = FakeClearinghouse(told("EB*1**30", "EB*ZQ**98", "EB*B**98***9Z*25"))
        check_eligibility.handle(wish, tools(fhir, house))

    found = {task["code"]["text"].rpartition(": ")[2]: task for task in fhir.all("Task")}
    assert {"EB01 ZQ", "EB06 9Z"} == set(found)
    assert [3, 3] == [task["input"][0]["valuePositiveInt"] for task in found.values()]


def test_another_trace_is_flagged() -> None:
    """A 271 that echoes somebody else's trace number needs a look."""
    fhir = world()
    answer = eligibility_271.read(answer_271("EB*1**30", trace="OTHER"))
    house = FakeClearinghouse(Exchange("fake", answer=answer))
    check_eligibility.handle(samples.request(), tools(fhir, house))

    flags = [e["valueString"] for e in elements.extensions(responses(fhir)[0], systems.EXT_FLAG)]
    assert ["trace-mismatch"] == flags


def test_an_authorization_number_is_kept() -> None:
    """REF G1, when it is the only one."""
    fhir = world()
    house = FakeClearinghouse(told("EB*1**30", "EB*A**62***27**.1***Y", "REF*G1*AUTH7"))
    check_eligibility.handle(samples.request(), tools(fhir, house))

    assert "AUTH7" == responses(fhir)[0]["preAuthRef"]
