"""The sandbox's payer keeps the guide: what it takes, what it refuses, what it answers."""

from collections.abc import Callable
from typing import Any

import pytest

from fhir_profiles import pas, pas_rules
from server.validation import check
from tests import pas as given
from tests.contract.payer import (
    actions,
    built,
    client,
    inquiry,
    of_code,
    post,
    response_of,
    without,
)

Resource = dict[str, Any]


@pytest.mark.req("R41 R42 R43")
@pytest.mark.parametrize(
    "code", ["97110", "22612", "97112", "97140", "72148", "63685", "E1390", "36415", "99499"]
)
def test_every_answer_is_a_response_bundle(code: str) -> None:
    """By the guide's tables; closed, and with what it repeats under the same addresses."""
    bundle = built(of_code(code))
    reply = post(client(), bundle)
    answer = reply.json
    asked = {e["fullUrl"]: e["resource"] for e in bundle["entry"]}
    known = {e["fullUrl"]: e["resource"] for e in answer["entry"]}

    assert (200, "application/fhir+json") == (reply.status_code, reply.mimetype)
    assert [] == [str(issue) for issue in check.against(answer, pas.RESPONSE_BUNDLE)]
    assert "ClaimResponse" == response_of(answer)["resourceType"]
    reached = {node["reference"] for one in known.values() for _, node in pas_rules.references(one)}
    assert reached <= known.keys()
    assert [] == [url for url, one in known.items() if url in asked and asked[url] != one]
    assert {"Patient", "Organization"} <= {one["resourceType"] for one in known.values()}
    for item in response_of(answer).get("item", []):
        assert item["itemSequence"] in {
            one["sequence"] for one in bundle["entry"][0]["resource"]["item"]
        }


@pytest.mark.req("R44 R45")
def test_the_scenarios_give_every_decision() -> None:
    """By the code of the service, the same each time."""
    codes = ["97110", "97140", "22612", "72148", "97112", "E1390", "36415", "63685"]
    answer = post(client(), built(of_code(*codes))).json

    assert ["A1", "A2", "A3", "A4", "A6", "CT", "NA", "A4"] == list(
        actions(response_of(answer)).values()
    )
    assert "complete" == response_of(answer)["outcome"]


@pytest.mark.req("R44")
def test_a_business_error_has_its_code_and_place() -> None:
    """2xx, outcome error, and nothing is decided."""
    response = response_of(post(client(), built(of_code("99499"))).json)

    assert ("error", False) == (response["outcome"], "item" in response)
    assert "33" == response["error"][0]["code"]["coding"][0]["code"]
    assert "Bundle.entry[0].resource.item[0].productOrService" in str(response["error"])


@pytest.mark.req("R45")
def test_the_old_edition_answers_queued_and_a_bare_bundle() -> None:
    """2.0.1: a pend is queued, and an inquiry is answered with one Bundle."""
    payer = client()
    pended = post(payer, built(of_code("72148")), base="/fhir-2.0.1").json
    asked = post(payer, inquiry(), "inquire", base="/fhir-2.0.1").json

    assert ("queued", False) == (response_of(pended)["outcome"], "identifier" in pended)
    assert ("Bundle", "ClaimResponse") == (
        asked["resourceType"],
        response_of(asked)["resourceType"],
    )


CLAIM = ("entry", 0, "resource")


