"""How prior authorizations stand, as the payer said last: what an inquiry of PAS gets back."""

from collections.abc import Iterator
from typing import Any

from fhir_profiles import codec, elements, prior_auth, systems
from server.errors import BadRequest
from server.interactions import prior_auth as requests
from server.interactions import read, search
from server.interactions.engine import Engine

Resource = dict[str, Any]
LIMIT = "50"  # requests of one person that are looked at


def of_claim(engine: Engine, claim_id: str) -> list[Resource]:
    """Return the response Bundle of a stored Claim's request; none where there is no request.

    Raises NotFound, Gone as read does.
    """
    read.read(engine, "Claim", claim_id)
    return [_standing(engine, task) for task in _tasks(engine, ("focus", f"Claim/{claim_id}"))]


def fitting(engine: Engine, body: Any) -> list[Resource]:
    """Return the response Bundles of the requests that an inquiry Bundle is about.

    The patient must be one of ours by an identifier, and the provider who asked by its NPI; the
    inquiry's own Claim.identifier only names it. Raises BadRequest for any other body.
    """
    entries = body.get("entry") if isinstance(body, dict) else None
    listed = [e for e in entries if isinstance(e, dict)] if isinstance(entries, list) else []
    held = {str(one.get("fullUrl")): one.get("resource") for one in listed}
    first = next(iter(held.values()), None)
    if not isinstance(first, dict) or first.get("resourceType") != "Claim":
        raise BadRequest("Expected a PAS inquiry Bundle, its Claim first.", expression="Bundle")
    patient, provider = (
        held.get(elements.reference(first.get(name))) for name in ("patient", "provider")
    )
    if not isinstance(patient, dict) or not isinstance(provider, dict):
        raise BadRequest("Expected patient and provider in the Bundle.", expression="Bundle.entry")
    npi = elements.identifier(provider, systems.NPI)
    return [
        _standing(engine, task)
        for address in dict.fromkeys(_patients(engine, patient))
        for task in _tasks(engine, ("patient", address))
        if npi and npi == _npi(engine, task)
    ]


def _patients(engine: Engine, patient: Resource) -> Iterator[str]:
    """Yield who is known here by a number of the patient's: their own, or a member id."""
    numbers = [i for i in patient.get("identifier", []) if isinstance(i, dict) and i.get("value")]
    for one in numbers:
        value = elements.escaped(str(one["value"]))
        system = elements.escaped(str(one.get("system", "")))
        token = f"{system}|{value}" if system else value
        for found in _found(engine, "Patient", [("identifier", token)]):
            yield f"Patient/{found['id']}"
        for found in _found(engine, "Coverage", [("identifier", token)]):
            yield elements.reference(found["beneficiary"])


def _tasks(engine: Engine, wanted: tuple[str, str]) -> list[Resource]:
    return _found(engine, "Task", [("code", prior_auth.TOKEN), wanted, ("_sort", "-authored-on")])


def _found(engine: Engine, type_name: str, wanted: list[tuple[str, str]]) -> list[Resource]:
    page = search.search(engine, type_name, [*wanted, ("_count", LIMIT), ("_total", "none")])
    return [codec.decode(body) for body in page.bodies]


def _npi(engine: Engine, task: Resource) -> str:
    claim = read.referenced(engine, "Claim", elements.reference(task["focus"])) or {}
    address = elements.reference(claim.get("provider"))
    provider = read.referenced(engine, address.partition("/")[0], address) if address else None
    return elements.identifier(provider or {}, systems.NPI)


def _standing(engine: Engine, task: Resource) -> Resource:
    """Return the payer's last answer as it came, or one that says that it has not answered."""
    there = prior_auth.part(task, prior_auth.ANSWER)
    answer = read.referenced(engine, "Bundle", there)
    return answer if answer is not None else requests.pended(engine, str(task["id"]))
