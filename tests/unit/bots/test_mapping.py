"""FHIR to an inquiry, an answer to FHIR: what is taken, named missing, written."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from bots.mapping import alert, inquiry, request, response, tasks
from bots.mapping.alert import Kind
from bots.mapping.inquiry import Facts, Problem
from bots.mapping.request import Wish
from bots.mapping.response import Head
from bots.x12 import eligibility_270, eligibility_271
from fhir_profiles import elements, systems
from fhir_profiles.codes import Reason, State
from server import fhirpath
from tests import samples
from tests.fakes import NOW
from tests.x12_texts import answer_271, file_271, reject_271

TODAY = date(2026, 11, 24)


def facts(**more: Any) -> Facts:
    known: dict[str, Any] = {
        "coverage": samples.coverage(),
        "patient": samples.patient(),
        "payer": samples.payer(),
        "provider": samples.clinic(),
    }
    return Facts(**{**known, **more})


def asked(known: Facts, **more: Any) -> Any:
    return inquiry.to_inquiry(samples.request(**more), known, trace="TRACE1", today=TODAY)


def test_a_subscriber_is_asked_about_with_own_data() -> None:
    """R002-13 to R002-16: names, birth date, member id, NPI, payer id, day of service."""
    found = asked(facts(), servicedDate="2026-12-01")

    assert ("Rivera", "Ana", "Q", "INF100001", date(1985, 2, 14), "F") == (
        found.subscriber.last, found.subscriber.first, found.subscriber.middle,
        found.subscriber.member_id, found.subscriber.birth_date,
        found.subscriber.gender)  # fmt: skip
    assert ("00099", samples.NPI, date(2026, 12, 1), ("30",), None) == (
        found.payer_id, found.provider_npi, found.service_date, found.service_types,
        found.dependent)  # fmt: skip


def test_a_child_is_the_dependent_of_the_subscriber() -> None:
    """prior-art check 9: never the subscriber's answer for the dependent."""
    coverage = samples.coverage(relationship=samples.relationship("child"),
                                subscriber={"reference": "Patient/parent"})  # fmt: skip
    parent = samples.patient("parent", name=[{"family": "Rivera", "given": ["Sam"]}])
    found = asked(facts(coverage=coverage, subscriber=parent))

    assert ("Sam", "INF100001") == (found.subscriber.first, found.subscriber.member_id)
    assert ("Ana", "", "19") == (
        found.dependent.first, found.dependent.member_id, found.relationship)  # fmt: skip


def test_a_dependent_with_an_own_member_id_is_asked_as_subscriber() -> None:
    """x12 4.1: the payer knows such a person as a subscriber."""
    own = {
        "type": {"coding": [{"system": systems.V2_IDENTIFIER_TYPE, "code": "MB"}]},
        "value": "OWN7",
    }
    coverage = samples.coverage(relationship=samples.relationship("child"), identifier=[own])
    found = asked(facts(coverage=coverage))

    assert ("OWN7", None) == (found.subscriber.member_id, found.dependent)


@pytest.mark.parametrize(
    ("code", "expected"),
    [("spouse", "01"), ("child", "19"), ("parent", "34"), ("other", "34"), ("odd", "")],
)
def test_relationships(code: str, expected: str) -> None:
    """Only what the 270 knows; an unknown one is named missing, not guessed."""
    coverage = samples.coverage(relationship=samples.relationship(code))
    found = asked(facts(coverage=coverage))

    assert expected == found.relationship
    assert ("relationship" in eligibility_270.missing(found)) == (not expected)


def test_who_is_the_subscriber_without_a_relationship() -> None:
    """The beneficiary where nobody else is named; else a relationship is needed."""
    same = samples.coverage(subscriber={"reference": "Patient/pat"})
    other = samples.coverage(subscriber={"reference": "Patient/other"})
    del same["relationship"], other["relationship"]

    assert (True, False) == (inquiry.is_self(same), inquiry.is_self(other))
    assert ("", "Patient/other", "") == tuple(
        inquiry.subscriber_address(c) for c in (same, other, None)
    )