@pytest.mark.req("R46")
@pytest.mark.parametrize(
    ("change", "element"),
    [
        (lambda b: b["entry"].clear(), "Bundle.entry"),
        (lambda b: b["entry"].reverse(), "Bundle.entry[0].resource"),
        (lambda b: b.update(type="batch"), "Bundle.type"),
        (lambda b: b["entry"][0].update(fullUrl="urn:uuid:1"), "Bundle.entry[0].fullUrl"),
        (lambda b: b["entry"][0]["resource"]["patient"].update(reference="Patient/pat"),
         "Bundle.entry[0].resource"),
        (without("timestamp"), "Bundle.timestamp"),
        (without("identifier", "value"), "Bundle.identifier.value"),
        (without(*CLAIM, "patient"), "Bundle.entry[0].resource.patient"),
        (without(*CLAIM, "insurer"), "Bundle.entry[0].resource.insurer"),
        (without(*CLAIM, "item", 0, "category"), "Bundle.entry[0].resource.item[0].category"),
        (without(*CLAIM, "item", 0, "extension"), "Bundle.entry[0].resource.item[0].extension"),
        (without(*CLAIM, "careTeam", 0, "extension"),
         "Bundle.entry[0].resource.careTeam[0].extension"),
    ],
)  # fmt: skip
def test_what_is_unsound_is_refused_by_name(
    change: Callable[[Resource], None], element: str
) -> None:
    """4xx, one OperationOutcome, the element; nothing is kept of it."""
    payer, bundle = client(), built(of_code("97110"))
    change(bundle)
    reply = post(payer, bundle)

    assert (400, "OperationOutcome") == (reply.status_code, reply.json["resourceType"])
    assert [[element]] == [issue["expression"] for issue in reply.json["issue"]]
    assert "parameter" not in post(payer, inquiry(), "inquire").json


@pytest.mark.req("R46 R55")
@pytest.mark.parametrize("name", ["patient", "insurer", "provider"])
def test_an_inquiry_says_who_asks_whom_about_whom(name: str) -> None:
    """A missing one is refused; so is an empty Bundle."""
    asked = inquiry()
    del asked["entry"][0]["resource"][name]
    reply = post(client(), asked, "inquire")

    assert (400, [f"Bundle.entry[0].resource.{name}"]) == (
        reply.status_code, reply.json["issue"][0]["expression"],
    )  # fmt: skip
    assert 400 == post(client(), {**asked, "entry": []}, "inquire").status_code


@pytest.mark.req("R47")
def test_what_is_optional_may_be_left_out() -> None:
    """Each optional element in turn, and all of them."""
    payer = client()
    optional = [("careTeam",), ("supportingInfo",), ("diagnosis",), ("item", 0, "servicedDate"),
                ("item", 0, "quantity"), ("item", 0, "careTeamSequence")]  # fmt: skip
    bundles = []
    for path in optional:
        bundle = built(of_code("97110"))
        without(*CLAIM, *path)(bundle)
        bundles.append(bundle)
    bare = built(of_code("97110"))
    for path in optional:
        without(*CLAIM, *path)(bare)

    assert {200} == {post(payer, bundle).status_code for bundle in [*bundles, bare]}


@pytest.mark.req("R48")
def test_the_same_bundle_has_the_same_answer() -> None:
    """By its identifier: not a second authorization."""
    payer = client()
    bundle = built(of_code("97110"))

    assert post(payer, bundle).json == post(payer, bundle).json
    assert 1 == len(post(payer, inquiry(), "inquire").json["parameter"])


@pytest.mark.req("R49 R50")
def test_a_decision_says_all_it_must() -> None:
    """A denial its reason and words; a decided item number, date, and who with their type."""
    response = response_of(post(client(), built(of_code("97110", "22612"))).json)
    approved, denied = response["item"]

    assert "reasonCode" in str(denied["adjudication"])
    assert denied["noteNumber"] == [note["number"] for note in response["processNote"]]
    for item in (approved, denied):
        assert "'url': 'number'" in str(item["adjudication"])
        for name in ("itemPreAuthIssueDate", "itemAuthorizedProvider", "authorizedProviderType"):
            assert f"extension-{name}" in str(item["extension"])
    assert "itemPreAuthPeriod" in str(approved["extension"])


@pytest.mark.req("R51")
def test_what_more_is_asked_stands_in_the_answer() -> None:
    """A LOINC code, a report type and a questionnaire: a CommunicationRequest each."""
    answer = post(client(), built(of_code("63685"))).json
    asks = [e for e in answer["entry"] if e["resource"]["resourceType"] == "CommunicationRequest"]

    assert [e["fullUrl"] for e in asks] == [
        one["reference"] for one in response_of(answer)["communicationRequest"]
    ]
    told = [e["resource"].get("payload", [{}])[0].get("contentString") for e in asks]
    assert ["34117-2", None, "102089-0"] == told
    assert "'code': 'OB'" in str(asks[1])
    assert "extension-itemTraceNumber" in str(response_of(answer)["item"])


