"""How prior authorizations stand, as the payer said last: what an inquiry of PAS gets back."""

from collections.abc import Callable, Iterator
from typing import Any

from fhir_profiles import elements, prior_auth, systems
from fhir_profiles.prior_auth import Status
from server.errors import BadRequest
from server.interactions import prior_auth_answer, read, search
from server.interactions.engine import Engine

Resource = dict[str, Any]
LIMIT = 50  # requests of one person that are looked at


def of_claim(engine: Engine, claim_id: str) -> list[Resource]:
    """Return the response Bundle of a stored Claim's request; none where there is no request.

    Raises NotFound, Gone as read does.
    """
    read.read(engine, "Claim", claim_id)
    tasks = _tasks(engine, ("focus", f"Claim/{claim_id}"))
    return [_standing(engine, task) for task in tasks if _has_gone_out(task)]


def fitting(engine: Engine, body: Any) -> list[Resource]:
    """Return the response Bundles of the requests that an inquiry Bundle is about.

    The patient must be one of ours by an identifier, name and birth date, and the provider who
    asked by its NPI; the inquiry's own Claim.identifier only names it. Raises BadRequest for any
    other body.
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
    npi = elements.identifier(provider, systems.NPI) or _of_role(provider, held.get)
    found = [
        task
        for address in dict.fromkeys(_patients(engine, patient))
        for task in _tasks(engine, ("patient", address))
        if npi and npi == _npi(engine, task) and _has_gone_out(task)
    ]
    newest = {prior_auth.group(task): task for task in reversed(found)}  # what was updated is over
    return [_standing(engine, task) for task in newest.values()]


def _patients(engine: Engine, patient: Resource) -> Iterator[str]:
    """Yield who is known here by a number with its system: their own, or a member id.

    Families share member ids: name and birth date must be the same, too.
    """
    listed = [i for i in patient.get("identifier", []) if isinstance(i, dict)]
    for one in (i for i in listed if i.get("value") and i.get("system")):
        token = "|".join(elements.escaped(str(one[name])) for name in ("system", "value"))
        wanted = [("identifier", token)]
        people = search.found(engine, "Patient", wanted, LIMIT)
        found = [f"Patient/{one['id']}" for one in people]
        covered = search.found(engine, "Coverage", wanted, LIMIT)
        for address in (*found, *(elements.reference(c["beneficiary"]) for c in covered)):
            known = read.referenced(engine, "Patient", address)
            if known is not None and _who(known) == _who(patient):
                yield address


def _who(patient: Resource) -> tuple[str, str, str]:
    name = elements.human_name(patient)
    given = next(iter(elements.texts(name, "given")), "")
    told = (str(name.get("family", "")), given, str(patient.get("birthDate", "")))
    return (told[0].casefold(), told[1].casefold(), told[2])


def _tasks(engine: Engine, wanted: tuple[str, str]) -> list[Resource]:
    asked = [("code", prior_auth.TOKEN), wanted, ("_sort", "-authored-on")]
    return search.found(engine, "Task", asked, LIMIT)


def _has_gone_out(task: Resource) -> bool:
    """Tell whether a payer has answered, or may have the request."""
    is_kept = bool(prior_auth.part(task, prior_auth.REQUEST))
    is_open = prior_auth.status(task) in (Status.READY, *prior_auth.WAITING)
    return bool(prior_auth.part(task, prior_auth.ANSWER)) or (is_kept and is_open)


def _npi(engine: Engine, task: Resource) -> str:
    claim = read.referenced(engine, "Claim", elements.reference(task["focus"])) or {}
    address = elements.reference(claim.get("provider"))
    provider = read.referenced(engine, address.partition("/")[0], address) or {}
    return elements.identifier(provider, systems.NPI) or _of_role(
        provider, lambda one: read.referenced(engine, one.partition("/")[0], one)
    )


def _of_role(provider: Resource, find: Callable[[str], Any]) -> str:
    """Return the NPI of who a PractitionerRole is of, "" for anything else."""
    who = find(elements.reference(provider.get("practitioner")))
    return elements.identifier(who, systems.NPI) if isinstance(who, dict) else ""


def _standing(engine: Engine, task: Resource) -> Resource:
    """Return the payer's last answer as it came, or one that says that it has not answered."""
    there = prior_auth.part(task, prior_auth.ANSWER)
    answer = read.referenced(engine, "Bundle", there)
    return answer if answer is not None else prior_auth_answer.pended(engine, str(task["id"]))
