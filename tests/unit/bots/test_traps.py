"""Answers in which a careless reader finds a plan in force, a sum, or somebody who is not there."""

from datetime import date
from typing import Any

import pytest
from msgspec import structs

from bots.domain.eligibility import Inquiry, Person
from bots.domain.verdict import may_be_asked_again
from bots.handlers import check_eligibility
from bots.mapping import response
from bots.x12 import eligibility_271
from fhir_profiles import codec, elements, systems
from tests.unit.bots.test_270 import INQUIRY
from tests.x12_texts import answer_271, family_271, reject_271
from tools.golden import HEAD

ANA = Person("Rivera", "Ana", member_id="INF100001", birth_date=date(1985, 2, 14))
BEN = Person("Rivera", "Ben", birth_date=date(2015, 3, 4))
PLAN = ("EB*1**30*PR*GOLD", "EB*B**98***27*25*****Y")
OLD, NOW = "RD8*20200101-20251231", "RD8*20260101-20261231"
Told = tuple[str, bool | None]


def told(text: str, *, about: Person | None = None, types: tuple[str, ...] = ("30",)) -> Any:
    """Return what is stored of an answer to a question about Ana, or about her child `about`."""
    asked = [
        {"category": {"coding": [{"system": systems.X12_SERVICE_TYPE, "code": one}]}}
        for one in types
    ]
    wish = {**HEAD.request, "item": asked}
    question: Inquiry = structs.replace(
        INQUIRY, subscriber=ANA, dependent=about, relationship="19" if about else ""
    )
    stored = {
        "id": "r", "created": HEAD.created.isoformat(), "servicedDate": "2026-11-24",
        "meta": {"tag": []}, "extension": [],
        "identifier": [{"system": systems.TRACE, "value": "TRACE1"}],
    }  # fmt: skip
    made = check_eligibility.rebuilt(stored, wish, question, eligibility_271.read(text))
    return codec.decode(codec.encode(made))


def verdict(found: Any) -> Told:
    """Return the state, and whether the plan is in force."""
    state = elements.tag(found, systems.ELIGIBILITY_STATE)
    return state, found["insurance"][0].get("inforce")


def flags(found: Any) -> list[str]:
    """Return the flags of an answer, without what breaks the guide."""
    every = [one["valueString"] for one in elements.extensions(found, systems.EXT_FLAG)]
    return [one for one in every if not one.startswith(("guide:", "segment-count"))]


def numbers(found: Any) -> list[tuple[Any, Any, Any]]:
    """Return limit, used and left of each item that has any."""
    return [
        (benefit.get("allowedMoney", {}).get("value"), benefit.get("usedMoney", {}).get("value"),
         (elements.extension_value(item, systems.EXT_REMAINING) or {}).get("value"))
        for item in found["insurance"][0]["item"] for benefit in item.get("benefit", [])
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("reject", "state"),
    [("AAA*N**67*C", "not-found"), ("AAA*N**75*C", "not-found"),
     ("AAA*Y**42*R", "could-not-check")],
)  # fmt: skip
def test_a_rejected_dependent_has_no_benefits(reject: str, state: str) -> None:
    """x12 3.2, 3.11: the subscriber's rows say nothing about a child whom the payer rejects."""
    text = family_271(PLAN, [reject])
    found = told(text, about=BEN)

    assert (state, None) == verdict(found)
    assert "item" not in found["insurance"][0]
    assert "the subscriber, not the patient" in str(found["extension"])
    again = eligibility_271.read(text)
    assert ("42" in reject) is may_be_asked_again(again)


def test_a_rejected_child_does_not_hide_the_subscriber() -> None:
    """Asked about the mother: her plan, and nothing of the child whom nobody asked about."""
    found = told(family_271(PLAN, ["AAA*N**67*C"]))

    assert ("active", True) == verdict(found)
    assert "error" not in found


def test_the_subscribers_plan_has_the_subscribers_dates() -> None:
    """x12 3.6: the end of the child's plan is not the mother's."""
    ended = ["DTP*346*D8*20240101", "DTP*347*D8*20251231", "EB*6**30"]
    found = told(family_271(["EB*1**30"], ended))

    assert ("active", True) == verdict(found)
    assert "benefitPeriod" not in found["insurance"][0]


def test_a_correction_is_of_the_person_whom_it_stands_with() -> None:
    """x12 3.3: that the payer corrected the mother does not make the twin the child."""
    corrected, rows = ["INS*Y*18*001*25"], ["EB*1**30"]
    twin = told(family_271(corrected, rows, name="BEA"), about=BEN)
    own = told(family_271([], ["INS*N*19*001*25", *rows], name="BEA"), about=BEN)

    assert ("could-not-check", None) == verdict(twin)
    assert ("active-review", True) == verdict(own)