@pytest.mark.req("R52")
def test_another_format_is_told_so() -> None:
    """415 for XML, 400 for what is no JSON; no trace of the inside."""
    payer = client()
    xml = payer.post("/fhir/Claim/$submit", data="<Bundle/>", content_type="application/fhir+xml")
    broken = payer.post("/fhir/Claim/$submit", data="{", content_type="application/fhir+json")

    assert (415, 400) == (xml.status_code, broken.status_code)
    assert "Traceback" not in xml.text + broken.text


@pytest.mark.req("R68")
def test_metadata_lists_the_operations_and_the_topic() -> None:
    """As the guide's server does."""
    rest = client().get("/fhir/metadata").json["rest"][0]
    claim, subscription = rest["resource"]

    assert ["submit", "inquire"] == [one["name"] for one in claim["operation"]]
    assert [pas.TOPIC] == [one["valueCanonical"] for one in subscription["extension"]]


def found(payer: Any, **more: Any) -> list[Resource]:
    answer = post(payer, inquiry(**more), "inquire").json
    assert "Parameters" == answer["resourceType"]
    return [p["resource"] for p in answer.get("parameter", []) if p["name"] == "return"]


@pytest.mark.req("R53 R54")
def test_an_inquiry_returns_each_match() -> None:
    """None is an empty Parameters; the inquiry's own identifier finds nothing."""
    payer = client()
    assert [] == found(payer)
    for fhir_id in ("one", "two"):
        post(payer, built(of_code("97110", fhir_id=fhir_id)))

    assert 2 == len(found(payer))
    assert 2 == len(
        found(payer, identifier=[{"system": "urn:trnorg:1999999984", "value": "PA-one"}])
    )


@pytest.mark.req("R55")
def test_a_stranger_finds_nothing() -> None:
    """Neither with another member id nor as a provider who neither ordered nor renders."""
    payer = client()
    post(payer, built(of_code("97110")))
    for place, system in ((1, "INF100001"), (3, "1999999984")):
        asked = inquiry()
        asked["entry"][place]["resource"]["identifier"][0]["value"] = f"{system[:-1]}0"

        assert {"resourceType": "Parameters"} == post(payer, asked, "inquire").json


def number(payer: Any, fhir_id: str) -> str:
    answer = post(payer, built(of_code("97110", fhir_id=fhir_id))).json
    (review,) = response_of(answer)["item"][0]["adjudication"][0]["extension"]
    return str(next(p["valueString"] for p in review["extension"] if p["url"] == "number"))


def by_number(text: str) -> Resource:
    url = f"{pas.PROFILES}/extension-authorizationNumber"
    return {"extension": [{"url": url, "valueString": text}]}


def update_of(before: Resource, **more: Any) -> Resource:
    prior = given.coded(
        "http://terminology.hl7.org/CodeSystem/ex-relatedclaimrelationship", "prior"
    )
    related = [{"claim": {"reference": f"Claim/{before['id']}"}, "relationship": prior}]
    identifier = {"system": "urn:trnorg:1999999984", "value": "PA-now"}
    return {**before, "id": "now", "related": related, "identifier": [identifier], **more}


@pytest.mark.req("R56")
def test_a_superseded_number_finds_the_answer_that_holds() -> None:
    """After an update the old number leads to the new answer."""
    payer = client()
    old = number(payer, "first")
    before = of_code("97110", fhir_id="first")
    post(payer, built(update_of(before), before))
    (answer,) = found(payer, **by_number(old))

    assert "PA-now" == response_of(answer)["identifier"][0]["value"]
    assert 1 == len(found(payer))


@pytest.mark.req("R57")
def test_an_inquiry_is_narrowed_by_what_it_names() -> None:
    """Service, date and decision; `not-applicable` names no service."""
    payer = client()
    post(payer, built(of_code("97110", fhir_id="one")))
    post(payer, built(of_code("22612", fhir_id="two")))
    absent = given.coded(
        "http://terminology.hl7.org/CodeSystem/data-absent-reason", "not-applicable"
    )
    action = {
        "url": pas.EXT_REVIEW_CODE,
        "valueCodeableConcept": given.coded(pas.REVIEW_ACTION, "A3"),
    }
    cpt = "http://www.ama-assn.org/go/cpt"

    assert 2 == len(found(payer, item=[{"sequence": 1, "productOrService": absent}]))
    assert 1 == len(
        found(payer, item=[{"sequence": 1, "productOrService": given.coded(cpt, "22612")}])
    )
    assert 2 == len(found(payer, item=[{"sequence": 1, "servicedDate": "2026-12-05"}]))
    assert 0 == len(found(payer, item=[{"sequence": 1, "servicedDate": "2026-12-06"}]))
    assert 1 == len(found(payer, item=[{"sequence": 1, "extension": [action]}]))