def test_payer_ids_hold_on_the_day_of_service() -> None:
    """Each route takes its own id, else the plain one; an id out of its period is none."""
    payer = samples.payer(identifier=[
        {"system": systems.PAYER_ID, "value": "OLD", "period": {"end": "2026-06-30"}},
        {"system": systems.PAYER_ID, "value": "NEW", "period": {"start": "2026-07-01"}},
        {"system": systems.STEDI_PAYER, "value": "ST1"},
        {"system": "http://tax.example", "value": "12-345"},
    ])  # fmt: skip
    found = asked(facts(payer=payer))
    earlier = asked(facts(payer=payer), servicedDate="2026-06-30")

    assert ("NEW", "ST1", "NEW") == (
        found.payer_id, found.at(systems.STEDI_PAYER).payer_id, found.at("x").payer_id)  # fmt: skip
    assert "OLD" == earlier.payer_id
    assert ((systems.STEDI_PAYER, "ST1"),) == found.route_payer_ids


def test_nothing_is_made_up_for_what_is_missing() -> None:
    """prior-art check 14: every gap by its name, with no exception on the way."""
    gaps = eligibility_270.missing(
        asked(Facts(samples.coverage(subscriberId=""), None, None, None))
    )

    assert ("payer-id", "payer-name", "provider-npi", "provider-name", "member-id", "patient-name",
            "birth-date") == gaps  # fmt: skip


def test_service_types_are_checked_with_their_place() -> None:
    """prior-art check 11: ZZZ is named by item and coding; aliases of the system are taken."""
    wish = samples.request(item=[
        {"category": {"coding": [{"system": systems.X12_SERVICE_TYPE_ALIAS, "code": "98"}]}},
        {"category": {"coding": [{"system": "http://other", "code": "x"},
                                 {"system": systems.X12_SERVICE_TYPE, "code": "ZZZ"}]}},
    ])  # fmt: skip

    assert ("98", "ZZZ") == inquiry.service_types(wish)
    assert ["CoverageEligibilityRequest.item[1].category.coding[1]"] == [
        p.expression for p in inquiry.problems(wish, facts())
    ]


@pytest.mark.parametrize(
    ("change", "material"),
    [
        ({"text": {"status": "generated", "div": "x"}}, False),
        ({"meta": {"tag": [{"code": "x"}]}}, False),
        ({"extension": [{"url": systems.EXT_COVERAGE_STATE, "valueCode": "x"}]}, False),
        ({"subscriberId": "NEW"}, True),
        ({"period": {"start": "2026-01-01"}}, True),
        ({"payor": [{"reference": "Organization/other"}]}, True),
        ({"status": "cancelled"}, True),
    ],
)
def test_what_matters_in_a_coverage(change: dict[str, Any], material: bool) -> None:
    """prior-art check 16: a text changes nothing, a member id does."""
    assert material is is_material(samples.coverage(**change), samples.coverage())


def is_material(new: dict[str, Any], old: dict[str, Any] | None) -> bool:
    """Tell what both say, the bot and the criterion that spares it deliveries."""
    found = request.is_material_change(new, old)
    assert found is fhirpath.criterion(request.MATERIAL_CHANGE)(old, new)
    return found


def test_empty_counts_as_a_value() -> None:
    """A member id that was added is a change, and one that was taken away."""
    without = samples.coverage()
    del without["subscriberId"]

    assert is_material(samples.coverage(), without)
    assert is_material(without, samples.coverage())
    assert is_material(without, None)


def test_a_request_is_named_by_its_question() -> None:
    """The same question after the same one is one trace; any other has its own."""

    def trace(after: str = "", day: date = TODAY, **coverage: Any) -> str:
        wish = Wish(Reason.BOOKING, "Appointment/1", day)
        made = request.to_request(samples.coverage(**coverage), wish, "", after=after, created=NOW)
        return elements.identifier(made, systems.TRACE)

    assert trace() == trace(meta={"versionId": "7"}) == trace(text={"status": "generated"})
    others = [trace("req-1"), trace(day=date(2026, 12, 1)), trace(subscriberId="NEW")]
    assert 4 == len({trace(), *others})
    assert 32 == len(trace())


def test_a_request_names_its_reason_its_cause_and_its_types() -> None:
    """R003-46: the reason is a tag; the cause is the same for the same event."""
    wish = Wish(Reason.T_24H, "Appointment/1", TODAY, ("30", "98"))
    made = request.to_request(samples.coverage(), wish, "Organization/clinic", after="",
                              created=NOW)  # fmt: skip

    assert "t-24h" == elements.tag(made, systems.CHECK_REASON)
    assert request.cause_of(wish) == elements.identifier(made, systems.CAUSE)
    assert request.cause_of(wish) != request.cause_of(replace(wish, reason=Reason.BOOKING))
    assert ("30", "98") == inquiry.service_types(made)
    assert {"reference": "Organization/clinic"} == made["provider"]