@pytest.mark.parametrize(
    ("number", "birth_date", "state"),
    [("INF100001", "", "active"), ("INF10000102", "", "could-not-check"),
     ("INF10000102", "DMG*D8*19850214*F~", "active")],
)  # fmt: skip
def test_a_longer_member_id_alone_may_be_a_relatives(
    number: str, birth_date: str, state: str
) -> None:
    """prior-art f10: what is added to an id is often the number of the family's member."""
    text = answer_271("EB*1**30").replace("RIVERA*ANA****MI*INF100001", f"*****MI*{number}")
    text = text.replace("DMG*D8*19850214*F~", birth_date)

    assert state == verdict(told(text))[0]


@pytest.mark.parametrize(
    ("rows", "expected", "period"),
    [
        (["EB*1**30*HM*MEDICAL", "EB*1**30*PR*OLD", f"DTP*291*{OLD}"], ("active", True), {}),
        (["DTP*346*D8*20260101", "EB*1**30*MA", "EB*1**30*MB", f"DTP*291*{OLD}"],
         ("active", True), {"start": "2026-01-01"}),
        (["EB*1**30*MC", f"DTP*307*{OLD}", "DTP*307*RD8*20261101-20261130"], ("active", True),
         {"start": "2026-11-01", "end": "2026-11-30"}),
        ([f"DTP*291*{OLD}", f"DTP*291*{NOW}", "EB*1**30"], ("active", True),
         {"start": "2026-01-01", "end": "2026-12-31"}),
        (["DTP*346*D8*20250101", "DTP*347*D8*20251231", "DTP*346*D8*20260101", "EB*1**30"],
         ("active", True), {"start": "2026-01-01"}),
        ([f"DTP*346*{OLD}", "EB*1**30"], ("inactive", False),
         {"start": "2020-01-01", "end": "2025-12-31"}),
        (["EB*6**30*PR*NEW", "EB*6**30*PR*OLD", f"DTP*291*{OLD}"], ("inactive", False),
         {"start": "2020-01-01", "end": "2025-12-31"}),
        (["EB*1**30", "DTP*291*D8*20270601"], ("inactive", False), {"start": "2027-06-01"}),
    ],
)  # fmt: skip
def test_the_days_of_each_plan(rows: list[str], expected: Told, period: dict[str, str]) -> None:
    """x12 3.6, 3.7: of several plans and spans the one that holds on the day counts."""
    found = told(answer_271(*rows))

    assert expected == verdict(found)
    assert period == found["insurance"][0].get("benefitPeriod", {})


@pytest.mark.parametrize(
    ("rows", "flag"),
    [
        (["DTP*346*D8*20250101", "DTP*347*D8*06302026", "EB*1**30"], "unreadable:DTP03"),
        (["EB*1**30", "DTP*348*D8*20250101", "DTP*349*D8*20261331"], "unreadable:DTP03"),
        (["DTP*291*RD8*20250101-2026063", "EB*1**30"], "unreadable:DTP03"),
        (["DTP*346*D8*20250101", "DTP*357*D8*20260630", "EB*1**30"], "status-date-conflict"),
        (["DTP*346*D8*20250101", f"DTP*307*{OLD}", "EB*1**30"], "status-date-conflict"),
        (["DTP*347*D8*20251231", "EB*1**30", "DTP*348*D8*20250101"], "status-date-conflict"),
        (["DTP*346*D8*20260601", "DTP*347*D8*20251231", "EB*1**30"], "status-date-conflict"),
        (["EB*1**30", "EB*B**98***27*-25"], "negative:EB07"),
        (["EB*1**30", "EB*A**98*****-.2"], "negative:EB08"),
    ],
)
def test_what_speaks_against_a_plan_is_looked_at(rows: list[str], flag: str) -> None:
    """x12 3.1, 3.6: an end that cannot be read, or gave way to another date, is never silent."""
    found = told(answer_271(*rows))

    assert ("active-review", True) == verdict(found)
    assert flag in flags(found)


def test_a_new_span_beside_an_old_one_is_no_conflict() -> None:
    """Payers list the years of a plan: what ended before is not held against the plan."""
    rows = ["DTP*346*D8*20250101", "DTP*347*D8*20251231", "DTP*346*D8*20260101", "EB*1**30"]

    assert [] == flags(told(answer_271(*rows)))


