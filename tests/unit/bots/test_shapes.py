"""Vendors' JSON as the one normal form (x12 5.1, 5.2; checks 10 and 16 of x12 section 6)."""

from collections.abc import Callable
from copy import deepcopy
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bots.domain.eligibility import Answer, Benefit, Dated, Delivery, Identifier, Procedure
from bots.shapes import change, coverages, difference, fields, plans
from bots.shapes.fields import Json, Shapeless
from bots.x12 import eligibility_271
from fhir_profiles import codec
from tests.unit.bots.test_270 import DEPENDENT, INQUIRY

FIXTURES = Path(__file__).parents[3] / "fixtures"
X12 = eligibility_271.read((FIXTURES / "x12/271/active-ppo.edi").read_text("utf-8"))
Reader = Callable[[Json], Answer | None]
READERS: dict[str, Reader] = {
    "change": change.read,
    "plans": plans.read,
    "coverages": coverages.read,
}


def recorded(folder: str) -> Json:
    """Return the body of a recorded answer."""
    found: Json = codec.decode((FIXTURES / "clearinghouses" / folder / "active.json").read_bytes())
    return dict(found["body"])


BODIES = {
    "change": recorded("stedi-2024-04-01"),
    "plans": recorded("stedi-2026-06-01"),
    "coverages": codec.decode((FIXTURES / "coverages/active-ppo.json").read_bytes()),
}


def read(shape: str, body: Json) -> Answer:
    valid = fields.valid(body, shape)
    assert valid is not None
    found = READERS[shape](valid)
    assert found is not None
    return found


def told(row: Benefit, *leave: str) -> tuple[Any, ...]:
    """Return what a row says, without where it stood and what a shape cannot say."""
    names = [
        n for n in row.__struct_fields__ if n not in ("index", "repeat", "raw", "position", *leave)
    ]
    return tuple((name, getattr(row, name)) for name in names)


# What a shape cannot say as the 271 said it: see the module of each.
LOSSES = {
    "change": (),
    "plans": ("level", "insurance_type", "plan_name", "network"),
    "coverages": ("level", "insurance_type", "plan_name"),
}


@pytest.mark.parametrize("shape", BODIES)
def test_the_same_answer_in_every_shape(shape: str) -> None:
    """The rows of the 271, whatever vendor tells them; and the same person, payer and plan."""
    found = read(shape, BODIES[shape])

    def rows(answer: Answer) -> list[str]:
        return sorted(str(told(row, *LOSSES[shape])) for row in answer.benefits)

    assert rows(X12) == rows(found)
    assert X12.subscriber == found.subscriber
    assert X12.dependent == found.dependent
    assert (X12.payer.name, X12.payer.id, X12.payer.contacts) == (
        found.payer.name, found.payer.id, found.payer.contacts)  # fmt: skip
    assert {i.value for i in X12.identifiers} == {i.value for i in found.identifiers}
    assert (date(2026, 1, 1),) == tuple(d.start for d in found.dates)
    assert () == found.flags


@pytest.mark.parametrize("shape", BODIES)
def test_a_row_leads_back_to_its_json(shape: str) -> None:
    """Every row holds the entry that it was read from, and a number of its own."""
    found = read(shape, BODIES[shape])
    text = codec.encode(fields.valid(BODIES[shape], shape)).decode()

    assert all(row.raw and row.raw in text for row in found.benefits)
    assert len({(row.index, row.repeat) for row in found.benefits}) == len(found.benefits)


def entry_of_change(**more: Any) -> Benefit:
    body = {**BODIES["change"], "benefitsInformation": [{"code": "F", **more}]}
    return read("change", body).benefits[0]


