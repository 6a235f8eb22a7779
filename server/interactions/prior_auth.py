"""A prior authorization as the server sees it: taken at the door once, and its answer found.

What an EHR sends is kept as it came and goes to the payer so; the Claim beside it, with the parties
that we hold, is what people look for. Source: Da Vinci PAS 2.2.1, Claim/$submit.
"""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from fhir_profiles import codec, elements, pas, pas_rules, prior_auth, systems
from fhir_profiles.prior_auth import Status
from server.errors import BadRequest, Issue, Unprocessable
from server.interactions import bundle as bundles
from server.interactions import create, read, search
from server.interactions._write import Origin, Saved
from server.interactions.engine import Engine
from server.validation import check as validation

Resource = dict[str, Any]
WAIT_S = 13.0  # of the 15 s that PAS gives, two for the way
_ADJUDICATION = "http://terminology.hl7.org/CodeSystem/adjudication"
_SUBMITTED = {"coding": [{"system": _ADJUDICATION, "code": "submitted"}]}


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
    return there or _stored(engine, body, number, origin)


def of_claim(engine: Engine, claim_id: str, origin: Origin) -> str:
    """Return the id of the Task of a stored Claim in its version of now."""
    claim = read.read(engine, "Claim", claim_id)
    body = codec.decode(claim.body)
    if body.get("use") != "preauthorization":
        raise Unprocessable("Expected a Claim of use preauthorization.", expression="Claim.use")
    number = f"Claim/{claim_id}/_history/{body['meta']['versionId']}"
    made = _made(engine, f"Claim/{claim_id}", body["patient"], number, "")
    return _once(engine, made, number, origin)


def answer(engine: Engine, task_id: str) -> bytes | None:
    """Return the payer's response Bundle as it came, None while there is none to come back with.

    Where people send it by hand, one that says "pended". Raises Unprocessable where the request
    could not be sent, or its answer not be read.
    """
    task = codec.decode(read.read(engine, "Task", task_id).body)
    there = prior_auth.part(task, prior_auth.ANSWER)
    if there:
        return read.read(engine, "Bundle", there.removeprefix("Bundle/")).body
    status, reason = prior_auth.status(task), str(task.get("statusReason", {}).get("text", ""))
    if status == Status.READY and reason:
        return codec.encode(pended(engine, task_id))
    if status in (Status.READY, Status.SENT):
        return None
    raise Unprocessable(reason or f"The request is {status}.", expression="Claim")


def pended(engine: Engine, task_id: str) -> Resource:
    """Return the response Bundle that says that nothing is decided yet, item by item."""
    task = codec.decode(read.read(engine, "Task", task_id).body)
    sent = prior_auth.part(task, prior_auth.REQUEST).removeprefix("Bundle/")
    if not sent:
        raise Unprocessable("The request is still being made ready.", expression="Claim")
    request = codec.decode(read.read(engine, "Bundle", sent).body)
    first, *others = request["entry"]
    claim, now = first["resource"], engine.now().isoformat(timespec="milliseconds")
    parties = {elements.reference(claim[name]) for name in ("patient", "insurer", "provider")}
    response = {
        "resourceType": "ClaimResponse",
        "identifier": claim["identifier"][:1],
        "status": "active",
        "type": claim["type"],
        "use": "preauthorization",
        "patient": claim["patient"],
        "created": now,
        "insurer": claim["insurer"],
        "requestor": claim["provider"],
        "request": {"reference": first["fullUrl"]},
        "outcome": "complete",
        "disposition": "The payer has not answered yet; the request stays open.",
        "item": [
            {"itemSequence": item["sequence"], "adjudication": [_pend()]} for item in claim["item"]
        ],
    }
    uid = str(UUID(bytes=UUID(engine.new_id()).bytes, version=4))
    return {
        "resourceType": "Bundle",
        "identifier": {"system": prior_auth.NUMBER, "value": f"pended-{task_id}"},
        "type": "collection",
        "timestamp": now,
        "entry": [
            {"fullUrl": f"urn:uuid:{uid}", "resource": response},
            *(entry for entry in others if entry["fullUrl"] in parties),
        ],
    }


def _pend() -> Resource:
    concept = {"coding": [{"system": pas.REVIEW_ACTION, "code": "A4"}]}
    action = {"url": pas.EXT_REVIEW_CODE, "valueCodeableConcept": concept}
    review = {"url": pas.EXT_REVIEW_ACTION, "extension": [action]}
    return {"extension": [review], "category": _SUBMITTED}


def _check(body: Resource) -> None:
    issues = validation.against(body, pas.REQUEST_BUNDLE)
    if not issues:
        breaches = (one for one in pas_rules.check(body) if one.is_error)
        issues = [Issue("business-rule", one.text, one.path) for one in breaches]
    if issues:
        raise Unprocessable(issues=issues)


def _task(engine: Engine, number: str) -> str:
    wanted = [("identifier", f"{prior_auth.NUMBER}|{elements.escaped(number)}")]
    page = search.search(engine, "Task", [*wanted, ("_total", "none")])
    return page.matches[0].id if page.matches else ""


def _made(engine: Engine, claim: str, patient: Resource, number: str, sent: str) -> Resource:
    authored = engine.now().isoformat(timespec="milliseconds")
    return prior_auth.task(
        claim=claim, patient=patient, number=number, bundle=sent, authored=authored
    )


def _once(engine: Engine, task: Resource, number: str, origin: Origin) -> str:
    condition = f"identifier={prior_auth.NUMBER}|{elements.escaped(number)}"
    return create.create(engine, "Task", task, if_none_exist=condition, origin=origin).id


def _stored(engine: Engine, body: Resource, number: str, origin: Origin) -> str:
    """Store the Bundle as it came, then the Claim, the parties and the Task in one transaction."""
    kept = create.create(engine, "Bundle", body, if_none_exist="", origin=origin)
    first = body["entry"][0]
    task = _made(
        engine, first["fullUrl"], first["resource"]["patient"], number, f"Bundle/{kept.id}"
    )
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
    """Return the search for a party's first identifier; not a member id, which families share."""
    for one in resource.get("identifier", []):
        is_member = elements.code(one.get("type"), systems.V2_IDENTIFIER_TYPE) == "MB"
        if one.get("system") and one.get("value") and not is_member:
            value = elements.escaped(str(one["value"]))
            return f"identifier={elements.escaped(str(one['system']))}|{value}"
    return ""


def _named(node: Any, kept: Any) -> Any:
    """Return a copy in which a reference to what only the Bundle has is a logical one."""
    if isinstance(node, list):
        return [_named(one, kept) for one in node]
    if not isinstance(node, dict):
        return node
    found = {name: _named(value, kept) for name, value in node.items()}
    address = found.get("reference")
    if isinstance(address, str) and address not in kept and not address.startswith("#"):
        del found["reference"]
        found["identifier"] = {"system": "urn:ietf:rfc:3986", "value": address}
    return found
