"""A prior authorization request as a PAS Bundle: closed, pruned, and held to the rules."""

from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import pytest

from bots.mapping import pas_request
from fhir_profiles import pas, pas_rules
from server.validation import check
from tests import pas as given
from tests import samples
from tests.contract import payer
from tests.contract.payer import without as drop

Resource = dict[str, Any]
MOMENT = datetime(2026, 11, 24, 15, 30, tzinfo=UTC)
SITE = "1999999984@http://127.0.0.1:8080/fhir"


def built(claim: Resource | None = None, *resources: Resource) -> Resource:
    return payer.built(claim or given.claim(), *resources, number="T1")


def of_type(bundle: Resource, type_name: str) -> list[Resource]:
    every = (entry["resource"] for entry in bundle["entry"])
    return [one for one in every if one["resourceType"] == type_name]


def paths(bundle: Resource, *, errors: bool = True) -> list[str]:
    return [one.path for one in pas_rules.check(bundle) if one.is_error is errors]


@pytest.mark.req("R01 R02 R07 R08")
@pytest.mark.parametrize("items", [1, 18])
def test_a_request_holds_to_the_profiles_and_the_rules(items: int) -> None:
    """Every entry by the guide's own tables, and none of its narrative rules is broken."""
    bundle = built(given.claim(items=items))

    assert [] == paths(bundle)
    assert [] == [str(issue) for issue in check.against(bundle, pas.REQUEST_BUNDLE)]
    assert ("collection", "T1") == (bundle["type"], bundle["identifier"]["value"])
    assert "2026-11-24T15:30:00.000+00:00" == bundle["timestamp"]
    assert "Claim" == bundle["entry"][0]["resource"]["resourceType"]
    assert items == len(bundle["entry"][0]["resource"]["item"])


@pytest.mark.req("R03 R04 R05")
def test_everything_that_is_reached_stands_once_under_its_uuid() -> None:
    """Circles end; two uses of one practitioner are one entry."""
    claim = given.claim()
    claim["supportingInfo"][0]["valueReference"] = {"reference": "Observation/pain"}
    circle = {"resourceType": "Observation", "id": "pain", "focus": [{"reference": "Claim/pa"}],
              "performer": [{"reference": "PractitionerRole/dr-here"}]}  # fmt: skip
    bundle = built(claim, circle, claim)
    kinds = sorted(entry["resource"]["resourceType"] for entry in bundle["entry"])

    assert ["Claim", "Coverage", "Observation", "Organization", "Organization", "Patient",
            "Practitioner", "PractitionerRole", "ServiceRequest"] == kinds  # fmt: skip
    assert [] == paths(bundle)
    assert all(entry["fullUrl"].startswith("urn:uuid:") for entry in bundle["entry"])


@pytest.mark.req("R06")
def test_a_resource_keeps_its_uuid_and_another_has_another() -> None:
    """Over submissions and requests; never that of a resource of another clinic."""
    first, second = built(), built(given.claim("other"))
    urls = [
        {e["resource"]["resourceType"]: e["fullUrl"] for e in b["entry"]} for b in (first, second)
    ]
    elsewhere = pas_request.full_url(given.patient(), "1999999976@http://127.0.0.1:8080/fhir")

    assert urls[0]["Patient"] == urls[1]["Patient"]
    assert urls[0]["Claim"] != urls[1]["Claim"]
    assert urls[0]["Patient"] != elsewhere
    assert len(first["entry"]) == len({entry["fullUrl"] for entry in first["entry"]})


