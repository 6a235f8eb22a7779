"""Search as FHIR asks for it (SRC)."""

import threading
from typing import Any
from urllib.parse import quote

import pytest

from tests import samples
from tests.conformance.clinic import LOINC, UCUM, WORLD
from tests.conformance.conftest import Api, codes


@pytest.fixture(scope="module")
def world(api: Api) -> Api:
    """A small clinic."""
    for body in WORLD:
        api.put(body)
    return api


def check(world: Api, query: str, expected: str) -> None:
    assert expected.split() == sorted(world.ids(query)), query


@pytest.mark.req("SRC-01")
def test_the_bundle(world: Api) -> None:
    """Self with what was understood only, fullUrl, mode, total."""
    bundle = world.get("Patient?family=nunez&nonsense=1").get_json()
    (entry,) = bundle["entry"]

    assert ("searchset", 1) == (bundle["type"], bundle["total"])
    assert bundle["link"][0]["url"].endswith("/fhir/Patient?family=nunez")
    assert entry["fullUrl"].endswith("/fhir/Patient/ana")
    assert ["informational"] == codes(world.post("Bundle/$validate", bundle))


@pytest.mark.req("SRC-02")
def test_unknown_parameters(world: Api) -> None:
    """Ignored, or refused by name."""
    strict = world.get("Patient?nonsense=1", Prefer="handling=strict")

    assert 3 == len(world.ids("Patient?nonsense=1"))
    assert (400, ["not-supported"]) == (strict.status_code, codes(strict))
    assert "nonsense" in strict.get_data(as_text=True)


@pytest.mark.req("SRC-03")
def test_post_search(world: Api) -> None:
    """A form body, merged with the query string, gives what GET gives."""
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    got = world.get("Patient?gender=male&family=okafor").get_json()
    posted = world.post("Patient/_search?gender=male", "family=okafor", **form).get_json()
    whole = world.post("_search", "_type=Patient&_id=ana", **form).get_json()

    assert got["entry"] == posted["entry"]
    assert 1 == whole["total"]
    assert 415 == world.post("Patient/_search", "{}", Content_Type="application/json").status_code


@pytest.mark.req("SRC-04")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("Patient?identifier=1", "ana"), ("Patient?identifier=urn:m|1", "ana"),
        ("Patient?identifier=|bare", "ana"), ("Patient?identifier=urn:m|", "ana ben"),
        ("Patient?identifier=1,2", "ana ben"), ("Patient?identifier=1&identifier=urn:m|1", "ana"),
        ("Patient?identifier=1&identifier=2", ""), ("Patient?identifier=|1", ""),
        ("Patient?gender=http://hl7.org/fhir/administrative-gender|male", "ben"),
        ("Patient?gender=http://other|male", ""), ("Patient?active=false", "cem"),
        ("Coverage?status=http://hl7.org/fhir/fm-status|draft", "cov-3"),
        ("Patient?phone=555-1", "ana"), ("Patient?telecom=home|555-1", "ana"),
        ("Patient?telecom=work|555-1", ""),
    ],
)  # fmt: skip
def test_tokens(world: Api, query: str, expected: str) -> None:
    """Every form of a token."""
    check(world, query, expected)


@pytest.mark.req("SRC-05")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("Patient?gender:not=male", "ana cem"), ("Coverage?type:not=urn:plan|ppo", "cov-2 cov-3"),
        ("Coverage?type:text=preferred", "cov-1"), ("Patient?identifier:text=member", "ana"),
        ("Coverage?type:in=http://vs.example/plans", "cov-1"),
        ("Coverage?type:not-in=http://vs.example/plans", "cov-2 cov-3"),
        ("Patient?gender:in=http://hl7.org/fhir/ValueSet/administrative-gender", "ana ben cem"),
        ("Coverage?type:below=urn:plan|managed", "cov-1 cov-2"),
        ("Coverage?type:above=urn:plan|ppo", "cov-1"),
        ("Patient?identifier:of-type=http://terminology.hl7.org/CodeSystem/v2-0203|MB|1", "ana"),
        ("Patient?identifier:of-type=http://terminology.hl7.org/CodeSystem/v2-0203|MB|2", ""),
    ],
)  # fmt: skip
def test_token_modifiers(world: Api, query: str, expected: str) -> None:
    """Not includes the absent; value sets and code systems are the stored ones."""
    check(world, query, expected)