@pytest.mark.req("R58")
def test_what_is_withheld_is_said_with_a_telephone_number() -> None:
    """Unless the authorization itself is asked for."""
    payer = client()
    payer.put("/_control/decisions/PA-one", json={"withhold": True})
    secret = number(payer, "one")
    answer = post(payer, inquiry(), "inquire").json

    (outcome,) = [p["resource"] for p in answer["parameter"]]
    assert ("warning", "suppressed") == (
        outcome["issue"][0]["severity"],
        outcome["issue"][0]["code"],
    )
    assert "555-" in outcome["issue"][0]["diagnostics"]
    assert 1 == len(found(payer, **by_number(secret)))


@pytest.mark.req("R59")
def test_a_pended_request_is_found_half_a_year_after_its_service() -> None:
    """Nothing is forgotten."""
    payer, claim = client(), of_code("72148")
    claim["item"][0]["servicedDate"] = "2026-05-20"
    post(payer, built(claim))

    assert 1 == len(found(payer, item=[{"sequence": 1, "servicedDate": "2026-05-20"}]))


@pytest.mark.req("R43")
def test_after_an_update_the_answer_covers_every_item() -> None:
    """An added one is decided, one left alone keeps its decision, a cancelled one is cancelled."""
    payer, before = client(), of_code("97110", "22612", "97110", fhir_id="first")
    post(payer, built(before))
    changed = update_of(before, item=[dict(one) for one in before["item"]])
    gone = changed["item"][2]
    gone["modifierExtension"] = [{"url": pas.EXT_CANCELLED, "valueBoolean": True}]
    gone["extension"] = [
        one if one["url"] != pas.EXT_CERTIFICATION
        else {"url": pas.EXT_CERTIFICATION,
              "valueCodeableConcept": given.coded(pas.CERTIFICATION_TYPE, "3")}
        for one in gone["extension"]
    ]  # fmt: skip
    added = given.item(4)
    added["extension"].append({"url": pas.EXT_CHANGED, "valueCode": "added"})
    changed["item"].append(added)
    reply = post(payer, built(changed, before))

    assert {1: "A1", 2: "A3", 3: "C", 4: "A1"} == actions(response_of(reply.json))


def test_cancelling_all_keeps_the_items() -> None:
    """Certification type 3 on the Claim."""
    payer, before = client(), of_code("97110", "72148", fhir_id="first")
    post(payer, built(before))
    concept = given.coded(pas.CERTIFICATION_TYPE, "3")
    whole = update_of(
        before, extension=[{"url": pas.EXT_CERTIFICATION, "valueCodeableConcept": concept}]
    )

    assert {1: "C", 2: "C"} == actions(response_of(post(payer, built(whole, before)).json))


@pytest.mark.req("R40")
def test_a_denied_request_is_not_updated() -> None:
    """A business error: a new request is wanted."""
    payer, before = client(), of_code("22612", fhir_id="first")
    post(payer, built(before))
    response = response_of(post(payer, built(update_of(before), before)).json)

    assert ("error", "AA") == (
        response["outcome"],
        response["error"][0]["code"]["coding"][0]["code"],
    )


@pytest.mark.parametrize("break_it", ["leave out", "not flagged"])
def test_an_update_sends_the_whole_picture(break_it: str) -> None:
    """Every entry ever sent; a new one is flagged as added."""
    payer, before = client(), of_code("97110", "97110", fhir_id="first")
    post(payer, built(before))
    items = before["item"][:1] if break_it == "leave out" else [*before["item"], given.item(3)]
    reply = post(payer, built(update_of(before, item=items), before))

    assert 400 == reply.status_code
    assert "item" in reply.json["issue"][0]["expression"][0]