def test_an_entry_of_2024_with_all_that_follows_an_eb() -> None:
    """HSD, REF, DTP, III, MSG, 2120 and EB13 arrive as in X12."""
    row = entry_of_change(
        serviceTypeCodes=["PT"],
        quantityQualifierCode="VS",
        benefitQuantity="20",
        authOrCertIndicator="Y",
        compositeMedicalProcedureIdentifier={
            "productOrServiceIDQualifierCode": "HC",
            "procedureCode": "97110",
            "procedureModifiers": ["GP"],
        },
        benefitsServiceDelivery=[
            {"quantityQualifierCode": "VS", "quantity": "2", "sampleSelectionModulus": "1",
             "unitForMeasurementQualifierCode": "WK", "timePeriodQualifierCode": "23",
             "numOfPeriods": "1"}
        ],
        benefitsAdditionalInformation={"priorAuthorizationNumber": "AUTH7"},
        benefitsDateInformation={"benefit": "20260101-20261231", "latestVisitOrConsultation":
                                 "20260203"},
        additionalInformation=[{"description": "NOT WITH CHIROPRACTIC"}],
        eligibilityAdditionalInformationList=[
            {"codeListQualifierCode": "ZZ", "industryCode": "11"}],
        benefitsRelatedEntities=[
            {"entityIdentifier": "Primary Care Provider", "entityType": "Person",
             "entityName": "LEE", "entityFirstname": "KIM", "entityIdentification": "XX",
             "entityIdentificationValue": "1999999984", "contactInformation": {"contacts": [
                 {"communicationMode": "Telephone", "communicationNumber": "8005550111"}]}}
        ],
    )  # fmt: skip

    assert ("PT", Decimal(20), "VS", True) == (
        row.service_type, row.quantity, row.quantity_unit, row.auth_required)  # fmt: skip
    assert Procedure("HC", "97110", ("GP",)) == row.procedure
    assert (Delivery("VS", "2", "WK", "1", "23", "1"),) == row.deliveries
    assert (Identifier("G1", "AUTH7"),) == row.identifiers
    assert (Dated("292", date(2026, 1, 1), date(2026, 12, 31)), Dated("304", date(2026, 2, 3))) == (
        row.dates)  # fmt: skip
    assert (("NOT WITH CHIROPRACTIC",), ("11",)) == (row.messages, row.places)
    (one,) = row.entities
    assert ("P3", "KIM LEE", "1999999984", (("TE", "8005550111"),)) == (
        one.role, one.name, one.id, one.contacts)  # fmt: skip
    assert () == row.flags


@pytest.mark.parametrize(
    ("more", "flag"),
    [
        ({"benefitPercent": "20"}, "percent-range"),
        ({"benefitAmount": "see plan"}, "unreadable:EB07"),
        ({"coverageLevelCode": "XYZ"}, "unknown-code:EB02:XYZ"),
        ({"benefitsDateInformation": {"surprise": "20260101"}}, "unknown-code:DTP01:surprise"),
    ],
)
def test_what_is_odd_is_flagged_as_in_x12(more: Json, flag: str) -> None:
    """One reader, one set of rules (check 10 of x12 section 6)."""
    assert (flag,) == entry_of_change(**more).flags


def entry_of_plans(kind: str, **more: Any) -> Benefit:
    plan = {"name": "GOLD", "benefits": {kind: [{"coverageLevel": "INDIVIDUAL", **more}]}}
    return read("plans", {**BODIES["plans"], "plans": [plan]}).benefits[0]