def test_servers_without_versions_are_served_too() -> None:
    """LastUpdated names the version, else the content does."""
    dated = request.version_address(samples.coverage(meta={"lastUpdated": "2026-01-01T00:00:00Z"}))
    plain = request.version_address(samples.coverage())

    assert dated.endswith("/_history/2026-01-01T00:00:00Z")
    assert plain == request.version_address(samples.coverage())
    assert plain != request.version_address(samples.coverage(subscriberId="x"))


def test_who_asks_and_who_is_asked() -> None:
    """The clinic, else the practitioner, else the setting; a payer without Organization is said."""
    practitioner = {"reference": "Practitioner/p"}
    patient = samples.patient(generalPractitioner=[practitioner])
    alone = {k: v for k, v in patient.items() if k != "managingOrganization"}

    assert "Organization/clinic" == request.provider_of(patient, "Organization/x")
    assert "Practitioner/p" == request.provider_of(alone, "Organization/x")
    assert "Organization/x" == request.provider_of({}, "Organization/x")
    assert {"display": "Aunt"} == request.insurer_of(
        samples.coverage(payor=[{"reference": "RelatedPerson/1", "display": "Aunt"}])
    )


HEAD = Head(samples.request(), "TRACE1", datetime(2026, 11, 24, 15, tzinfo=UTC), TODAY)


def answered(text: str) -> dict[str, Any]:
    return response.prune(response.answered(HEAD, eligibility_271.read(text), "sandbox"))


@pytest.mark.parametrize(
    ("text", "state", "outcome", "inforce"),
    [
        (answer_271("EB*1**30"), State.ACTIVE, "complete", True),
        (answer_271("EB*1**30", "EB*R**30"), State.ACTIVE_REVIEW, "complete", True),
        (answer_271("EB*1**30", "EB*R**35"), State.ACTIVE, "complete", True),
        (answer_271("EB*1**30", "EB*B**Z9***27*5"), State.ACTIVE_REVIEW, "complete", True),
        (answer_271("EB*5**30"), State.ACTIVE_REVIEW, "complete", True),
        (answer_271("EB*6**30"), State.INACTIVE, "complete", False),
        (answer_271("EB*B**98***27*25"), State.COULD_NOT_CHECK, "complete", None),
        (answer_271("EB*I**98"), State.COULD_NOT_CHECK, "complete", None),
        (answer_271("EB*1**30", "AAA*N**70*C"), State.ACTIVE_REVIEW, "partial", True),
        (reject_271("AAA*N**75*C"), State.NOT_FOUND, "error", None),
        (reject_271("AAA*N**51*C"), State.COULD_NOT_CHECK, "error", None),
        (file_271("aaa-42-payer-down"), State.COULD_NOT_CHECK, "error", None),
    ],
)
def test_states(text: str, state: State, outcome: str, inforce: bool | None) -> None:
    """One of eight states, beside outcome and inforce; the resource itself stays active."""
    found = answered(text)

    assert (state.value, outcome, inforce, "active") == (
        elements.tag(found, systems.ELIGIBILITY_STATE), found["outcome"],
        found["insurance"][0].get("inforce"), found["status"])  # fmt: skip
    assert found["disposition"]


def test_errors_carry_the_payers_code_and_who_can_mend_it() -> None:
    """x12 3.11: AAA03 as coding, loop, follow-up, owner, action."""
    (error,) = answered(reject_271("AAA*N**72*C"))["error"]
    parts = {p["url"]: p["valueString"] for p in error["extension"][0]["extension"]}

    assert "72" == elements.code(error["code"], systems.X12_REJECT)
    assert ("2100C", "N", "C", "front-desk") == tuple(
        parts[n] for n in ("loop", "valid", "followUp", "owner")
    )


def test_every_concept_has_the_x12_coding() -> None:
    """prior-art check 3: type, network, unit, term and category, each with a system."""
    for item in answered(file_271("active-ppo"))["insurance"][0]["item"]:
        concepts = [item[n] for n in ("category", "network", "unit", "term") if n in item]
        concepts += [benefit["type"] for benefit in item.get("benefit", [])]
        for concept in concepts:
            assert concept["text"]
            systems_of = [coding["system"] for coding in concept["coding"]]
            assert systems_of[0].startswith("https://codesystem.x12.org/005010/")