@pytest.mark.parametrize(
    "decision",
    [
        [],
        {},
        {"items": [{"code": "A1"}]},
        {"items": [{"sequence": 1, "code": "A7"}]},
        {"items": [3]},
    ],
)
def test_a_decision_that_cannot_be_one_is_refused(decision: Any) -> None:
    """By the control call, with what is expected."""
    reply = client().put("/_control/decisions/PA-pa", json=decision)

    assert (400, True) == (reply.status_code, reply.text.startswith("expected"))


def test_the_control_call_wins_over_the_scenario() -> None:
    """And is forgotten with all else."""
    payer = client()
    decision = {"items": [{"sequence": 1, "code": "A3", "reason": "01", "note": "No."}]}
    assert 204 == payer.put("/_control/decisions/PA-pa", json=decision).status_code
    response = response_of(post(payer, built(of_code("97110"))).json)
    assert {1: "A3"} == actions(response)
    assert ["No."] == [note["text"] for note in response["processNote"]]
    assert "Claim/$submit" in str(payer.get("/_control/requests").json)

    payer.delete("/_control")
    assert {1: "A1"} == actions(response_of(post(payer, built(of_code("97110"))).json))


@pytest.mark.req("R71")
def test_the_payer_tells_its_figures_item_by_item() -> None:
    """Received and decided of each, counts and times by urgency; an update leaves them alone."""
    payer = client()
    level = {"url": pas.EXT_LEVEL_OF_SERVICE,
             "valueCodeableConcept": given.coded(pas.LEVEL_OF_SERVICE, "U")}  # fmt: skip
    post(payer, built(of_code("97110", "22612", "63685")))
    post(payer, built(of_code("97110", fhir_id="urgent", extension=[level])))
    told = payer.get("/_control/decisions").json

    assert (2, 1, 1, 1) == tuple(
        told["standard"][name] for name in ("decided", "approved", "denied", "pended")
    )
    assert (1, 1, 0) == tuple(told["expedited"][n] for n in ("decided", "approved", "denied"))
    assert told["standard"]["average_s"] is not None
    pended = [one for one in told["items"] if one["code"] == "A4"]
    assert [None] == [one["decided"] for one in pended]
    assert all(one["received"] for one in told["items"])


@pytest.mark.req("R71")
def test_a_payer_that_decided_nothing_has_no_times() -> None:
    """Unknown, not zero."""
    told = client().get("/_control/decisions").json

    assert [None, None] == [told["standard"][name] for name in ("average_s", "median_s")]


def attachment(**change: Any) -> Resource:
    """Return the Parameters of a document that the payer asked for, changed so."""
    listed: dict[str, Any] = {
        "TrackingId": {"valueIdentifier": {"value": "PA-pa-1-1"}},
        "AttachTo": {"valueCode": "preauthorization"},
        "MemberId": {"valueIdentifier": {"value": "INF100001"}},
        "Attachment": {"part": [{"name": "Content", "resource": given.document()}]},
        **change,
    }
    pairs = [{"name": name, **value} for name, value in listed.items() if value]
    return {"resourceType": "Parameters", "parameter": pairs}


@pytest.mark.req("R74")
@pytest.mark.parametrize(
    ("change", "element"),
    [
        ({"TrackingId": {}}, "TrackingId"), ({"MemberId": {}}, "MemberId"),
        ({"AttachTo": {"valueCode": "claim"}}, "AttachTo"), ({"Attachment": {}}, "Content"),
        ({"TrackingId": {"valueIdentifier": {"value": "X"}}}, "TrackingId"),
        ({"MemberId": {"valueIdentifier": {"value": "OTHER"}}}, "TrackingId"),
    ],
)  # fmt: skip
def test_a_document_that_nobody_asked_for_is_refused(change: Any, element: str) -> None:
    """By its element; one that was asked for is taken."""
    payer = client()
    post(payer, built(of_code("63685")))
    header = {"Content-Type": "application/fhir+json"}
    wrong = payer.post("/fhir/$submit-attachment", json=attachment(**change), headers=header)
    right = payer.post("/fhir/$submit-attachment", json=attachment(), headers=header)

    assert (422, 200) == (wrong.status_code, right.status_code)
    assert element in str(wrong.json)