@pytest.mark.req("SRC-05")
def test_unknown_value_sets(world: Api) -> None:
    """A set that nobody knows is an error, never an empty answer."""
    answer = world.get("Coverage?type:in=http://vs.example/none")

    assert (400, ["not-found"]) == (answer.status_code, codes(answer))


@pytest.mark.req("SRC-06")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("Patient?name=jose", "ana"), ("Patient?name=JOS", "ana"), ("Patient?family=nun", "ana"),
        ("Patient?family=unez", ""), ("Patient?family:contains=UNE", "ana"),
        ("Patient?family:exact=Núñez", "ana"), ("Patient?family:exact=nunez", ""),
        ("Patient?address-city=avila", "ana"), ("Patient?address=0500", "ana"),
        ("Patient?given=ana", "ana"), ("Patient?name=100%25", ""),
        ("Patient?name:contains=100%25", "cem"), ("Patient?name:contains=_x_", "cem"),
        ("Patient?name:contains=_y_", ""), ("Patient?name=ben,cem", "ben cem"),
    ],
)  # fmt: skip
def test_strings(world: Api, query: str, expected: str) -> None:
    """From the start, without case and accents; no wildcard leaks in."""
    check(world, query, expected)


@pytest.mark.req("SRC-07")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("Coverage?beneficiary=ana", "cov-1 cov-3"), ("Coverage?beneficiary=Patient/ben", "cov-2"),
        ("Coverage?beneficiary=http://127.0.0.1:8080/fhir/Patient/ana", "cov-1 cov-3"),
        ("Coverage?beneficiary:Patient=ben", "cov-2"), ("Coverage?beneficiary:Group=ben", ""),
        ("Coverage?payor=https://other.example/fhir/Organization/9", "cov-2"),
        ("Coverage?payor=Organization/9", ""), ("Coverage?payor=9", ""),
        ("Coverage?payor:identifier=urn:payer|77", "cov-3"),
        ("Coverage?beneficiary=Patient/ana/_history/1", "cov-1 cov-3"),
    ],
)  # fmt: skip
def test_references(world: Api, query: str, expected: str) -> None:
    """Every form of a reference."""
    check(world, query, expected)


@pytest.mark.req("SRC-08")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("Patient?birthdate=1985", "ana ben"), ("Patient?birthdate=1985-02", "ana ben"),
        ("Patient?birthdate=1985-02-14", "ana"), ("Patient?birthdate=ne1985-02-14", "ben cem"),
        ("Patient?birthdate=gt1985-02-14", "ben cem"), ("Patient?birthdate=lt1985-02-14", "ben"),
        ("Patient?birthdate=ge1990", "cem"), ("Patient?birthdate=le1985", "ana ben"),
        ("Patient?birthdate=sa1985-02", "cem"), ("Patient?birthdate=eb1990", "ana ben"),
        ("Patient?birthdate=ap1985-02-14", "ana ben"),
        ("Patient?birthdate=ap1988", "ana ben cem"),
        ("Observation?date=2026-05-01", "obs-1"), ("Observation?date=2026-05-02", "obs-3"),
        ("Observation?date=ge2026-05-01", "obs-1 obs-2 obs-3"),
        ("Observation?date=2026-05-01T10:00:00%2B00:00", "obs-1"),
        ("Observation?date=2026-05-01T12:00:00+02:00", "obs-1"),
        ("Observation?date=gt2026-05-01T10:00:00Z&date=lt2026-05-02T00:00:00Z", "obs-2"),
        ("Observation?date=gt2030", "obs-2"),
        ("Observation?date=sa2026-04-30", "obs-1 obs-2 obs-3"),
    ],
)  # fmt: skip
def test_dates(world: Api, query: str, expected: str) -> None:
    """Precision, prefixes, open periods, zones, a blank for a plus."""
    check(world, query, expected)


