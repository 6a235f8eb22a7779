"""A request as X12 278 and back: what PAS publishes of it, round by the sandbox's own reader."""

from dataclasses import replace
from datetime import date
from html import escape
from typing import Any

import pytest
import responses

from bots import prior_auth_review
from bots.connectors.access import Access
from bots.connectors.reviews import Reviews
from bots.connectors.wire import REJECTED
from bots.domain.review import Decision
from bots.mapping import review as mapped
from bots.x12 import acknowledgement, envelope, review_278
from bots.x12.envelope import Sender
from bots.x12.syntax import Unreadable
from fhir_profiles import decisions, pas, prior_auth, prior_auth_route
from fhir_profiles.decisions import Action, State
from sandbox import review as payer
from server.validation import check, structure
from tests import pas as given
from tests.contract.payer import built, of_code
from tests.fakes import NOW, FakeFhir, tools
from tests.unit.bots.test_prior_auth import update_of

Resource = dict[str, Any]
SENDER = Sender("INFORCE", "HUB")
pytestmark = pytest.mark.req("R80")


def asked(claim: Resource | None = None, *more: Resource) -> tuple[Resource, str]:
    """Return the request Bundle about a claim, and the 278 of it."""
    bundle = built(claim or given.claim(), *more)
    text = review_278.write(mapped.review(bundle), sender=SENDER, control=7, moment=NOW)
    return bundle, text


def loops(text: str) -> dict[str, list[payer.Loop]]:
    found: dict[str, list[payer.Loop]] = {}
    for loop in payer.read(text):
        found.setdefault(loop.level, []).append(loop)
    return found


def answered(claim: Resource, *more: Resource) -> tuple[Resource, Resource]:
    """Return the request and the payer's answer, both as Bundles."""
    bundle, text = asked(claim, *more)
    answer = review_278.read(payer.answer(text))
    return bundle, mapped.bundle(answer, mapped.review(bundle), bundle, NOW)


def test_every_field_of_the_table_arrives() -> None:
    """Each at the place that the guide's value sets name."""
    level = {"url": pas.EXT_LEVEL_OF_SERVICE,
             "valueCodeableConcept": given.coded(pas.LEVEL_OF_SERVICE, "U")}  # fmt: skip
    claim = given.claim(extension=[level])
    recorded = {"url": pas.EXT_RECORDED, "valueDate": "2026-05-01"}
    claim["diagnosis"][0]["extension"] = [recorded]
    claim["item"][0] |= {"servicedPeriod": {"start": "2026-12-05", "end": "2026-12-19"}}
    del claim["item"][0]["servicedDate"]
    bundle, text = asked(claim)
    found = loops(text)
    (head,), (umo,), (clinic,), (member,), (event,), (service,) = (
        found[level] for level in ("", "20", "21", "22", "EV", "SS")
    )

    assert ["BHT", "0007", "13"] == head.first("BHT")[:3]
    assert mapped.review(bundle).number == head.first("BHT")[3]
    assert ["GS", "HI", "INFORCE", "HUB"] == head.first("GS")[:4]
    assert "005010X217" == head.first("ST")[3]
    assert ["NM1", "X3", "2", "EXAMPLE HEALTH"] == umo.first("NM1")[:4]
    assert ["NM1", "1P", "2", "RIVERSIDE CLINIC", "", "", "", "", "XX", "1999999984"] == (
        clinic.first("NM1")
    )
    assert ["NM1", "IL", "1", "RIVERA", "ANA", "", "", "", "MI", "INF100001"] == (
        member.first("NM1")
    )
    assert ["DMG", "D8", "19850214", "F"] == member.first("DMG")
    assert ["TRN", "1", "PA-PA", "1999999984"] == event.first("TRN")
    assert ["UM", "HS", "I", "2", "11:B", "", "U"] == event.first("UM") == service.first("UM")
    assert ["HI", "ABK:M5450:D8:20260501"] == event.first("HI")
    assert ["PWK", "03", "EL"] == event.first("PWK")
    assert ["MSG", "PAIN SINCE MAY"] == event.first("MSG")
    assert ["TRN", "1", mapped.review(bundle).services[0].trace] == service.first("TRN")[:3]
    assert ["DTP", "472", "RD8", "20261205-20261219"] == service.first("DTP")
    assert ["SV1", "HC:97110"] == service.first("SV1")
    assert ["HSD", "VS", "8"] == service.first("HSD")
    assert ["NM1", "SJ", "1", "OKAFOR", "", "", "", "", "XX", "1999999992"] == (
        service.first("NM1")
    )