def test_an_entry_of_2026_with_all_that_follows_an_eb() -> None:
    """Spelled-out codes become codes again."""
    row = entry_of_plans(
        "otherOrAdditionalPayer",
        service={"system": "CPT",
                 "range": {"start": {"value": "99201"}, "end": {"value": "99215"}}},
        insuranceType="MEDICARE_SECONDARY_BLACK_LUNG",
        network={"indicator": "OUT_OF_NETWORK", "id": "N77", "description": "WIDE"},
        priorAuthIndicator="NOT_REQUIRED",
        timePeriod="24_HOURS",
        quantity={"value": "3", "qualifier": "DAYS"},
        serviceLimits=[{"ageMaximum": 26}, {"delivery": {
            "quantity": {"value": "20", "qualifier": "VISITS"},
            "period": {"value": 1, "qualifier": "CALENDAR_YEAR"}}}],
        dates={"coordinationOfBenefits": {"start": "2026-01-01", "end": "2026-12-31"}},
        relatedEntities=[{"type": "PRIMARY_PAYER", "name": {"organization": "OTHER HEALTH"},
                          "payerId": "00088", "contacts": [{"urls": ["other.example"]}]}],
        placesOfService=[{"code": "11", "name": "Office"}],
        diagnosis={"codeSystem": "ICD-10-CM", "codes": [{"value": "J60"}]},
    )  # fmt: skip

    assert ("R", "41", "N", False, "13", "DY") == (
        row.kind, row.insurance_type, row.network, row.auth_required, row.period,
        row.quantity_unit)  # fmt: skip
    assert (Procedure("HC", "99201", (), "99215"), None) == (row.procedure, row.service_type)
    assert (Delivery("VS", "20", "", "", "23", "1"),) == row.deliveries
    assert (Dated("290", date(2026, 1, 1), date(2026, 12, 31)),) == row.dates
    assert (("Age at most 26", "Diagnosis J60"), ("11",)) == (row.messages, row.places)
    (one,) = row.entities
    assert ("PRP", "OTHER HEALTH", "00088", (("UR", "other.example"),)) == (
        one.role, one.name, one.id, one.contacts)  # fmt: skip
    assert ("WIDE", "GOLD", ()) == (row.identifiers[0].name, row.plan_name, row.flags)


def test_what_2026_calls_invalid_is_a_row_of_the_payer_all_the_same() -> None:
    """InvalidEntries are rows like others; a kind and a word nobody knows are kept and flagged."""
    invalid = {"deductible": [{"coverageLevel": "INDIVIDUAL", "invalidReasons": []}]}
    plan = {"name": "GOLD", "benefits": {"invalidEntries": invalid, "novelty": [
        {"coverageLevel": "SOMEBODY"}]}}  # fmt: skip
    first, second = read("plans", {**BODIES["plans"], "plans": [plan]}).benefits

    rows = {first.kind: first, second.kind: second}
    assert (None, ()) == (rows["C"].amount, rows["C"].flags)
    assert {"unknown-code:EB01:novelty", "unknown-code:EB02:SOMEBODY"} == set(
        rows["novelty"].flags)  # fmt: skip


def test_a_dependent_is_the_patient_in_every_shape() -> None:
    """The rows are the dependent's, the person is the one of loop 2100D."""
    child = {"firstName": "ROBIN", "lastName": "RIVERA", "dateOfBirth": "20150304"}
    in_2024 = read("change", {**BODIES["change"], "dependents": [child]})
    name = {"name": {"person": {"firstName": "ROBIN", "lastName": "RIVERA"}},
            "dateOfBirth": "2015-03-04"}  # fmt: skip
    in_2026 = read("plans", {**BODIES["plans"], "dependent": name})
    patient = {"firstName": "ROBIN", "lastName": "RIVERA", "subscriberRelationshipCode": "19",
               "birthDate": "2015-03-04T00:00:00.000+0000"}  # fmt: skip
    in_coverages = read("coverages", {**BODIES["coverages"], "patient": patient})

    for found in (in_2024, in_2026, in_coverages):
        assert found.dependent is not None
        assert found.subscriber is not None
        assert ("ROBIN", date(2015, 3, 4), "ANA") == (
            found.dependent.first, found.dependent.birth_date, found.subscriber.first)  # fmt: skip
        assert found.benefits