def test_hl7_codes_only_where_they_mean_the_same() -> None:
    """The patient's out-of-pocket limit is not HL7's `benefit`; W has no HL7 network."""
    found = answered(answer_271("EB*1**30", "EB*G*IND*30***23*5000*****W", "EB*F*IND*33***23*900"))
    limit, visits = found["insurance"][0]["item"][1:]
    hl7 = systems.HL7_BENEFIT_TYPE

    assert "" == elements.code(limit["benefit"][0]["type"], hl7)
    assert "out-of-pocket-maximum" == elements.code(
        limit["benefit"][0]["type"], systems.BENEFIT_TYPE
    )
    assert "" == elements.code(limit["network"], systems.BENEFIT_NETWORK)
    assert "benefit" == elements.code(visits["benefit"][0]["type"], hl7)


def test_an_absent_amount_stays_absent() -> None:
    """No zero where the payer said nothing."""
    found = answered(answer_271("EB*1**30", "EB*B*IND*98***27", "EB*C*IND*30***23"))

    for item in found["insurance"][0]["item"][1:]:
        assert ["type"] == list(item["benefit"][0])


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (["EB*B*IND*98***27*25"], ("allowedMoney", {"value": Decimal("25.00"), "currency": "USD"})),
        (["EB*B*IND*98***27*12.345"],
         ("allowedMoney", {"value": Decimal("12.345"), "currency": "USD"})),
        (["EB*A*IND*98***27**.2"], ("allowedUnsignedInt", 20)),
        (["EB*A*IND*98***27**.125"], ("allowedString", "12.5%")),
        (["EB*F*IND*33***23***VS*20"], ("allowedUnsignedInt", 20)),
        (["EB*F*IND*33***23***VS*2.5"], ("allowedString", "2.5 visits")),
        (["EB*H*IND*33"], ("allowedString", "unlimited")),
    ],
)  # fmt: skip
def test_values_in_the_types_that_r4_has(rows: list[str], expected: tuple[str, Any]) -> None:
    """prior-art check 1: 25 is 25.00 dollars, .2 is 20, an eighth is a text."""
    (item,) = answered(answer_271(*rows))["insurance"][0]["item"]

    assert expected[1] == item["benefit"][0][expected[0]]


@pytest.mark.parametrize(
    ("hsd", "text"),
    [
        ("HSD*VS*20***23*1", "20 visits per calendar year"),
        ("HSD*VS*2*WK*1*26*1", "2 visits per week per episode"),
        ("HSD*HS*3*DA*2", "3 hours per 2 days"),
        ("HSD*VS*5***34*2", "5 visits in 2 months"),
        ("HSD***DA*1", ""),
    ],
)
def test_deliveries_in_words(hsd: str, text: str) -> None:
    """An HSD is a phrase that people read."""
    (item,) = answered(answer_271("EB*F*IND*33***23***VS*20", hsd))["insurance"][0]["item"]

    assert text == item.get("description", "")


def test_other_payers_are_findings_and_a_task_but_no_item() -> None:
    """prior-art check 12."""
    found = answered(file_271("medicare-advantage-other-payer"))
    stored = {**found, "id": "r"}
    (task,) = tasks.of_answer(stored, NOW)

    assert "coordination-of-benefits" == task["code"]["coding"][0]["code"]
    assert [task] == tasks.of_answer(stored, NOW)
    assert 1 == len(list(elements.extensions(found, systems.EXT_OTHER_PAYER)))
    assert "FEDERAL MEDICARE" not in str(found["insurance"])
    assert [] == tasks.of_answer({**answered(answer_271("EB*1**30")), "id": "r"}, NOW)


def test_what_was_not_sent_says_why() -> None:
    """A response with every gap, and no word on the plan."""
    problems = [Problem("missing-member-id", "The coverage has no member id."),
                Problem("unknown-service-type", "Not on the list.", "X.item[0]")]  # fmt: skip
    found = response.prune(
        response.unanswered(HEAD, problems, state=State.COULD_NOT_CHECK, route="")
    )

    assert (
        "The check was not sent: The coverage has no member id. Not on the list."
        == (found["disposition"])
    )
    assert ["missing-member-id", "unknown-service-type"] == [
        elements.code(e["code"], systems.CHECK_ERROR) for e in found["error"]
    ]
    assert {"coverage"} == set(found["insurance"][0])


