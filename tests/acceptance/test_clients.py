"""Other people's clients against the running server, on both engines.

Each creates, reads, searches over pages, updates by condition, patches, and sends a transaction.
"""

import asyncio
import json
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fhirclient import client as smart
from fhirclient.models.bundle import Bundle
from fhirclient.models.humanname import HumanName
from fhirclient.models.identifier import Identifier
from fhirclient.models.patient import Patient
from fhirpy import AsyncFHIRClient, SyncFHIRClient
from fhirpy.base.exceptions import MultipleResourcesFound, OperationOutcome, ResourceNotFound

from tests import node_tools, samples
from tests.programs import Programs

pytestmark = [pytest.mark.loopback, pytest.mark.node]
URN = "urn:uuid:6b1c5c57-9b1e-4c5f-8f4d-7a110d7d0f2a"


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, kind: str, new_database: Callable[[], str]
) -> Iterator[Programs]:
    """A server alone."""
    started = Programs(tmp_path_factory.mktemp(f"clients-{kind}"), new_database())
    try:
        started.start("server")
        yield started
    finally:
        started.stop()


def tagged(value: str, **more: Any) -> dict[str, Any]:
    body = samples.patient(identifier=[{"system": "urn:x:client", "value": value}], **more)
    del body["id"]
    return body


def transaction(value: str) -> dict[str, Any]:
    coverage = samples.coverage(beneficiary={"reference": URN})
    del coverage["id"]
    post = {"method": "POST"}
    return {"resourceType": "Bundle", "type": "transaction", "entry": [
        {"fullUrl": URN, "resource": tagged(value), "request": {**post, "url": "Patient"}},
        {"resource": coverage, "request": {**post, "url": "Coverage"}},
    ]}  # fmt: skip


def test_fhirpy(server: Programs) -> None:
    """The client that the bots use, with its own ways to say things."""
    client = SyncFHIRClient(server.fhir)
    patient = client.resource("Patient", **tagged("py"))
    patient.save()
    assert "Rivera" == client.reference("Patient", patient.id).to_resource()["name"][0]["family"]
    for number in range(5):
        client.resource("Basic", code={"text": str(number)},
                        subject={"reference": f"Patient/{patient.id}"}).save()  # fmt: skip
    found = client.resources("Basic").search(subject=f"Patient/{patient.id}").limit(2)
    assert 5 == len(found.fetch_all())
    assert 5 == found.count()
    _, created = client.resources("Patient").search(identifier="urn:x:client|py").get_or_create(
        client.resource("Patient", **tagged("py"))
    )  # fmt: skip
    assert not created
    updated, created = client.resources("Patient").search(identifier="urn:x:client|py").update(
        client.resource("Patient", **tagged("py", gender="male"))
    )  # fmt: skip
    assert (patient.id, False) == (updated.id, created)
    patched = client.resources("Patient").search(identifier="urn:x:client|py").patch(gender="other")
    assert "other" == patched["gender"]
    patient.refresh()
    patient["gender"] = "unknown"
    patient.save(fields=["gender"])
    assert "unknown" == client.reference("Patient", patient.id).to_resource()["gender"]
    assert client.resource("Patient", **tagged("x")).is_valid()
    assert not client.resource("Patient", gender="x").is_valid()
    answer = client.execute("", method="POST", data=transaction("py-tx"))
    assert ["201", "201"] == [e["response"]["status"][:3] for e in answer["entry"]]
    with pytest.raises(ResourceNotFound):
        client.reference("Patient", "never").to_resource()
    with pytest.raises(OperationOutcome):
        client.resource("Patient", gender="x").save()
    client.resource("Patient", **tagged("py")).save()
    with pytest.raises(MultipleResourcesFound):
        client.resources("Patient").search(identifier="urn:x:client|py").get()


def test_fhirpy_async(server: Programs) -> None:
    """The same client with asyncio."""

    async def work() -> int:
        client = AsyncFHIRClient(server.fhir)
        await client.resource("Patient", **tagged("async")).save()
        found = client.resources("Patient").search(identifier="urn:x:client|async")
        return len(await found.fetch_all())

    assert 1 == asyncio.run(work())


def test_fhirclient(server: Programs) -> None:
    """SMART's client reads every answer into strict models."""
    client = smart.FHIRClient(settings={"app_id": "test", "api_base": server.fhir})
    assert client.prepare()
    fhir: Any = client.server
    patient = Patient({"name": [{"family": "Smart"}],
                       "identifier": [{"system": "urn:x:client", "value": "smart"}]})  # fmt: skip
    created = patient.create(client.server)
    found = Patient.read(created["id"], client.server)
    assert "Smart" == found.name[0].family
    found.gender = "female"
    found.name.append(HumanName({"text": "More"}))
    found.identifier.append(Identifier({"system": "urn:x:more", "value": "1"}))
    assert "2" == found.update(client.server)["meta"]["versionId"]
    for number in range(5):
        Patient({"name": [{"family": f"Page{number}"}]}).create(client.server)
    search = Patient.where({"family": "page", "_count": "2"})
    assert 5 == len(list(search.perform_resources_iter(client.server)))
    again = Patient.where({"identifier": "urn:x:client|smart"})
    assert 1 == len(list(again.perform_resources_iter(client.server)))
    answer = fhir.post_json("", transaction("smart-tx")).json()
    assert ["201", "201"] == [e.response.status[:3] for e in Bundle(answer).entry or []]
    body = {**tagged("smart", gender="other"), "id": created["id"]}
    conditional = fhir.put_json("Patient?identifier=urn:x:client|smart", body).json()
    assert ("other", created["id"]) == (conditional["gender"], conditional["id"])
    answer = fhir.session.patch(
        f"{server.fhir}/Patient/{created['id']}", json={"gender": "male"},
        headers={"Content-Type": "application/merge-patch+json"}, timeout=20,
    )  # fmt: skip
    assert "male" == Patient(answer.json()).gender
    assert Patient(answer.json()).delete(client.server) is None


def test_fhir_kit_client(server: Programs) -> None:
    """The JavaScript client, in Node."""
    node_tools.packages()
    done = subprocess.run(
        [node_tools.NODE, node_tools.FOLDER / "client.mjs", server.fhir],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert 0 == done.returncode, done.stderr
    said = {one["step"]: one["value"] for one in map(json.loads, done.stdout.splitlines())}

    assert {
        "create": "1", "read": "Kit", "search": 5, "conditional update": [True, "2"],
        "patch": "female", "transaction": ["201", "201"], "linked": True, "history": 3,
        "metadata": "4.0.1",
    } == said  # fmt: skip
