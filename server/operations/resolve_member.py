"""Coverage/$resolve-member: whose coverage a card means, by the ladder, audited each time.

Everything that is known of the person comes in the body: a URL is kept in logs. It is a match only
where one person alone fits; the AuditEvent holds rules, rungs and counts, and of the input no more
than a keyed digest (R000-37, R000-38).
"""

import hashlib
import hmac
from collections.abc import Iterator
from datetime import date
from typing import Any

from fhir_profiles import codec, crosswalk, ladder, systems
from fhir_profiles.crosswalk import Rules
from fhir_profiles.ladder import Asked, Match, Result
from server.errors import BadRequest, NotFound, Unprocessable
from server.interactions import _write, create, members, read
from server.interactions._write import Writing
from server.operations.operation import TYPE, Call, Operation
from server.search.values import instant, micros
from server.store import secrets

Resource = dict[str, Any]
_PARAMETERS = (
    "payer", "memberId", "personCode", "birthDate", "family", "given", "gender", "postalCode",
    "on", "explain",
)  # fmt: skip
DIGEST_LENGTH = 16
UPDATE_CARD = "update-card"  # of our task-code list


def resolve(call: Call) -> dict[str, Any]:
    """Return Parameters: `result` (match, candidate, ambiguous, none), `rung`, `coverage`, `flag`.

    `payer` (Organization/id) and `birthDate` are needed; `on` is the day on which ids must hold, by
    default today in UTC; `explain` adds every rung with the persons that it fits. Raises BadRequest
    for parameters in the URL or out of form, Unprocessable where the payer's rules are not clear.
    """
    if call.pairs:
        raise BadRequest("Expected the parameters in the body: a URL is kept in logs.")
    payer = call.first("payer")
    rules = _rules(call, payer)
    asked = Asked(
        member_id=call.first("memberId"),
        birth_date=_day(call, "birthDate"),
        on=_day(call, "on") if call.first("on") else call.engine.now().date(),
        person_code=call.first("personCode"),
        family=call.first("family"),
        given=call.first("given"),
        gender=call.first("gender"),
        postal_code=call.first("postalCode"),
    )
    found = ladder.climb(asked, members.born_on(call.engine, asked.birth_date, payer), rules)

    def work(writing: Writing) -> None:
        key = secrets.named(writing.connection, "member-match")
        told = hmac.new(key, repr(asked).encode(), hashlib.sha256).hexdigest()
        card = crosswalk.plain_id(asked.member_id)
        digest = hmac.new(key, card.encode(), hashlib.sha256).hexdigest()
        writing.note(_write.ready(call.engine, "AuditEvent", _audit(call, found, rules, told)))
        if "through-history" in found.flags:
            _ask_for_card(call, writing, found, digest)

    _write.transact(call.engine, call.origin, work)
    return {"resourceType": "Parameters", "parameter": [*_told(call, found, rules)]}


def _rules(call: Call, payer: str) -> Rules:
    kind, _, fhir_id = payer.partition("/")
    if kind != "Organization" or not fhir_id:
        raise BadRequest("Expected the payer as Organization/id.", expression="payer")
    try:
        return crosswalk.rules_of(codec.decode(read.read(call.engine, kind, fhir_id).body))
    except NotFound as error:
        raise BadRequest("There is no such payer.", expression="payer") from error
    except ValueError as error:
        raise Unprocessable(f"The payer's rules are not clear: {error}.") from error


def _day(call: Call, name: str) -> date:
    try:
        return crosswalk.read_date(call.first(name))
    except ValueError as error:
        raise BadRequest(f"{str(error).capitalize()}.", expression=name) from error


def _told(call: Call, found: Match, rules: Rules) -> Iterator[Resource]:
    yield {"name": "result", "valueCode": found.result.value}
    if found.rung:
        yield {"name": "rung", "valueCode": found.rung}
    for one in found.members:
        yield {
            "name": "coverage",
            "valueReference": {"reference": f"Coverage/{one.coverage['id']}"},
        }
    for flag in found.flags:
        yield {"name": "flag", "valueCode": flag}
    if call.first("explain").lower() == "true":
        yield {"name": "rules", "valueString": rules.version or "those of every payer"}
        for rung, count in found.tried:
            parts = [
                {"name": "rung", "valueCode": rung},
                {"name": "persons", "valueInteger": count},
            ]
            yield {"name": "tried", "part": parts}


def _audit(call: Call, found: Match, rules: Rules, digest: str) -> Resource:
    """Return the AuditEvent of one resolution. Source: FHIR R4 auditevent.html."""
    details = {
        "input": digest,
        "rules": rules.version or "those of every payer",
        "tried": " ".join(f"{rung}={count}" for rung, count in found.tried),
        "trace": call.origin.trace,
    }
    told: Resource = {
        "name": "Resolution of a member",
        "detail": [{"type": name, "valueString": text} for name, text in details.items()],
    }
    chosen = [
        {
            "what": {"reference": f"Coverage/{one.coverage['id']}/_history/"
                                  f"{one.coverage['meta']['versionId']}"},
            "role": {"system": systems.OBJECT_ROLE, "code": "4"},
        }
        for one in found.members
    ]  # fmt: skip
    return {
        "resourceType": "AuditEvent",
        "type": {"system": systems.AUDIT_TYPE, "code": "rest"},
        "subtype": [{"system": systems.AUDIT_SUBTYPE, "code": "member-match"}],
        "action": "E",
        "recorded": instant(micros(call.engine.now())),
        "outcome": "0" if found.result is Result.MATCH else "4",
        "outcomeDesc": f"{found.result.value} {found.rung}".strip(),
        "agent": [{"requestor": True}],
        "source": {"observer": {"display": call.engine.base}},
        "entity": [told, *chosen],
    }


def _ask_for_card(call: Call, writing: Writing, found: Match, digest: str) -> None:
    """Raise the Task to note the id of the present card, once for each coverage and old card."""
    coverage = found.members[0]
    cause = f"{UPDATE_CARD}-{coverage.coverage['id']}-{digest[:DIGEST_LENGTH]}"
    task = {
        "resourceType": "Task",
        "identifier": [{"system": systems.CAUSE, "value": cause}],
        "status": "requested",
        "intent": "order",
        "code": {"coding": [{"system": systems.TASK_CODE, "code": UPDATE_CARD}]},
        "description": "A member id came that is no longer valid: note that of the present card.",
        "focus": {"reference": f"Coverage/{coverage.coverage['id']}"},
        "for": {"reference": coverage.address},
        "authoredOn": instant(micros(call.engine.now())),
    }
    incoming = _write.ready(call.engine, "Task", task)
    once = f"identifier={systems.CAUSE}|{cause}"
    create.inside(call.engine, writing, incoming, call.engine.new_id(), once)


OPERATION = Operation(
    "resolve-member",
    f"{systems.BASE}/OperationDefinition/coverage-resolve-member",
    (TYPE,),
    resolve,
    types=("Coverage",),
    parameters=_PARAMETERS,
    needs=("Coverage.rs", "Patient.rs"),
)