def test_a_dependent_has_a_loop_of_their_own() -> None:
    """The subscriber has the member id; the relationship is told (INS02)."""
    parent = {**given.patient(id="parent"), "name": [{"family": "Rivera", "given": ["Luz"]}]}
    relation = {"coding": [{"system": pas.RELATIONSHIP, "code": "19"}]}
    coverage = given.coverage(relationship=relation, subscriber={"reference": "Patient/parent"})
    _, text = asked(None, parent, coverage)
    found = loops(text)

    assert ["NM1", "IL", "1", "RIVERA", "LUZ"] == found["22"][0].first("NM1")[:5]
    assert ["NM1", "QC", "1", "RIVERA", "ANA"] == found["23"][0].first("NM1")
    assert ["INS", "N", "19"] == found["23"][0].first("INS")
    assert ["HL", "5", "4", "EV", "1"] == found["EV"][0].first("HL")


@pytest.mark.parametrize(
    ("code", "state", "action"),
    [
        ("97110", State.APPROVED, Action.CERTIFIED), ("22612", State.DENIED, Action.DENIED),
        ("97140", State.PARTIAL, Action.PARTIAL), ("97112", State.MODIFIED, Action.MODIFIED),
        ("72148", State.PENDED, Action.PENDED), ("36415", State.NOT_REQUIRED, Action.NOT_REQUIRED),
        ("63685", State.MORE_INFORMATION, Action.PENDED),
        ("E1390", State.CONTACT_PAYER, Action.CONTACT_PAYER),
    ],
)  # fmt: skip
def test_an_answer_is_read_as_every_other_is(code: str, state: State, action: Action) -> None:
    """Into a PAS response Bundle that holds to its profile."""
    _, bundle = answered(of_code(code))
    response = bundle["entry"][0]["resource"]
    found = decisions.read(response, [1])

    assert (state, action) == (found.state, found.items[0].action)
    assert [] == [str(one) for one in check.against(bundle, pas.RESPONSE_BUNDLE)]


def test_number_dates_reason_and_words_are_kept() -> None:
    """Of the service that they are about."""
    _, bundle = answered(of_code("22612", "97112"))
    denied, changed = decisions.read(bundle["entry"][0]["resource"], [1, 2]).items

    assert ("Try six weeks of therapy first.",) == denied.notes
    assert (("01", ""),) == denied.reasons
    assert changed.number.startswith("X0")
    assert changed.issued
    assert date.fromisoformat(changed.period[1]) > date.fromisoformat(changed.period[0])
    assert [4] == [one["quantity"]["value"] for one in changed.authorized]


def test_what_the_payer_rejects_is_a_business_error() -> None:
    """With its reason (AAA03), what to do (AAA04), and whom it is about."""
    _, bundle = answered(given.claim(), given.clinic(identifier=[]))
    found = decisions.read(bundle["entry"][0]["resource"], [1])

    assert State.REJECTED is found.state
    assert ("44", "C", "Claim.provider") == (
        found.problems[0].code, found.problems[0].follow_up, found.problems[0].place,
    )  # fmt: skip


def test_a_decision_on_the_whole_is_one_on_each_service() -> None:
    """Unless the service has its own."""
    bundle, text = asked(of_code("97110", "97110"))
    answer = review_278.read(payer.answer(text))
    event = Decision("PA-pa", action="A3", reason="01")
    own = answer.services[1]
    only = type(answer)(answer.number, event, (Decision(own.trace, action="A1"),))
    made = mapped.bundle(only, mapped.review(bundle), bundle, NOW)
    found = decisions.read(made["entry"][0]["resource"], [1, 2])

    assert [Action.DENIED, Action.CERTIFIED] == [one.action for one in found.items]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace("ST*278", "ST*271"),
        lambda text: text[:-60],
        lambda text: text.replace("HCR*", "XXX*"),
        lambda _text: "no X12",
    ],
)
def test_what_is_no_answer_is_unreadable(spoil: Any) -> None:
    """Nothing is decided from half a response."""
    _, text = asked()

    with pytest.raises(Unreadable):
        review_278.read(spoil(payer.answer(text)))


@pytest.mark.parametrize(("quantity", "count"), [("4", 1), ("4.5", 1), ("FOUR", 0), ("", 0)])
def test_a_quantity_that_is_no_number_is_left_out(quantity: str, count: int) -> None:
    """The decision stands without it."""
    bundle, text = asked(of_code("97112"))
    answer = review_278.read(payer.answer(text))
    (own,) = answer.services
    other = type(answer)("", answer.event, (replace(own, quantity=quantity),))
    made = mapped.bundle(other, mapped.review(bundle), bundle, NOW)
    (found,) = decisions.read(made["entry"][0]["resource"], [1]).items

    assert (Action.MODIFIED, count) == (found.action, len(found.authorized))
    assert made["identifier"]["value"]