@pytest.mark.req("R20")
def test_no_more_is_sent_than_the_guide_asks_for() -> None:
    """What is not must-support and not mandatory stays at home, at every depth."""
    patient = given.patient(
        meta={"versionId": "7"}, text={"status": "generated", "div": "<div/>"},
        maritalStatus={"text": "never"}, photo=[{"title": "x"}],
        address=[{"use": "home", "line": ["1 Elm"], "city": "Troy"}],
        extension=[{"url": "http://clinic.example/vip", "valueBoolean": True}],
    )  # fmt: skip
    claim = given.claim(total={"value": 1, "currency": "USD"})
    claim["item"][0]["net"] = {"value": 1, "currency": "USD"}
    bundle = built(claim, patient)
    (sent,) = of_type(bundle, "Patient")
    (asked,) = of_type(bundle, "Claim")

    kept = {"resourceType", "id", "identifier", "name", "birthDate", "gender", "address"}
    assert kept == sent.keys()
    assert [{"line": ["1 Elm"], "city": "Troy"}] == sent["address"]
    assert [{"family": "Rivera", "given": ["Ana", "Q"]}] == sent["name"]
    assert "total" not in asked
    assert "net" not in asked["item"][0]


@pytest.mark.req("R22")
def test_the_coverage_information_of_an_order_goes_along() -> None:
    """With its assertion id, which the payer gave at ordering."""
    url = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-coverage-information"
    told = {"url": url, "extension": [{"url": "coverage-assertion-id", "valueString": "A1"}]}
    bundle = built(None, given.order(extension=[told]))

    assert [told] == of_type(bundle, "ServiceRequest")[0]["extension"]
    requested = bundle["entry"][0]["resource"]["item"][0]["extension"]
    assert pas.EXT_REQUESTED_SERVICE in [one["url"] for one in requested]


def update(**more: Any) -> Resource:
    related = [
        {
            "claim": {"reference": "Claim/before"},
            "relationship": given.coded(
                "http://terminology.hl7.org/CodeSystem/ex-relatedclaimrelationship", "prior"
            ),
        }
    ]
    return given.claim("now", related=related, **more)


@pytest.mark.req("R34 R02")
def test_an_update_carries_the_claim_it_updates_and_no_older_one() -> None:
    """What that one had updated itself stays out."""
    before = given.claim(
        "before",
        related=[
            {
                "claim": {"reference": "Claim/oldest"},
                "relationship": update()["related"][0]["relationship"],
            }
        ],
    )
    bundle = built(update(), before, given.claim("oldest"))

    assert ["PA-now", "PA-before"] == [
        c["identifier"][0]["value"] for c in of_type(bundle, "Claim")
    ]
    assert [] == paths(bundle)


@pytest.mark.req("R17")
def test_a_plain_coverage_is_said_in_the_guides_words() -> None:
    """Its subscriberId as a member id, and "self" by X12 18; what it does not say is not added."""
    bundle = built(None, samples.coverage())
    (sent,) = of_type(bundle, "Coverage")
    other = samples.coverage(relationship=samples.relationship("spouse"))
    del other["subscriberId"]

    assert [] == paths(bundle)
    assert [] == [str(issue) for issue in check.against(bundle, pas.REQUEST_BUNDLE)]
    assert "INF100001" == sent["identifier"][0]["value"]
    assert ["subscriber", "identifier"] == [
        path.rpartition(".")[2] for path in paths(built(None, other))
    ][::-1]


def put(value: Any, *path: Any) -> Callable[[Resource], None]:
    def change(bundle: Resource) -> None:
        node: Any = bundle
        for step in path[:-1]:
            node = node[step]
        node[path[-1]] = value

    return change


def at(type_name: str, change: Callable[[Resource], None]) -> Callable[[Resource], None]:
    return lambda bundle: change(of_type(bundle, type_name)[-1])


CLAIM = ("entry", 0, "resource")
ITEM = (*CLAIM, "item", 0)
APPEAL = [{"url": pas.EXT_REQUEST_TYPE, "valueCodeableConcept": {"text": "x"}},
          {"url": pas.EXT_CERTIFICATION,
           "valueCodeableConcept": given.coded(f"{pas.X12}/1322", "1")}]  # fmt: skip


