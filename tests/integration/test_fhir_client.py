"""The FHIR client against our server: addresses of every kind, and errors as retry or never."""

from collections.abc import Callable, Iterator

import pytest
import requests

from bots import fhir_client
from bots.errors import NeverRetry, RetryLater
from bots.fhir_client import FhirClient
from bots.ports import RUN, Run
from fhir_profiles import elements, pas
from tests import pas as given
from tests import samples
from tests.contract.payer import built
from tests.programs import Programs, free_port

pytestmark = pytest.mark.loopback


@pytest.fixture(scope="module")
def programs(
    tmp_path_factory: pytest.TempPathFactory, new_database: Callable[[], str]
) -> Iterator[Programs]:
    started = Programs(tmp_path_factory.mktemp("client"), new_database())
    try:
        started.start("server")
        for resource in (samples.patient(), samples.coverage()):
            started.put(resource)
        yield started
    finally:
        started.stop()


def test_addresses_of_every_kind(programs: Programs) -> None:
    """Ours in each form is read; what cannot be here is None, and breaks nothing else."""
    addresses = [
        "Patient/pat", f"{programs.fhir}/Patient/pat", "Patient/pat/_history/1", "Patient/none",
        "http://ehr.example/fhir/Patient/pat", "urn:uuid:3b1c5c57-9b1e-4c5f-8f4d-7a110d7d0f2a",
        "#p", "", "not a reference", "Foo/1", "Patient?_id=pat",
    ]  # fmt: skip
    found = FhirClient(programs.fhir).read_all(addresses)

    assert ["pat", "pat", "pat"] == [(one or {}).get("id") for one in found[:3]]
    assert [None] * 7 == found[3:10]
    assert 1 == (found[10] or {})["total"]


def test_decimals_survive_an_update(programs: Programs) -> None:
    """Read and written back, 25.00 stays 25.00."""
    text = (
        '{"resourceType":"Coverage","id":"money","status":"active","beneficiary":{"reference":'
        '"Patient/pat"},"payor":[{"display":"x"}],"costToBeneficiary":[{"valueMoney":{"value":25.00}}]}'
    )
    address = f"{programs.fhir}/Coverage/money"
    headers = {"Content-Type": "application/fhir+json"}
    assert requests.put(address, data=text, headers=headers, timeout=9).ok
    client = FhirClient(programs.fhir)
    (coverage,) = client.read_all(["Coverage/money"])
    assert coverage is not None
    assert client.update({**coverage, "dependent": "1"}) is not None

    assert '"value":25.00' in requests.get(address, timeout=9).text
    assert client.update(coverage) is None  # the version moved on


def test_what_is_there_is_not_created_again(programs: Programs) -> None:
    """The second call stores nothing and returns the first one's resource as it stands."""
    client = FhirClient(programs.fhir)
    wanted = samples.coverage(identifier=[{"system": "http://x", "value": "once"}])
    del wanted["id"]
    first = client.create_once(wanted, "identifier=http://x|once")
    again = client.create_once({**wanted, "dependent": "2"}, "identifier=http://x|once")

    assert first["id"] == again["id"]
    assert "dependent" not in again
    assert 1 == len(client.search("Coverage", [("identifier", "http://x|once")]))


def test_a_transaction_is_done_whole_or_not_at_all(programs: Programs) -> None:
    """Its answers tell what was read, and the run what it has written; Binaries by themselves not.

    A version that moved on refuses all of it.
    """
    client, told = FhirClient(programs.fhir), Run()
    patient = samples.patient("whole")
    wanted = {"resourceType": "Basic", "identifier": [{"system": "http://x", "value": "whole"}],
              "code": {"text": "new"}}  # fmt: skip
    binary = {"resourceType": "Binary", "id": "whole", "contentType": "text/plain", "data": "YQ=="}
    create = {"method": "POST", "url": "Basic", "ifNoneExist": "identifier=http://x|whole"}
    entries = [
        elements.put_entry(binary),
        elements.put_entry(patient),
        {"resource": wanted, "request": create},
        {"request": {"method": "GET", "url": "Basic?identifier=http://x|whole"}},
    ]
    token = RUN.set(told)
    try:
        *_, found = client.transact(entries)
        client.transact(entries)  # nothing is new
    finally:
        RUN.reset(token)
    (basic,) = [entry["resource"] for entry in found["resource"]["entry"]]
    assert [f"Basic/{basic['id']}/_history/1", "Patient/whole/_history/1"] == sorted(told.wrote)

    stale = elements.put_entry({**patient, "gender": "other"})
    stale["request"]["ifMatch"] = 'W/"7"'
    with pytest.raises(NeverRetry, match="HTTP 412"):
        client.transact([elements.put_entry({**basic, "code": {"text": "other"}}), stale])
    assert [basic] == client.read_all([f"Basic/{basic['id']}"])


