"""The sandbox's payer inside one process, and requests to it as our own builder makes them."""

import itertools
from collections.abc import Callable
from typing import Any

from bots.mapping import pas_request
from fhir_profiles import pas
from sandbox.cli import create_app
from sandbox.world import World
from tests import pas as given
from tests.fakes import NOW

Resource = dict[str, Any]
SITE = "1999999984@http://127.0.0.1:8080/fhir"
_numbers = itertools.count(1)


def client() -> Any:
    """Return a client of a payer that knows nothing yet."""
    return create_app(World()).test_client()


def built(claim: Resource, *resources: Resource, number: str = "") -> Resource:
    """Return the request Bundle about a claim, as the next transaction."""
    every = {f"{r['resourceType']}/{r['id']}": r for r in given.world(*resources)}
    reached: dict[str, Resource] = {}
    todo = pas_request.wanted(claim, is_first=True)
    while todo:
        address = todo.pop()
        if address in every and address not in reached:
            reached[address] = every[address]
            todo += pas_request.wanted(every[address], is_first=False)
    number = number or f"T{next(_numbers)}"
    return pas_request.bundle(claim, reached, number=number, moment=NOW, server=SITE)


def of_code(*codes: str, fhir_id: str = "pa", **more: Any) -> Resource:
    """Return a claim with an item for each CPT or HCPCS code."""
    claim = given.claim(fhir_id, items=len(codes), **more)
    for item, code in zip(claim["item"], codes, strict=True):
        item["productOrService"] = given.coded("http://www.ama-assn.org/go/cpt", code)
    return claim


def post(payer: Any, bundle: Any, operation: str = "submit", base: str = "/fhir") -> Any:
    """Post a Bundle to an operation of Claim; return the answer."""
    path = f"{base}/Claim/${operation}"
    return payer.post(path, json=bundle, headers={"Content-Type": "application/fhir+json"})


def response_of(bundle: Resource) -> Resource:
    """Return the ClaimResponse of an answer."""
    found: Resource = bundle["entry"][0]["resource"]
    return found


def actions(response: Resource) -> dict[int, str]:
    """Return item sequence -> X12 306 code."""
    found = {}
    for item in response["item"]:
        (review,) = item["adjudication"][0]["extension"]
        concept = next(p for p in review["extension"] if p["url"] == pas.EXT_REVIEW_CODE)
        found[item["itemSequence"]] = concept["valueCodeableConcept"]["coding"][0]["code"]
    return found


def inquiry(**more: Any) -> Resource:
    """Return an inquiry Bundle by member id and the clinic's NPI."""
    kind = given.coded("http://terminology.hl7.org/CodeSystem/v2-0203", "MB")
    member = {
        "type": kind,
        "system": "https://example-health.example/members",
        "value": "INF100001",
    }
    parts: dict[str, Resource] = {
        "patient": given.patient(identifier=[member]),
        "insurer": given.payer(),
        "provider": given.clinic(),
    }
    urls = {name: pas_request.full_url(one, SITE) for name, one in parts.items()}
    claim = {
        "resourceType": "Claim", "id": "ask", "status": "active", "use": "preauthorization",
        "identifier": [{"system": "urn:trnorg:1999999984", "value": "ASK-1"}],
        **{name: {"reference": url} for name, url in urls.items()}, **more,
    }  # fmt: skip
    entries = [{"fullUrl": pas_request.full_url(claim, SITE), "resource": claim}]
    entries += [{"fullUrl": urls[name], "resource": one} for name, one in parts.items()]
    return {
        "resourceType": "Bundle", "type": "collection", "timestamp": NOW.isoformat(),
        "identifier": {"system": "urn:x", "value": "I1"}, "entry": entries,
    }  # fmt: skip


def without(*path: Any) -> Callable[[Resource], None]:
    """Return what takes the element at a path away."""

    def change(bundle: Resource) -> None:
        node: Any = bundle
        for step in path[:-1]:
            node = node[step]
        del node[path[-1]]

    return change