@pytest.mark.req("SRC-09")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("Observation?value-quantity=100", "obs-2 obs-4"),
        ("Observation?value-quantity=100.0", "obs-2"),
        ("Observation?value-quantity=1e2", "obs-2 obs-4"),
        ("Observation?value-quantity=gt100", "obs-1 obs-4"),
        ("Observation?value-quantity=ge100&value-quantity=lt120", "obs-2 obs-4"),
        ("Observation?value-quantity=ap110", "obs-1 obs-2 obs-4"),
        (f"Observation?value-quantity=120|{UCUM}|mm[Hg]", "obs-1"),
        (f"Observation?value-quantity=120|{UCUM}|kPa", ""),
        ("Observation?value-quantity=120||mm[Hg]", "obs-1"),
        ("RiskAssessment?probability=0.5", "risk-1"), ("RiskAssessment?probability=gt0.5", ""),
    ],
)  # fmt: skip
def test_numbers_and_quantities(world: Api, query: str, expected: str) -> None:
    """The precision of the searched number, its unit, prefixes."""
    check(world, query, expected)


@pytest.mark.req("SRC-09")
def test_near(world: Api) -> None:
    """Around a place."""
    check(world, "Location?near=41.9|-87.6|50|km", "loc-1")
    check(world, "Location?near=41.9|-87.6|4000", "loc-1 loc-2")
    assert 400 == world.get("Location?near=north").status_code


@pytest.mark.req("SRC-10")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("ValueSet?url=http://vs.example/a/b/c", "vs-2"), ("ValueSet?url=http://vs.example/a", ""),
        ("ValueSet?url:below=http://vs.example/a", "vs-2"),
        ("ValueSet?url:below=http://vs.example", "vs-1 vs-2"),
        ("ValueSet?url:below=http://vs.exam", ""),
        ("ValueSet?url:above=http://vs.example/a/b/c/d", "vs-2"),
        ("QuestionnaireResponse?questionnaire=http://q.example/intake|2", "qr-1"),
        ("QuestionnaireResponse?questionnaire=http://q.example/intake", "qr-1"),
        ("QuestionnaireResponse?questionnaire=http://q.example/intake|3", ""),
    ],
)  # fmt: skip
def test_uris(world: Api, query: str, expected: str) -> None:
    """By path, not by letters; a canonical with and without its version."""
    check(world, query, expected)


@pytest.mark.req("SRC-11")
def test_composites(world: Api) -> None:
    """Both parts in one element."""
    check(world, "Observation?code-value-quantity=sys$120", "obs-1")
    check(world, "Observation?code-value-quantity=dia$120", "")
    check(world, "Observation?component-code-value-quantity=a$1", "obs-4")
    check(world, "Observation?component-code-value-quantity=a$2", "")
    check(world, f"Observation?code-value-quantity={LOINC}|sys$gt100,dia$80", "obs-1 obs-3 obs-4")
    assert 400 == world.get("Observation?code-value-quantity=sys").status_code


@pytest.mark.req("SRC-12")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("Patient?active:missing=false", "cem"), ("Patient?active:missing=true", "ana ben"),
        ("Patient?phone:missing=false", "ana"), ("Patient?address:missing=true", "ben cem"),
        ("Observation?date:missing=true", "obs-4"), ("Coverage?payor:missing=true", "cov-3"),
        ("Observation?value-quantity:missing=true", ""), ("ValueSet?url:missing=true", ""),
        ("Location?near:missing=true", ""), ("Observation?component-code:missing=false", "obs-4"),
    ],
)  # fmt: skip
def test_missing(world: Api, query: str, expected: str) -> None:
    """There or not, for each type."""
    check(world, query, expected)