def test_a_changed_quantity_without_a_unit_has_none() -> None:
    """Neither side says of what: no code is made up, and none is empty."""
    claim = of_code("97112")
    del claim["item"][0]["quantity"]
    _, bundle = answered(claim)
    (found,) = decisions.read(bundle["entry"][0]["resource"], [1]).items

    assert [{"value": 4}] == [one["quantity"] for one in found.authorized]
    assert [] == [str(one) for one in structure.check(bundle)]


def test_who_has_no_id_in_the_bundle_is_still_somebody() -> None:
    """An EHR's entries need none: the child is not taken for the parent."""
    parent = {**given.patient(id="parent"), "name": [{"family": "Rivera", "given": ["Luz"]}]}
    relation = {"coding": [{"system": pas.RELATIONSHIP, "code": "19"}]}
    coverage = given.coverage(relationship=relation, subscriber={"reference": "Patient/parent"})
    bundle = built(given.claim(), parent, coverage)
    for entry in bundle["entry"]:
        entry["resource"].pop("id", None)
    made = mapped.review(bundle)

    assert made.dependent is not None
    assert ("Luz", "Ana") == (made.subscriber.first, made.dependent.first)


def test_a_reject_of_one_service_leaves_the_others_decided() -> None:
    """What was certified is not lost with what was rejected."""
    bundle, text = asked(of_code("97110", "99499"))
    answer = review_278.read(payer.answer(text))
    made = mapped.bundle(answer, mapped.review(bundle), bundle, NOW)
    found = decisions.read(made["entry"][0]["resource"], [1, 2])

    assert Action.CERTIFIED is found.items[0].action
    assert "33" == found.problems[0].code
    assert State.REJECTED is not found.state


@pytest.mark.parametrize("kind", ["update", "cancel", "appeal"])
def test_what_follows_an_earlier_request_does_not_go_as_a_new_one(kind: str) -> None:
    """A cancellation that is read as a new request would be certified again."""
    first = given.claim()
    claims = {
        "update": update_of(first, first["item"][0]),
        "cancel": {**prior_auth.cancellation(first, NOW.isoformat()), "id": "now"},
        "appeal": {**prior_auth.renewed(first, NOW.isoformat(), "2", {}), "id": "now"},
    }
    kit = replace(tools(FakeFhir()), reviews={prior_auth_route.X12_278: Never()})
    sent = built(claims[kind], first)
    found = prior_auth_review.submit({}, sent, {}, prior_auth_route.X12_278, kit)

    assert found.failure is not None
    assert "by its portal" in found.failure.text


@pytest.mark.parametrize(
    ("verdict", "code", "says"),
    [("A", "no-answer", "was taken"), ("R", REJECTED, "refused our request")],
)
def test_an_acknowledgement_is_no_answer(verdict: str, code: str, says: str) -> None:
    """A 999 in its place: taken, and never sent again by itself, or refused."""
    lines = [["AK1", "HI", "7"], ["IK5", verdict], ["AK9", verdict, "1", "1", "1"]]
    told = envelope.wrap(lines, set_id="999", group_id="FA", sender=SENDER, control=1, moment=NOW,
                         version=acknowledgement.VERSION)  # fmt: skip
    body = f"<e><Payload>{escape(told)}</Payload><ErrorCode>Success</ErrorCode></e>"
    access = Access("core", "https://hub.example", "k", "INFORCE", lambda: NOW, lambda: 7, "soap")
    with responses.RequestsMock() as hub:
        hub.post("https://hub.example", body=body)
        found = Reviews(access).review(mapped.review(built(given.claim())), timeout_s=9)

    assert found.failure is not None
    assert (code, False) == (found.failure.code, found.failure.again)
    assert says in found.failure.text


class Never:
    """A route that nothing may go by."""

    payer_system = ""

    def review(self, asked: Any, *, timeout_s: float) -> Any:
        raise AssertionError((asked, timeout_s))


def test_a_code_brings_no_delimiter_in() -> None:
    """What an EHR writes for a code cannot begin another segment."""
    claim = given.claim()
    claim["item"][0]["category"] = given.coded(f"{pas.X12}/1365", "2~AAA*N")
    _, text = asked(claim)

    assert "~AAA" not in text