@pytest.mark.req("R01 R02 R03 R04 R05 R07 R08 R09 R10 R12 R18 R34")
@pytest.mark.parametrize(
    ("change", "path"),
    [
        pytest.param(*case[1:], id=f"{case[0]}-{number}")
        for number, case in enumerate([
            ("R01", put("batch", "type"), "Bundle.type"),
            ("R01", drop("identifier", "system"), "Bundle.identifier.system"),
            ("R01", drop("identifier", "value"), "Bundle.identifier.value"),
            ("R01", drop("timestamp"), "Bundle.timestamp"),
            ("R02", lambda b: b["entry"].reverse(), "Bundle.entry[0].resource"),
            ("R02", lambda b: b["entry"].clear(), "Bundle.entry[0].resource"),
            ("R03", put("urn:uuid:6a1c5c57-9b1e-5c5f-8f4d-7a110d7d0f2a", "entry", 0, "fullUrl"),
             "Bundle.entry[0].fullUrl"),
            ("R03", put("Claim/1", "entry", 0, "fullUrl"), "Bundle.entry[0].fullUrl"),
            ("R04", put("Patient/pat", *CLAIM, "patient", "reference"),
             "Bundle.entry[0].resource.patient.reference"),
            ("R05", lambda b: b["entry"].append(deepcopy(b["entry"][1])), "Bundle.entry.fullUrl"),
            ("R07", put("draft", *CLAIM, "status"), "Bundle.entry[0].resource.status"),
            ("R07", put("claim", *CLAIM, "use"), "Bundle.entry[0].resource.use"),
            ("R07", drop(*CLAIM, "insurer"), "Bundle.entry[0].resource.insurer"),
            ("R07", drop(*CLAIM, "provider"), "Bundle.entry[0].resource.provider"),
            ("R07", put(False, *CLAIM, "insurance", 0, "focal"),
             "Bundle.entry[0].resource.insurance"),
            ("R08", put([], *CLAIM, "item"), "Bundle.entry[0].resource.item"),
            ("R08", drop(*ITEM, "sequence"), "Bundle.entry[0].resource.item[0].sequence"),
            ("R08", drop(*ITEM, "category"), "Bundle.entry[0].resource.item[0].category"),
            ("R08", drop(*ITEM, "productOrService"),
             "Bundle.entry[0].resource.item[0].productOrService"),
            ("R08", put({"text": "therapy"}, *ITEM, "productOrService"),
             "Bundle.entry[0].resource.item[0].productOrService"),
            ("R08", put([7], *ITEM, "diagnosisSequence"),
             "Bundle.entry[0].resource.item[0].diagnosisSequence"),
            ("R08", put([7], *ITEM, "careTeamSequence"),
             "Bundle.entry[0].resource.item[0].careTeamSequence"),
            ("R08", drop(*ITEM, "locationCodeableConcept"),
             "Bundle.entry[0].resource.item[0].locationCodeableConcept"),
            ("R08", drop(*ITEM, "extension", 0), "Bundle.entry[0].resource.item[0].extension"),
            ("R08", drop(*ITEM, "extension", 1), "Bundle.entry[0].resource.item[0].extension"),
            ("R09", drop(*CLAIM, "careTeam", 0, "extension"),
             "Bundle.entry[0].resource.careTeam[0].extension"),
            ("R10", put("2026-12", *ITEM, "servicedDate"),
             "Bundle.entry[0].resource.item[0].servicedDate"),
            ("R10", put({"start": "2026-12-01T10:00:00Z"}, *ITEM, "servicedPeriod"),
             "Bundle.entry[0].resource.item[0].servicedPeriod.start"),
            ("R10", put({"date": "2026"}, *CLAIM, "accident"),
             "Bundle.entry[0].resource.accident.date"),
            ("R10", put([{"url": pas.EXT_RECORDED, "valueDate": "2026-11"}],
                        *CLAIM, "diagnosis", 0, "extension"),
             "Bundle.entry[0].resource.diagnosis[0].extension"),
            ("R12", put(1, *CLAIM, "supportingInfo", 1, "sequence"),
             "Bundle.entry[0].resource.supportingInfo[0].sequence"),
            ("R12", put({"text": "other"}, *CLAIM, "supportingInfo", 1, "category"),
             "Bundle.entry[0].resource.supportingInfo[1].category"),
            ("R12", drop(*CLAIM, "supportingInfo", 1, "valueString"),
             "Bundle.entry[0].resource.supportingInfo[1].value"),
            ("R12", drop(*CLAIM, "supportingInfo", 0, "extension"),
             "Bundle.entry[0].resource.supportingInfo[0].extension"),
            ("R18", put(APPEAL, *ITEM, "extension"), "Bundle.entry[0].resource.item[0].extension"),
            ("R34", put([{"claim": {"display": "x"}}], *CLAIM, "related"),
             "Bundle.entry[0].resource.related[0]"),
        ])
    ],
)  # fmt: skip
def test_a_breach_names_its_element(change: Callable[[Resource], None], path: str) -> None:
    """Each rule, broken once."""
    bundle = built()
    change(bundle)

    assert path in paths(bundle)