@pytest.mark.req("SRC-13")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("Coverage?beneficiary:Patient.identifier=urn:m|1", "cov-1 cov-3"),
        ("Coverage?beneficiary.name=okafor", "cov-2"), ("Coverage?payor.name=first", "cov-1"),
        ("Coverage?payor:Organization.partof.name=holding", "cov-1"),
        ("CoverageEligibilityRequest?coverage.payor:Organization.partof.name=hold", "req-1"),
        ("CoverageEligibilityRequest?patient._id=ana", "req-1"),
        ("Coverage?beneficiary.gender=male&status=cancelled", "cov-2"),
        ("Coverage?beneficiary.birthdate=lt1985-02-14", "cov-2"),
    ],
)  # fmt: skip
def test_chains(world: Api, query: str, expected: str) -> None:
    """Typed and untyped, three links."""
    if "coverage.payor" in query and "insurer" not in query:
        expected = expected if parameter_exists(world) else ""
    check(world, query, expected)


def parameter_exists(world: Api) -> bool:
    """Tell whether our own search parameter on the request's coverage is there."""
    answer = world.get("CoverageEligibilityRequest?coverage=x", Prefer="handling=strict")
    return answer.status_code == 200


@pytest.mark.req("SRC-14")
def test_has(world: Api) -> None:
    """Who is referred to by what meets a condition; two levels."""
    check(world, "Patient?_has:Coverage:beneficiary:status=cancelled", "ben")
    check(world, "Patient?_has:Observation:subject:code=dia", "ana")
    request = "_has:CoverageEligibilityRequest:coverage:_id=req-1"
    check(world, f"Organization?_has:Coverage:payor:{request}",
          "payer-1")  # fmt: skip
    check(world, "Patient?_has:Coverage:beneficiary:payor.name=first", "ana")
    check(world, "Patient?_list=list-1", "ben")
    for bad in ("_has:Foo:x:y=1", "_has:Coverage:status:_id=1", "_has:Coverage=1"):
        assert 400 == world.get(f"Patient?{bad}").status_code, bad


def included(world: Api, query: str) -> list[str]:
    return sorted(e["resource"]["id"] for e in world.entries(query)
                  if e["search"]["mode"] == "include")  # fmt: skip


@pytest.mark.req("SRC-15")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("Coverage?_id=cov-1&_include=Coverage:beneficiary", "ana"),
        ("Coverage?_id=cov-1&_include=Coverage:payor&_include=Coverage:beneficiary", "ana payer-1"),
        ("Coverage?_id=cov-1&_include=Coverage:payor:Patient", ""),
        ("Coverage?_id=cov-1&_include=*", "ana payer-1"),
        ("Coverage?_id=cov-1&_include=Coverage:*", "ana payer-1"),
        ("Coverage?_id=cov-1&_include=Coverage:payor&_include:iterate=Organization:partof",
         "holding payer-1"),
        ("Patient?_id=ben&_revinclude=Coverage:beneficiary", "cov-2"),
        ("Patient?_id=ben&_revinclude=*", "cov-2 list-1"),
        ("Patient?_id=ana&_revinclude=Coverage:beneficiary&_include:iterate=Coverage:payor",
         "cov-1 cov-3 payer-1"),
        ("Coverage?beneficiary=ana&_include=Coverage:beneficiary", "ana"),
    ],
)  # fmt: skip
def test_includes(world: Api, query: str, expected: str) -> None:
    """Each once, marked, and not counted."""
    bundle = world.get(query).get_json()

    assert expected.split() == included(world, query)
    matches = [e for e in bundle["entry"] if e["search"]["mode"] == "match"]
    assert len(matches) == bundle["total"]


@pytest.mark.req("SRC-15")
@pytest.mark.parametrize("value", ["Foo:x", "Coverage:status", "Coverage:x", "Coverage:payor:Foo"])
def test_includes_that_cannot_be(world: Api, value: str) -> None:
    """400 by name."""
    assert 400 == world.get(f"Coverage?_include={value}").status_code