def test_a_resource_is_held_against_a_profile(programs: Programs) -> None:
    """Where it breaks it, in words; nothing from a server that does not know the profile."""
    client = FhirClient(programs.fhir)
    bundle = built(given.claim(), given.patient(identifier=[]))

    ((path, text),) = client.problems(bundle, pas.REQUEST_BUNDLE)
    assert path.endswith(".resource.identifier")
    assert "at least 1" in text
    assert [] == client.problems(built(given.claim()), pas.REQUEST_BUNDLE)
    assert [] == client.problems(bundle, "http://unknown.example/StructureDefinition/x")
    assert [] == client.problems({"resourceType": "Nonsense"}, pas.REQUEST_BUNDLE)


def test_each_of_many_is_created_once(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    """In calls of a few; one that is refused keeps no other from being there."""
    monkeypatch.setattr(fhir_client, "BATCH", 2)
    client = FhirClient(programs.fhir)
    many = [
        ({"resourceType": "Patient", "identifier": [{"system": "http://many", "value": str(n)}]},
         f"identifier=http://many|{n}")
        for n in range(5)
    ]  # fmt: skip
    client.create_each_once(many[:3])
    wrong = {"resourceType": "Patient", "gender": "x"}
    with pytest.raises(NeverRetry, match="refused 1 of 6 resources"):
        client.create_each_once([(wrong, "identifier=http://many|x"), *many])

    found = client.search("Patient", [("identifier", "http://many|")])
    assert sorted("01234") == sorted(one["identifier"][0]["value"] for one in found)


def test_refusals_and_outages(programs: Programs) -> None:
    """422 will never be better; a server that is away may."""
    client = FhirClient(programs.fhir)
    wrong = {"resourceType": "Patient", "id": "wrong", "gender": "x"}
    with pytest.raises(NeverRetry, match=r"HTTP 422 code-invalid at Patient\.gender"):
        client.put(wrong)
    with pytest.raises(NeverRetry, match="HTTP 422"):
        client.create_once(wrong, "identifier=http://x|1")
    with pytest.raises(RetryLater, match="ConnectionError"):
        FhirClient(f"http://127.0.0.1:{free_port()}/fhir").read_all(["Patient/pat"])


def test_search_follows_the_pages(programs: Programs) -> None:
    """Every match, whatever the page size."""
    for number in range(5):
        programs.put(samples.patient(f"page-{number}", name=[{"family": "Pages"}]))
    found = FhirClient(programs.fhir).search("Patient", [("family", "pages"), ("_count", "2")])

    assert [f"page-{n}" for n in range(5)] == [one["id"] for one in found]


def test_a_parameter_may_stand_several_times(programs: Programs) -> None:
    """A range has two bounds: both go out."""
    client = FhirClient(programs.fhir)
    for day in (1, 2, 3):
        report = {"resourceType": "MeasureReport", "id": f"day-{day}", "status": "complete",
                  "type": "summary", "measure": "http://x/m", "date": f"2026-12-0{day}",
                  "period": {"start": f"2026-12-0{day}"}}  # fmt: skip
        client.put(report)
    found = client.search("MeasureReport", [("date", "ge2026-12-02"), ("date", "lt2026-12-03")])

    assert ["day-2"] == [one["id"] for one in found]


def test_the_environment_names_the_proxy(
    programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its proxy is used, and what it excepts is not sent there."""
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(RetryLater, match="ProxyError"):
        FhirClient(programs.fhir).read_all(["Patient/pat"])
    monkeypatch.setenv("no_proxy", "127.0.0.1")

    assert FhirClient(programs.fhir).read_all(["Patient/pat"]) != [None]