@pytest.mark.req("R10 R14 R15 R16 R17 R19")
@pytest.mark.parametrize(
    ("type_name", "change", "ending"),
    [
        pytest.param(*case[1:], id=f"{case[0]}-{number}")
        for number, case in enumerate([
            ("R10", "Patient", put("1985-02", "birthDate"), "birthDate"),
            ("R14", "DocumentReference", drop("content", 0, "attachment", "data"), "attachment"),
            ("R14", "DocumentReference", put("http://x.example", "content", 0, "attachment", "url"),
             "attachment"),
            ("R15", "ServiceRequest", put({"value": 3}, "quantityQuantity"), "quantityQuantity"),
            ("R15", "ServiceRequest", put({"value": 3, "system": "http://unitsofmeasure.org",
                                           "code": "d"}, "quantityQuantity"), "quantityQuantity"),
            ("R15", "Claim", put({"value": 3}, "item", 0, "quantity"), "quantity"),
            ("R16", "ServiceRequest", put({"repeat": {"frequency": 2}}, "occurrenceTiming"),
             "occurrenceTiming"),
            ("R17", "Coverage", drop("identifier", 0, "value"), "identifier"),
            ("R17", "Coverage", put([], "payor"), "payor"),
            ("R17", "Coverage", drop("relationship"), "relationship"),
            ("R17", "Coverage", drop("relationship", "coding", 1), "subscriber"),
            ("R19", "Organization", drop("active"), "active"),
            ("R19", "Organization", drop("name"), "name"),
            ("R19", "PractitionerRole", drop("practitioner"), "practitioner"),
        ])
    ],
)  # fmt: skip
def test_a_breach_in_what_is_referred_to(
    type_name: str, change: Callable[[Resource], None], ending: str
) -> None:
    """Named by the entry that holds it."""
    bundle = built()
    at(type_name, change)(bundle)

    assert [path for path in paths(bundle) if path.endswith(ending)]


@pytest.mark.req("R03")
def test_an_ehr_may_write_urls() -> None:
    """A warning: a port in them is lost by some payers."""
    bundle = built()
    put("http://ehr.example:8080/Claim/1", "entry", 0, "fullUrl")(bundle)

    assert ([], ["Bundle.entry[0].fullUrl"]) == (paths(bundle), paths(bundle, errors=False))


@pytest.mark.req("R09")
def test_a_practitioner_treats_in_a_role() -> None:
    """Of the care team, and who asks: never the bare Practitioner."""
    claim = given.claim(provider={"reference": "Practitioner/dr"})

    assert ["Bundle.entry[0].resource.provider"] == paths(built(claim))