@pytest.mark.req("SRC-16")
@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("family", "ana ben cem"), ("-family", "ben ana cem"), ("birthdate", "ben ana cem"),
        ("-birthdate", "cem ben ana"), ("gender,-family", "ana ben cem"),
        ("active,family", "cem ana ben"),
        ("-_id", "cem ben ana"), ("_lastUpdated", "ana ben cem"), ("-_lastUpdated", "cem ben ana"),
        ("identifier", "ana ben cem"),
    ],
)  # fmt: skip
def test_sorting(world: Api, sort: str, expected: str) -> None:
    """By several keys; what has none stands last; pages of one give the same order."""
    assert expected.split() == world.ids(f"Patient?_sort={sort}")
    paged, address = [], f"Patient?_sort={sort}&_count=1"
    while address:
        page = world.get(address).get_json()
        paged += [e["resource"]["id"] for e in page["entry"]]
        links = {link["relation"]: link["url"] for link in page["link"]}
        address = links.get("next", "").partition("/fhir/")[2]
    assert expected.split() == paged


@pytest.mark.req("SRC-17")
def test_pages_while_others_write(world: Api) -> None:
    """All that was there comes exactly once, forwards and back."""
    before = [f"page-{n:03}" for n in range(60)]
    for fhir_id in before:
        world.put({"resourceType": "Basic", "id": fhir_id, "code": {"text": "x"}})
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            body = {"resourceType": "Basic", "code": {"text": "new"}}
            world.post("Basic", body)
            world.put({**body, "id": before[number % 60], "subject": {"display": str(number)}})

    writer = threading.Thread(target=write)
    writer.start()
    seen: list[str] = []
    address, back = "Basic?_count=7&_total=none", ""
    try:
        while address and len(seen) < 500:
            page = world.get(address).get_json()
            seen += [e["resource"]["id"] for e in page.get("entry", [])]
            links = {link["relation"]: link["url"] for link in page["link"]}
            back = links.get("previous", back)
            address = links.get("next", "").partition("/fhir/")[2]
    finally:
        stop.set()
        writer.join()

    assert len(seen) == len(set(seen))
    assert before == [one for one in seen if one.startswith("page-")]
    assert 200 == world.get(back.partition("/fhir/")[2]).status_code
    assert "x" not in back.partition("?")[2].partition("=")[0]


@pytest.mark.req("SRC-17")
def test_page_links_tell_nothing(world: Api) -> None:
    """No value of the search or of a resource stands in the link; a damaged one is a 400."""
    page = world.get("Patient?name:contains=n&_sort=family&_count=1").get_json()
    link = next(one["url"] for one in page["link"] if one["relation"] == "next")
    query = link.partition("?")[2]

    assert query.startswith("_cursor=")
    assert "nunez" not in link
    for bad in (query[:-3], query + "AA", "_cursor=x", "_cursor=%C3%A4", f"_cursor={'A' * 5000}"):
        assert 400 == world.get(f"Patient?{bad}").status_code
    assert 400 == world.get(f"Coverage?{query}").status_code
    assert 400 == world.get(f"Patient/ana/_history?{query}").status_code


@pytest.mark.req("SRC-18")
def test_totals(world: Api) -> None:
    """Only the total; the total or none."""
    for query in ("_count=0", "_summary=count"):
        bundle = world.get(f"Patient?{query}").get_json()
        assert (3, None) == (bundle["total"], bundle.get("entry"))
    assert 3 == world.get("Patient?_total=accurate&_count=1").get_json()["total"]
    assert "total" not in world.get("Patient?_total=none").get_json()