def test_a_mark_is_never_set_back() -> None:
    """An older answer does not replace the mark of a newer one."""
    stored = {**answered(answer_271("EB*1**30")), "id": "r"}
    marked = samples.coverage(extension=[response.coverage_mark(stored)])
    later = {**stored, "created": "2026-11-24T16:00:00.000+00:00"}

    assert response.has_newer_mark(marked, stored)
    assert not response.has_newer_mark(marked, later)
    assert not response.has_newer_mark(samples.coverage(), stored)


def spoken(trace: str, state: State, minute: int, coverage: str = "Coverage/cov") -> dict[str, Any]:
    return {
        "resourceType": "CoverageEligibilityResponse",
        "id": trace,
        "meta": {"tag": [{"system": systems.ELIGIBILITY_STATE, "code": state.value}]},
        "identifier": [{"system": systems.TRACE, "value": trace}],
        "patient": {"reference": "Patient/pat"},
        "insurer": {"reference": "Organization/payer"},
        "servicedDate": "2026-11-24",
        "created": f"2026-11-24T10:{minute:02d}:00Z",
        "insurance": [{"coverage": {"reference": coverage}}],
    }


@pytest.mark.parametrize(
    ("kind", "states", "start"),
    [
        (alert.INACTIVE, "i", 0),
        (alert.INACTIVE, "ii", 0),
        (alert.INACTIVE, "ai", 1),
        (alert.INACTIVE, "aii", 1),
        (alert.INACTIVE, "iai", 2),
        (alert.INACTIVE, "ici", 0),
        (alert.INACTIVE, "aciai", 4),
        (alert.INACTIVE, "aci", 2),
        (alert.FLIP, "a", None),
        (alert.FLIP, "aa", None),
        (alert.FLIP, "ca", None),
        (alert.FLIP, "ia", 1),
        (alert.FLIP, "ica", 2),
        (alert.FLIP, "iaa", 1),
        (alert.FLIP, "iaia", 3),
        (alert.COULD_NOT_CHECK, "c", 0),
        (alert.COULD_NOT_CHECK, "cc", 0),
        (alert.COULD_NOT_CHECK, "ac", 1),
        (alert.COULD_NOT_CHECK, "cac", 2),
        (alert.COULD_NOT_CHECK, "cic", 2),
    ],
)
def test_a_spell_begins_with_the_change(kind: Kind, states: str, start: int | None) -> None:
    """prior-art check 35: active to inactive is one spell; no answer in between ends it."""
    words = {"i": State.INACTIVE, "a": State.ACTIVE, "c": State.COULD_NOT_CHECK}
    line = [spoken(f"T{n}", words[s], n) for n, s in enumerate(states)]
    line.append(spoken("OTHER", State.ACTIVE, 59, "Coverage/other"))

    traces = alert.spell(kind, line[len(states) - 1], reversed(line), UTC)

    assert ([] if start is None else [f"T{start}"]) == traces[:1]
    assert start is None or f"T{len(states) - 1}" in traces


@pytest.mark.parametrize("kind", alert.KINDS.values(), ids=lambda kind: kind.code)
def test_a_mail_holds_no_patient_data(kind: Kind) -> None:
    """45 CFR 164.502(b): a count, a date, an opaque link."""
    found = spoken("T1", State.INACTIVE, 0)
    text = alert.subject(kind, found) + alert.text(kind, found, "https://x.example")
    text += "".join(alert.digest([(kind, found)] * 2, "https://x.example"))

    assert "https://x.example/benefits/cov\n" in text
    assert "24 Nov 2026" in text
    for secret in ("Rivera", "Ana", "1985", "INF100001", "Patient/"):
        assert secret not in text


def test_recipients_come_from_the_organization_else_from_the_setting() -> None:
    """The site first, then the payer's contact for alerts, then the fall-back."""
    purpose = {"coding": [{"system": systems.CONTACT_PURPOSE, "code": alert.PURPOSE}]}
    named = samples.payer(contact=[
        {"telecom": [{"system": "email", "value": "not-for-this@x.example"}]},
        {"purpose": purpose, "telecom": [{"system": "email", "value": "desk@x.example"},
                                         {"system": "phone", "value": "1"}]},
    ])  # fmt: skip

    assert ["desk@x.example"] == alert.recipients([samples.clinic(), named], ("f@x.example",))
    assert ["f@x.example"] == alert.recipients([None, samples.clinic()], ("f@x.example",))