@pytest.mark.parametrize(
    ("rows", "types", "expected"),
    [
        (["EB*6*IND***********AD:D8080"], ("30",), ("could-not-check", None)),
        (["EB*1*IND***********AD:D0120"], ("30",), ("active-review", True)),
        (["EB*1**30", "EB*6*IND***********AD:D8080"], ("30",), ("active", True)),
        (["EB*6**35^"], ("30",), ("could-not-check", None)),
        (["EB*1**AL", "EB*6**35"], ("35",), ("could-not-check", None)),
        (["EB*1**88", "EB*I**35"], ("35",), ("could-not-check", None)),
        (["EB*1**88", "EB*I**35*********N"], ("35",), ("active-review", True)),
        (["EB*1**35", "EB*I**35"], ("35",), ("active-review", True)),
    ],
)  # fmt: skip
def test_a_service_is_not_the_plan(rows: list[str], types: tuple[str, ...], expected: Told) -> None:
    """x12 3.7: what is said of a service or procedure says nothing about the plan."""
    assert expected == verdict(told(answer_271(*rows), types=types))


def test_blanks_and_empty_repeats_are_no_service_types() -> None:
    """x12 3.1: 98 and 30, and not a third row without a type."""
    answer = eligibility_271.read(answer_271("EB*1**98 ^ 30^"))

    assert ["98", "30"] == [row.service_type for row in answer.benefits]
    assert () == answer.benefits[0].flags


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (["EB*L**98", "DTP*295*D8*20250101", "MSG*REFERRAL NEEDED", "NM1*P3*1*SMITH*JO"],
         ["REFERRAL NEEDED", "JO SMITH", "2025-01-01", "Office", "EB*L**98"]),
        (["EB*MC*IND*30*HM*STAR", "REF*1W*77", "MSG*USE THE MCO", "NM1*Y2*2*AMERI"],
         ["USE THE MCO", "AMERI", "STAR", "77", "Health Maintenance"]),
        (["EB*U**30", "MSG*CALL STATE", "NM1*PR*2*MEDICAID", "PER*IC**TE*8005551212"],
         ["CALL STATE", "MEDICAID", "8005551212"]),
        (["EB*R**MH", "NM1*VN*2*MINDS*****PI*87726", "PER*IC**TE*8005550100"],
         ["MINDS", "87726", "8005550100", "Mental Health"]),
        (["EB*R*IND*30*12*WORKING AGED", "NM1*PRP*2*AETNA"], ["Working Aged", "WORKING AGED"]),
        (["DTP*343*D8*20261031"], ["2026-10-31"]),
    ],
)  # fmt: skip
def test_nothing_that_is_said_is_lost(row: list[str], words: list[str]) -> None:
    """x12 3.4, 3.6, 3.9, 3.14: texts, days, references and parties of rows without amounts."""
    rows = [*row, "EB*1**30"] if row[0].startswith("DTP") else ["EB*1**30", *row]
    extensions = str(told(answer_271(*rows))["extension"])

    assert [] == [word for word in words if word not in extensions]


def test_one_row_for_many_services_is_one_finding() -> None:
    """x12 3.9: another payer is named once, with the services it is for."""
    found = told(answer_271("EB*1**30", "EB*R**30^1^33*HN", "NM1*PRP*2*HUMANA"))

    (other,) = elements.extensions(found, systems.EXT_OTHER_PAYER)
    services = [part["valueString"] for part in other["extension"] if part["url"] == "service"]
    assert 3 == len(services)