@pytest.mark.req("SRC-19")
def test_parts_of_resources(world: Api) -> None:
    """_summary and _elements keep what is mandatory and say SUBSETTED."""

    def first(query: str) -> Any:
        return world.entries(query)[0]["resource"]

    elements = first("Coverage?_id=cov-1&_elements=period")
    summary = first("Patient?_id=ana&_summary=true")
    text = first("Patient?_id=ana&_summary=text")
    data = first("Patient?_id=ana&_summary=data")

    assert {"resourceType", "id", "meta", "status", "beneficiary", "payor", "period"} == set(
        elements
    )
    assert "text" not in summary
    assert "name" in summary
    assert {"resourceType", "id", "meta", "text"} == set(text)
    assert "text" not in data
    for part in (elements, summary, text, data):
        assert "SUBSETTED" in [tag["code"] for tag in part["meta"]["tag"]]
    assert "period" not in world.get("Coverage/cov-1?_elements=status").get_json()
    assert 400 == world.get("Patient/ana?_summary=perhaps").status_code


@pytest.mark.req("SRC-20")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("Patient?_id=ana,ben", "ana ben"), ("Patient?_tag=urn:t|vip", "ana"),
        ("Patient?_profile=http://p.example/a", "ana"), ("Patient?_security=r", "ana"),
        ("Patient?_lastUpdated=gt2026-01-01&_id=ben", "ben"), ("Patient?_lastUpdated=lt2026", ""),
        ("?_type=Patient,Coverage&_id=ana,cov-1,list-1", "ana cov-1"), ("?_tag=vip", "ana"),
        ("?_id=list-1", "list-1"), ("Patient?_tag:not=vip", "ben cem"),
    ],
)  # fmt: skip
def test_common_parameters(world: Api, query: str, expected: str) -> None:
    """Of every type, and of all at once."""
    check(world, query, expected)


@pytest.mark.req("SRC-21")
def test_compartments(world: Api) -> None:
    """Of one type and of all; what is outside is refused."""
    check(world, "Patient/ana/Coverage", "cov-1 cov-3")
    check(world, "Patient/ana/Coverage?status=draft", "cov-3")
    check(world, "Patient/ana/Appointment", "app-1")
    check(world, "Patient/ana/*?_count=100",
          "ana app-1 cov-1 cov-3 obs-1 obs-2 obs-3 obs-4 qr-1 req-1 risk-1")  # fmt: skip
    posted = world.post("Patient/ana/Coverage/_search", "status=draft",
                        Content_Type="application/x-www-form-urlencoded")  # fmt: skip
    assert 1 == posted.get_json()["total"]
    assert 400 == world.get("Patient/ana/Organization").status_code
    assert 404 == world.get("Patient/ana/Foo").status_code
    assert 404 == world.get("Coverage/cov-1/Patient").status_code


@pytest.mark.req("SRC-22")
@pytest.mark.parametrize(
    ("value", "found"),
    [(r"cem 100% _x_ a\,b", True), (r"cem 100% _x_ a\,zzz", False),
     (r"cem 100% _x_ a\,b\|c\$d\\e", True)],
)  # fmt: skip
def test_escapes(world: Api, value: str, found: bool) -> None:
    r"""`\,` `\|` `\$` `\\` stand for themselves."""
    assert found == ("cem" in world.ids(f"Patient?name={quote(value)}"))


@pytest.mark.req("SRC-23")
def test_full_text(world: Api) -> None:
    """_text reads narratives, _content everything; both with other conditions and totals."""
    check(world, "Patient?_text=wheelchair", "ana")
    check(world, "Patient?_text=WHEELCHAIR needed", "ana")
    check(world, "Patient?_text=okafor", "")
    check(world, "Patient?_content=okafor", "ben")
    check(world, "Patient?_content=okafor,nunez", "ana ben")
    check(world, "Patient?_content=nunez&gender=male", "")
    assert 1 == world.get("Patient?_content=okafor&_count=0").get_json()["total"]


