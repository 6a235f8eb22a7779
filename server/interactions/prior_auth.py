"""A prior authorization as the server sees it: taken at the door once, and its answer found.

What an EHR sends is kept as it came and goes to the payer so; the Claim beside it, with the parties
that we hold, is what people look for. Source: Da Vinci PAS 2.2.1, Claim/$submit.
"""

import re
from collections.abc import Container, Iterator
from typing import Any
from urllib.parse import quote

from fhir_profiles import codec, elements, pas, pas_rules, prior_auth, prior_auth_clock
from fhir_profiles.prior_auth import Status
from server.errors import BadRequest, Conflict, Issue, Unprocessable
from server.interactions import bundle as bundles
from server.interactions import create, prior_auth_answer, read, search, update
from server.interactions._write import Origin, Saved
from server.interactions.engine import Engine
from server.validation import profiles, structure

Resource = dict[str, Any]
WAIT_S = 12.5  # of the 13 s after which an answer goes back; PAS gives 15


def accept(engine: Engine, body: Any, origin: Origin) -> str:
    """Take a PAS request Bundle or a Claim; return the id of its Task, the same each time.

    Raises Unprocessable naming everything that a Bundle lacks, before anything is stored.
    """
    kind = body.get("resourceType") if isinstance(body, dict) else None
    if kind == "Claim":
        saved = create.create(engine, "Claim", body, if_none_exist="", origin=origin)
        return of_claim(engine, saved.id, origin)
    if kind != "Bundle":
        raise BadRequest("Expected a PAS request Bundle, or a Claim.", expression="resource")
    _check(body)
    identifier = body["identifier"]
    number = f"{identifier['system']}|{identifier['value']}"
    there = _task(engine, number)
    if there is None:
        return _stored(engine, body, number, origin)
    sent = prior_auth.part(there, prior_auth.REQUEST).removeprefix("Bundle/")
    kept = codec.decode(read.read(engine, "Bundle", sent).body)
    if codec.encode(_bare(kept)) != codec.encode(_bare(body)):
        text = "Another request was sent under this identifier: a new one needs one of its own."
        raise Conflict(text, expression="Bundle.identifier")
    return str(there["id"])


def _bare(bundle: Resource) -> Resource:
    return {k: v for k, v in sorted(bundle.items()) if k not in ("id", "meta")}


def of_claim(engine: Engine, claim_id: str, origin: Origin) -> str:
    """Return the id of the Task of a stored Claim in its version of now.

    One that was not sent, or was refused, is sent again in place of a second one.
    """
    body = codec.decode(read.read(engine, "Claim", claim_id).body)
    if body.get("use") != "preauthorization":
        raise Unprocessable("Expected a Claim of use preauthorization.", expression="Claim.use")
    number = _number(body)
    for task in _of_focus(engine, f"Claim/{claim_id}"):
        status = prior_auth.status(task)
        if elements.identifier(task, prior_auth.NUMBER) == number and status != Status.DRAFT:
            return str(task["id"])
        if status in prior_auth.TO_SEND | {Status.DRAFT}:
            return send_again(engine, task, origin)
    made = _made(engine, f"Claim/{claim_id}", body, number, "")
    return _once(engine, made, number, origin)


def keep_claim(engine: Engine, made: Resource, origin: Origin) -> str:
    """Store a Claim unless one with its first identifier is there; return the id of which is."""
    first = made["identifier"][0]
    token = "|".join(elements.escaped(str(first[name])) for name in ("system", "value"))
    condition = f"identifier={token}"
    return create.create(engine, "Claim", made, if_none_exist=condition, origin=origin).id


def _number(claim: Resource) -> str:
    return f"Claim/{claim['id']}/_history/{claim['meta']['versionId']}"