def test_a_note_with_a_number_or_an_authorization_is_an_item() -> None:
    """prior-art f13, x12 3.4: EB11 counts whatever the row is; no amount is dropped."""
    rows = ("EB*1**30", "EB*CB*IND*48********Y*Y", "EB*D*IND*62***27*100****Y*Y", "EB*D**30")
    items = told(answer_271(*rows))["insurance"][0]["item"]

    assert [None, True, True] == [item.get("authorizationRequired") for item in items]
    assert "100.00" == str(items[2]["benefit"][0]["allowedMoney"]["value"])


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (["EB*C*IND*30*PR*SILVER*23*2000*****Y", "EB*C*IND*30*PR*GOLD*23*1000*****Y",
          "EB*C*IND*30*PR*GOLD*29*400*****Y", "EB*C*IND*30*PR*SILVER*29*1900*****Y"],
         [(2000, 100, 1900), (1000, 600, 400)]),
        (["EB*C*IND*30***23*2000*****Y", "REF*18*A", "EB*C*IND*30***23*1000*****Y", "REF*18*B",
          "EB*C*IND*30***29*400*****Y", "REF*18*B"], [(2000, None, None), (1000, 600, 400)]),
        (["EB*C*IND*30*PR*SILVER*23*2000*****Y", "EB*C*IND*30*PR*GOLD*23*1000*****Y",
          "EB*C*IND*30*PR**29*400*****Y"], [(2000, None, None), (1000, None, None),
                                            (None, None, 400)]),
        (["EB*C*IND*30*PR*GOLD*23*1000*****Y", "EB*C*IND*30*PR**29*400*****Y"],
         [(1000, 600, 400)]),
        (["EB*C*IND*30***23*1000*****Y", "EB*C*IND*30***29*400*****Y",
          "EB*C*IND*30***29*400*****Y"], [(1000, 600, 400)]),
        (["EB*C*IND*30***23*1000*****Y", "EB*C*IND*30***29*400*****Y", "DTP*636*D8*20261101"],
         [(1000, 600, 400)]),
        (["EB*C*IND*30***23*1000*****Y", "EB*C*IND*30***29*-50*****Y"], [(1000, None, -50)]),
    ],
)  # fmt: skip
def test_what_is_left_is_left_of_the_limit_of_its_plan(
    rows: list[str], expected: list[tuple[Any, ...]]
) -> None:
    """x12 0.4, 3.5, 3.8: name and number of a plan tell limits apart, repeats do not add up."""
    assert expected == numbers(told(answer_271("EB*1**30", *rows)))


def test_what_is_used_of_two_limits_is_not_one_repeat() -> None:
    """x12 3.8: equal amounts beside other ones are another limit's, as stated, not calculated."""
    rows = [f"EB*C*IND*30***{period}*{amount}*****Y" for period, amount in
            (("23", 1000), ("23", 1500), ("24", 600), ("29", 400), ("24", 600), ("29", 900),
             ("29", 900))]  # fmt: skip
    found = told(answer_271("EB*1**30", *rows))

    assert [(1000, 600, 400), (1500, 600, 900)] == numbers(found)
    assert systems.EXT_DERIVED not in str(found)


def test_numbers_in_odd_places_are_the_ones_meant() -> None:
    """x12 3.4, 3.5: $0 beside 20%, money beside visits, and a limit that only an HSD states."""
    rows = (
        "EB*1**30", "EB*A*IND*98*PR**27*0*.2****Y", "EB*F*IND*33*PR**23*1000**VS*20**Y",
        "EB*F*IND*34*PR**23******Y", "HSD*VS*20***23*1", "EB*F*IND*34*PR**29***VS*14**Y",
    )  # fmt: skip
    _, share, both, visits = told(answer_271(*rows))["insurance"][0]["item"]

    assert [20] == [one["allowedUnsignedInt"] for one in share["benefit"]]
    money, count = both["benefit"]
    assert ("1000.00", "20 visits") == (str(money["allowedMoney"]["value"]), count["allowedString"])
    (benefit,) = visits["benefit"]
    assert (20, 6) == (benefit["allowedUnsignedInt"], benefit["usedUnsignedInt"])


@pytest.mark.parametrize("network", ["W", "", "Y"])
def test_a_limit_that_is_exceeded_is_used_up(network: str) -> None:
    """x12 3.8: also where the statement does not say for which network."""
    rows = ("EB*1**30", "EB*F*IND*33***23***VS*20**Y", f"EB*F*IND*33***30***VS*20**{network}")
    limit = told(answer_271(*rows))["insurance"][0]["item"][1]

    assert 0 == elements.extension_value(limit, systems.EXT_REMAINING)


def test_a_failing_transaction_does_not_lose_its_neighbour() -> None:
    """x12 3.1: neither one without content nor one that was rejected."""
    good, bad = answer_271("EB*1**30"), reject_271("AAA*N**75*C")
    empty = good.replace("ST*271*0001", "ST*271*0001*X~BHT*0022*11~SE*3*0001~ST*271*0002", 1)
    both = bad.partition("GE*")[0] + good[good.index("ST*271") :]

    assert ("active", True) == verdict(told(empty))
    assert ("active", True) == verdict(told(both))
    assert "more-patients" in flags(told(both))
    with pytest.raises(eligibility_271.NotA271):
        eligibility_271.read("ST*271*1~BHT*0022*11~SE*3*1~")


def test_an_hsd_over_years_is_plain_english() -> None:
    """20 visits in 2 years, with one s."""
    rows = answer_271("EB*F*IND*33***21******Y", "HSD*VS*20***21*2")
    made = response.answered(HEAD, eligibility_271.read(rows), "sandbox")

    assert "20 visits in 2 years" == made["insurance"][0]["item"][0]["description"]