def test_limit_total_and_rest_of_availity_are_rows_of_their_own() -> None:
    """A percentage is the patient's share; one that could be 1 or 100 in a hundred is not read."""
    body = deepcopy(BODIES["coverages"])
    shares = [{"amount": "1", "units": "Percent"}, {"amount": ".2", "units": "%"}, {"amount": "5"}]
    body["plans"][0]["benefits"] = [
        {"type": "98", "amounts": {"coInsurance": {"inNetwork": shares}},
         "limitations": {"notApplicableNetwork": [
             {"quantity": "20", "quantityQualifierCode": "VS", "authorizationRequired": True,
              "placeOfServiceCode": "11", "payerNotes": ["PER YEAR"]}]},
         "additionalPayers": [{"name": "OTHER HEALTH", "primary": True, "payerId": "00088",
                               "coordinationOfBenefitsBeginDate": "2026-02-01T00:00:00Z"}]},
    ]  # fmt: skip
    _plan, one, two, three, limit, other = read("coverages", body).benefits

    assert [(None, ("unreadable:EB08",)), (Decimal("0.2"), ()), (None, ("unreadable:EB08",))] == [
        (row.percent, row.flags) for row in (one, two, three)]  # fmt: skip
    assert ("F", Decimal(20), True, "W", ("11",), ("PER YEAR",)) == (
        limit.kind, limit.quantity, limit.auth_required, limit.network, limit.places,
        limit.messages)  # fmt: skip
    assert ("R", "PRP", "OTHER HEALTH") == (
        other.kind, other.entities[0].role, other.entities[0].name)  # fmt: skip


@pytest.mark.parametrize("module", [change, plans, coverages])
@pytest.mark.parametrize("inquiry", [INQUIRY, DEPENDENT], ids=["subscriber", "dependent"])
def test_a_question_is_read_back_as_it_was_asked(module: Any, inquiry: Any) -> None:
    """What a shape has a place for comes back; Availity's has none for trace and payer name."""
    found = module.asked(codec.decode(codec.encode(module.ask(inquiry))))

    if module is coverages:
        found = replace(found, trace=inquiry.trace, payer_name=inquiry.payer_name)
        if inquiry.dependent:
            assert found.subscriber.member_id == found.dependent.member_id == "MEM0001"
            found = replace(found, subscriber=inquiry.subscriber, dependent=inquiry.dependent)
    assert inquiry == found


@pytest.mark.parametrize("module", [change, plans, coverages])
def test_what_is_no_question_of_ours_is_refused(module: Any) -> None:
    """Other JSON is not taken for a question."""
    with pytest.raises(Shapeless):
        module.asked({"x12": "ISA*"})


def test_a_difference_is_named_by_kind() -> None:
    """What the vendor tells otherwise, tells too much, or leaves out."""
    rows = X12.benefits
    copay = next(r for r in rows if r.kind == "B")
    without = replace(X12, benefits=tuple(r for r in rows if r.kind != "A"))
    more = replace(X12, benefits=(*rows, Benefit("Y", 99, amount=Decimal(5))))

    assert () == difference.between(X12, X12)
    assert ("vendor-differs:A",) == difference.between(without, X12)
    assert ("vendor-differs:Y",) == difference.between(more, X12)
    assert ("vendor-differs:B",) == difference.between(
        replace(X12, benefits=tuple(r for r in rows if r is not copay)), X12)  # fmt: skip


VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=12),
                   st.lists(st.text(max_size=3), max_size=2), st.just({}))  # fmt: skip


def places(value: Any) -> list[tuple[Any, Any]]:
    """Return every (container, key) inside a JSON value."""
    pairs = list(value.items()) if isinstance(value, dict) else list(enumerate(value))
    found = [(value, key) for key, _ in pairs]
    for _, inner in pairs:
        if isinstance(inner, (dict, list)):
            found += places(inner)
    return found


@given(st.sampled_from(sorted(BODIES)), st.data())
def test_no_json_breaks_a_reader(shape: str, data: st.DataObject) -> None:
    """Whatever a vendor puts where: it is out of shape, or it is read; nothing is raised."""
    body = deepcopy(BODIES[shape])
    for _ in range(data.draw(st.integers(1, 4))):
        container, key = data.draw(st.sampled_from(places(body)))
        container[key] = data.draw(VALUES)
    valid = fields.valid(body, shape)
    found = READERS[shape](valid) if valid is not None else None

    assert found is None or isinstance(found, Answer)