def draft(engine: Engine, claim_id: str, reason: str, origin: Origin, *, based_on: str = "") -> str:
    """Return the id of the Task of a stored Claim that a person has still to send.

    `based_on` is the address of the Task that it follows from. One that is there already, of
    whatever version of the Claim, is the one.
    """
    there = newest(engine, claim_id)
    if there is not None:
        return str(there["id"])
    body = codec.decode(read.read(engine, "Claim", claim_id).body)
    number = _number(body)
    made = _made(engine, f"Claim/{claim_id}", body, number, "")
    if based_on:
        made["basedOn"] = [{"reference": based_on}]
    return _once(engine, prior_auth.moved(made, Status.DRAFT, reason), number, origin)


def newest(engine: Engine, claim_id: str) -> Resource | None:
    """Return the newest Task of a stored Claim, None where it has none."""
    tasks = _of_focus(engine, f"Claim/{claim_id}")
    return max(tasks, key=lambda one: str(one["authoredOn"]), default=None)


def send_again(engine: Engine, task: Resource, origin: Origin) -> str:
    """Let a Task that was not sent go out; return its id."""
    claim = read.referenced(engine, "Claim", elements.reference(task["focus"]))
    number = _number(claim) if claim else elements.identifier(task, prior_auth.NUMBER)
    return change(engine, task, prior_auth.again(task, number), origin)


def turn(engine: Engine, task: Resource, to: Status, reason: str, origin: Origin) -> None:
    """Move a Task by a person's word."""
    change(engine, task, prior_auth.moved(task, to, reason), origin)


def change(engine: Engine, task: Resource, to: Resource, origin: Origin) -> str:
    """Store a Task as it is now, unless somebody else changed it meanwhile; return its id."""
    fhir_id, version = str(task["id"]), int(task["meta"]["versionId"])
    update.update(engine, "Task", fhir_id, to, if_match=version, origin=origin)
    return fhir_id


def _of_focus(engine: Engine, address: str) -> list[Resource]:
    wanted = [("focus", address), ("code", prior_auth.TOKEN)]
    page = search.search(engine, "Task", [*wanted, ("_total", "none")])
    return [codec.decode(match.body) for match in page.matches]


def answer(engine: Engine, task_id: str) -> bytes | None:
    """Return the payer's response Bundle as it came, None while there is none to come back with.

    Where people send it by hand, or it goes out again, one that says "pended". Raises
    Unprocessable where the request could not be sent, or its answer not be read.
    """
    task = codec.decode(read.read(engine, "Task", task_id).body)
    there = prior_auth.part(task, prior_auth.ANSWER)
    if there:
        return read.read(engine, "Bundle", there.removeprefix("Bundle/")).body
    status, reason = prior_auth.status(task), str(task.get("statusReason", {}).get("text", ""))
    if prior_auth.is_retried(task) or (status == Status.READY and reason):
        return codec.encode(prior_auth_answer.pended(engine, task_id))
    if status in (Status.READY, Status.SENT):
        return None
    if reason.startswith(prior_auth.INCOMPLETE):
        raise Unprocessable(issues=list(_lacks(reason.removeprefix(prior_auth.INCOMPLETE))))
    raise Unprocessable(reason or f"The request is {status}.", expression="Claim")


def _lacks(told: str) -> Iterator[Issue]:
    """Yield an issue for each thing that a draft lacks: Type/id.element: words; and so on."""
    for one in told.split("; "):
        where, _, text = one.partition(": ")
        yield Issue("required", f"{where}: {text}", re.sub(r"^(\w+)/[^.]*", r"\1", where))


def _check(body: Resource) -> None:
    issues = structure.check(body)
    if not issues:
        breaches = [one for one in pas_rules.check(body) if one.is_error]
        told = {one.path for one in breaches}  # in better words than the profile's
        issues = [
            *(
                one
                for one in profiles.check(body, pas.REQUEST_BUNDLE)
                if one.expression not in told
            ),
            *(Issue("business-rule", one.text, one.path) for one in breaches),
        ]
    if issues:
        raise Unprocessable(issues=issues)


def _task(engine: Engine, number: str) -> Resource | None:
    wanted = [("identifier", f"{prior_auth.NUMBER}|{elements.escaped(number)}")]
    page = search.search(engine, "Task", [*wanted, ("_total", "none")])
    return codec.decode(page.matches[0].body) if page.matches else None