@pytest.mark.req("R13")
def test_a_document_that_nothing_points_to_is_told() -> None:
    """The payer could not tell what it is for."""
    claim = given.claim()
    claim["supportingInfo"] = claim["supportingInfo"][1:]
    order = given.order(supportingInfo=[{"reference": "DocumentReference/note"}])
    bundle = built(claim)
    bundle["entry"].append({"fullUrl": "urn:uuid:6a1c5c57-9b1e-4c5f-8f4d-7a110d7d0f2a",
                            "resource": given.document(subject={"display": "x"})})  # fmt: skip

    assert [f"Bundle.entry[{len(bundle['entry']) - 1}].resource"] == paths(bundle)
    assert [] == paths(built(claim, order))  # an order's own is not must-support, and stays at home


@pytest.mark.req("R16")
@pytest.mark.parametrize(
    "timing",
    [
        {"repeat": {"count": 3}},
        {"repeat": {"frequency": 2, "period": 1, "periodUnit": "wk"}},
        {
            "repeat": {
                "extension": [{"url": pas.EXT_CALENDAR, "valueCodeableConcept": {"text": "x"}}]
            }
        },
        {"extension": [{"url": pas.EXT_DELIVERY, "valueCodeableConcept": {"text": "x"}}]},
    ],
)
def test_the_four_ways_to_say_when(timing: Resource) -> None:
    """A count, a frequency, a calendar or a delivery pattern."""
    bundle = built()
    of_type(bundle, "ServiceRequest")[0]["occurrenceTiming"] = timing

    assert [] == paths(bundle)


@pytest.mark.req("R19")
def test_a_place_has_an_address() -> None:
    """A Location without one says nothing."""
    place = {"resourceType": "Location", "id": "here", "name": "Ward"}
    role = given.role(location=[{"reference": "Location/here"}])

    assert [path for path in paths(built(None, role, place)) if path.endswith("address")]
    assert [] == paths(built(None, role, {**place, "address": {"city": "Troy"}}))


@pytest.mark.req("R09 R11")
def test_what_x12_will_not_carry_is_said() -> None:
    """13 diagnoses, 15 members, 11 of one item: a warning each, and the request still goes."""
    claim = given.claim()
    claim["diagnosis"] = [{**claim["diagnosis"][0], "sequence": n} for n in range(1, 14)]
    member = {**claim["careTeam"][0], "extension": [{"url": pas.EXT_SCOPE, "valueBoolean": True}]}
    claim["careTeam"] = [{**member, "sequence": n} for n in range(1, 16)]
    claim["item"][0]["careTeamSequence"] = list(range(1, 12))
    bundle = built(claim)

    assert [] == paths(bundle)
    assert ["careTeam", "item[0].careTeamSequence", "diagnosis"] == [
        path.removeprefix("Bundle.entry[0].resource.") for path in paths(bundle, errors=False)
    ]


@pytest.mark.parametrize(
    ("quantity", "sent"),
    [
        ({"value": 12}, None),
        ({"value": 12, "unit": "visits"}, {"value": 12, "unit": "visits"}),
        ({"value": 12, "unit": "visits", "system": "http://unitsofmeasure.org", "code": "{visit}"},
         {"value": 12, "unit": "visits"}),
        ({"value": 12, "system": "http://unitsofmeasure.org", "code": "{visit}"}, None),
        ({"value": 12, "system": pas.QUANTITY_UNIT, "code": "VS"},
         {"value": 12, "system": pas.QUANTITY_UNIT, "code": "VS"}),
    ],
)  # fmt: skip
def test_an_orders_quantity_goes_out_as_the_guide_wants_it(
    quantity: Resource, sent: Resource | None
) -> None:
    """EHRs write it in their own units; what is asked for stands in the item."""
    bundle = built(None, given.order(quantityQuantity=quantity))

    assert [] == paths(bundle)
    assert sent == of_type(bundle, "ServiceRequest")[0].get("quantityQuantity")