@pytest.mark.req("SRC-25")
def test_a_stored_search_parameter(world: Api) -> None:
    """Coverage by its period: refused until indexed, then found, and gone with its resource."""
    body = {
        "resourceType": "SearchParameter", "id": "coverage-period", "status": "active",
        "url": "http://sp.example/coverage-period", "name": "CoveragePeriod", "code": "period",
        "description": "When a coverage is in force.", "base": ["Coverage"], "type": "date",
        "expression": "Coverage.period",
    }  # fmt: skip
    assert "period" not in world.get("Coverage?period=2026-02").get_json()["link"][0]["url"]
    world.put(body)
    early = world.get("Coverage?period=ge2026-02")
    assert (400, ["not-supported"]) == (early.status_code, codes(early))
    reindex(world)
    check(world, "Coverage?period=ge2026-07-01&period=le2026-07-31", "cov-2")
    world.put(samples.coverage("cov-4", period={"start": "2031-01-01", "end": "2031-12-31"}))
    check(world, "Coverage?period=2031", "cov-4")
    assert ["cov-4"] == world.ids("Coverage?_sort=-period&_count=1&period=2031")
    world.call("DELETE", "Coverage/cov-4")
    world.call("DELETE", "SearchParameter/coverage-period")
    assert 4 > len(world.ids("Coverage?period=2031"))
    for change in ({"expression": "Coverage.period.toString()"}, {"code": "status"},
                   {"expression": "Patient.name"}, {"type": "composite"}):  # fmt: skip
        assert 422 == world.post("SearchParameter", {**body, **change}).status_code, change


def reindex(world: Api) -> None:
    """Call $reindex and wait for its end."""
    answer = world.post("$reindex", None)
    assert 202 == answer.status_code
    status = answer.headers["Content-Location"].partition("/fhir/")[2]
    pause = threading.Event()
    for _ in range(600):
        answer = world.get(status)
        if answer.status_code != 202:
            break
        assert answer.headers["Retry-After"]
        pause.wait(0.05)
    assert (200, ["informational"]) == (answer.status_code, codes(answer))


@pytest.mark.req("SRC-26")
@pytest.mark.parametrize(
    "query",
    [
        "Patient?birthdate=abc", "Patient?birthdate=2026-13", "Patient?birthdate=zz2026",
        "Observation?value-quantity=x", "Observation?value-quantity=1e99999", "Patient?_count=x",
        "RiskAssessment?probability=", "Patient?_sort=nothing", "Patient?_sort=",
        "Patient?gender:foo=x",
        "Patient?birthdate:exact=2026", "Patient?active:missing=x", "Patient?name.family=x",
        "Coverage?beneficiary:Foo.name=x", "Patient?_summary=x", "Patient?_type=Foo", "?_type=Foo",
        "Patient?_contained=true", "Observation?value-quantity=0x10", "Patient?birthdate=0000",
    ],
)  # fmt: skip
def test_malformed_values(world: Api, query: str) -> None:
    """400, or ignored where there is no value at all."""
    answer = world.get(query)

    assert answer.status_code == (200 if query.endswith("=") else 400), query


@pytest.mark.req("SRC-27")
@pytest.mark.parametrize(
    "value",
    ["'", '"', "';--", "%", "_", "\\", "\\\\,", "|", "||", "|||", "$", "x" * 10_000,
     "a," * 499 + "a",
     "a," * 600, "\0", "\xed\xa0\x80", "(" * 200, "🩺"],
)  # fmt: skip
def test_hostile_values(world: Api, value: str) -> None:
    """200 or 400, in every kind of parameter."""
    for key in ("name", "identifier", "birthdate", "general-practitioner", "_id", "_lastUpdated",
                "_content", "identifier:of-type", "name:contains", "_has:Coverage:payor:status",
                "general-practitioner:Organization.name", "_include", "_sort", "_cursor",
                "_elements"):  # fmt: skip
        assert world.get(f"Patient?{key}={quote(value)}").status_code in (200, 400), key
    for path in ("Observation?code-value-quantity", "ValueSet?url:below", "Location?near"):
        assert world.get(f"{path}={quote(value)}").status_code in (200, 400), path