def _made(engine: Engine, address: str, claim: Resource, number: str, sent: str) -> Resource:
    authored = engine.now().isoformat(timespec="milliseconds")
    made = prior_auth.task(
        claim=address, patient=claim["patient"], number=number, bundle=sent, authored=authored
    )
    return {**made, "priority": prior_auth_clock.PRIORITIES[prior_auth_clock.asked(claim)]}


def _once(engine: Engine, task: Resource, number: str, origin: Origin) -> str:
    condition = f"identifier={prior_auth.NUMBER}|{elements.escaped(number)}"
    return create.create(engine, "Task", task, if_none_exist=condition, origin=origin).id


def _stored(engine: Engine, body: Resource, number: str, origin: Origin) -> str:
    """Store the Bundle as it came, then the Claim, the parties and the Task in one transaction."""
    kept = create.create(engine, "Bundle", body, if_none_exist="", origin=origin)
    first = body["entry"][0]
    task = _made(engine, first["fullUrl"], first["resource"], number, f"Bundle/{kept.id}")
    condition = f"identifier={prior_auth.NUMBER}|{elements.escaped(number)}"
    entries = [*_parties(body), {
        "fullUrl": f"urn:uuid:{engine.new_id()}",
        "resource": task,
        "request": {"method": "POST", "url": "Task", "ifNoneExist": condition},
    }]  # fmt: skip
    made = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    _, results = bundles.run(engine, made, origin=origin)
    last = results[-1]
    assert isinstance(last, Saved)  # noqa: S101 a POST that did not raise has stored
    return last.id


def _parties(body: Resource) -> Iterator[Resource]:
    """Yield the Claim and whom it names, for a transaction; a party that is here is not doubled.

    The rest stays in the Bundle, and the Claim names it there.
    """
    first, *others = body["entry"]
    claim = first["resource"]
    named = {elements.reference(claim[name]) for name in ("patient", "insurer", "provider")}
    kept = {e["fullUrl"]: e["resource"] for e in others if e["fullUrl"] in named}
    kept = {url: one for url, one in kept.items() if one["resourceType"] in _PARTIES}
    yield _entry(first["fullUrl"], _named(claim, kept.keys()), "")
    for url, one in kept.items():
        yield _entry(url, _named(one, kept.keys()), _sole_identifier(one))


_PARTIES = ("Patient", "Organization")


def _entry(url: str, resource: Resource, if_none_exist: str) -> Resource:
    request = {"method": "POST", "url": resource["resourceType"]}
    if if_none_exist:
        request["ifNoneExist"] = if_none_exist
    body = {name: value for name, value in resource.items() if name != "id"}
    return {"fullUrl": url, "resource": body, "request": request}


def _sole_identifier(resource: Resource) -> str:
    """Return the search that finds a party again, "" where nothing is sure enough.

    Families share member ids, whatever they are called: a person is found by name and birth date,
    too.
    """
    numbers = [i for i in resource.get("identifier", []) if i.get("system") and i.get("value")]
    if not numbers:
        return ""
    system, value = (elements.escaped(str(numbers[0][name])) for name in ("system", "value"))
    asked = f"identifier={quote(f'{system}|{value}')}"
    if resource["resourceType"] != "Patient":
        return asked
    name = elements.human_name(resource)
    given = elements.texts(name, "given")
    if not (resource.get("birthDate") and name.get("family") and given):
        return ""
    told = {"family:exact": name["family"], "given:exact": given[0]}
    words = "&".join(f"{key}={quote(elements.escaped(str(text)))}" for key, text in told.items())
    return f"{asked}&birthdate={resource['birthDate']}&{words}"


def _named(node: Any, kept: Container[str]) -> Any:
    """Return a copy in which a reference to what only the Bundle has is a logical one."""

    def change(found: Resource) -> Resource:
        address = found["reference"]
        if address in kept or address.startswith("#"):
            return found
        told = {name: value for name, value in found.items() if name != "reference"}
        return {**told, "identifier": {"system": "urn:ietf:rfc:3986", "value": address}}

    return elements.with_references(node, change)
