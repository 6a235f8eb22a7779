"""The CoverageEligibilityResponse: what a payer answered, or why there is no answer.

`status` is always active: a plan that is not in force is `insurance.inforce` false. Whatever
happened, there is one of the eight states as meta.tag, an outcome and a sentence for people.
Source: FHIR R4 coverageeligibilityresponse.html.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from itertools import groupby
from typing import Any

from fhir.resources.R4B.coverageeligibilityresponse import (
    CoverageEligibilityResponse,
    CoverageEligibilityResponseError,
    CoverageEligibilityResponseInsurance,
)
from fhir.resources.R4B.extension import Extension
from fhir.resources.R4B.identifier import Identifier
from fhir.resources.R4B.reference import Reference
from pydantic import ValidationError

from bots.domain import verdict
from bots.domain.eligibility import Answer, Benefit, Reject
from bots.domain.verdict import Status, Verdict
from bots.mapping import coding, items, models, narrative
from bots.mapping.inquiry import Problem, focal_coverage
from fhir_profiles import codes, elements, pas, systems
from fhir_profiles.codes import State

Resource = dict[str, Any]
SOURCE = f"{systems.BASE}/bot/check-eligibility"
_GROUPS = ("6P", "1L")  # REF01
_REVIEW = (
    "pending",
    "status-date-conflict",
    "mixed",
    "no-plan-level",
    "other-payer",
    "partial",
    "unknown-",
    "unreadable",
    "negative:",
    "percent-range",
    "differs:",
    "deceased",
    systems.GHOST,
    verdict.TRUNCATED,
)
_STATES = {
    Status.INACTIVE: State.INACTIVE,
    Status.NOT_COVERED: State.COULD_NOT_CHECK,
    Status.UNKNOWN: State.COULD_NOT_CHECK,
    Status.NOT_FOUND: State.NOT_FOUND,
    Status.REJECTED: State.COULD_NOT_CHECK,
    Status.OUTAGE: State.COULD_NOT_CHECK,
}
_SENTENCES = {
    Status.ACTIVE: "The plan is active on {on}.",
    Status.INACTIVE: "The plan is not in force on {on}.",
    Status.NOT_COVERED: "The payer does not cover the service asked for on {on}, and did not say "
    "whether the plan is in force.",
    Status.UNKNOWN: "The payer answered, but did not say whether the plan is in force on {on}.",
    Status.NOT_FOUND: "The payer did not find this person for {on}.",
    Status.REJECTED: "The payer could not process the question for {on}.",
    Status.OUTAGE: "The payer cannot answer now; the check for {on} is repeated.",
}
_FROM_REQUEST = Reference(display="as in the request")  # stands in the model for what is copied
UNSTORABLE = Problem("unreadable-answer", "The payer's answer could not be stored as FHIR.")
_SHARED_PROBLEM = "The check was not sent: "


@dataclass(frozen=True, slots=True)
class Head:
    """What every response repeats from its request; `created` is aware."""

    request: Resource
    trace: str
    created: datetime
    on: date


def answered(head: Head, answer: Answer, route: str, notes: Iterable[str] = ()) -> Resource:
    """Return the response that holds a payer's answer.

    `notes` are flags beside those of the answer: `differs:…` names what the payer has otherwise
    about the person, who is certain all the same; `guide:…` what breaks the guide. An answer that
    the models of FHIR cannot hold is told as unreadable, with flags for the elements.
    """
    marks = [*notes]
    try:
        return _answered(head, answer, route, marks)
    except ValidationError as error:  # its message would hold the payer's values
        told = unanswered(head, [UNSTORABLE], state=State.COULD_NOT_CHECK, route=route)
        places = [".".join(map(str, one["loc"])) for one in error.errors(include_input=False)]
        marks += [f"unstorable:{error.title}.{place}" for place in places]
        told["extension"] += models.plain(items.flags(marks))
        return told


def _answered(head: Head, answer: Answer, route: str, notes: Iterable[str]) -> Resource:
    asked = _asked_types(head.request)
    found = verdict.judge(answer, asked, head.on, head.created.date())
    found = replace(found, flags=(*found.flags, *notes))
    state = state_of(found)
    response = _frame(head, state, _sentence(found, head.on), route)
    flags = [*found.flags]
    if answer.trace and answer.trace != head.trace:
        flags.append("trace-mismatch")
    if answer.payer_trace:
        response["identifier"].append(
            Identifier(system=systems.PAYER_TRACE, value=answer.payer_trace)
        )
    errors = [_rejected(reject) for reject in answer.rejects]
    response["outcome"] = "complete"
    if errors:
        response["outcome"] = "partial" if answer.benefits else "error"
        response["error"] = errors
    if verdict.TRUNCATED in answer.flags:
        response["outcome"] = "partial"
    response["insurance"] = [_insurance(answer, found)]
    approvals = {i.value for b in answer.benefits for i in b.identifiers if i.qualifier == "G1"}
    if len(approvals) == 1 and "" not in approvals:
        response["preAuthRef"] = approvals.pop()
    stated = {None, found.start, found.end}
    dates = [items.dated(d) for d in answer.dates if not {d.start, d.end} <= stated]
    response["extension"] += [*dates, *_findings(answer), *items.flags(flags)]
    return _told(head, state, response)


def unanswered(head: Head, problems: Iterable[Problem], *, state: State, route: str) -> Resource:
    """Return the response of a check that was not sent, or got no answer."""
    listed = list(problems)
    text = " ".join(problem.text for problem in listed if problem.text)
    if not route:
        text = _SHARED_PROBLEM + text
    response = _frame(head, state, text, route)
    response["outcome"] = "error"
    response["error"] = [_problem(problem) for problem in listed]
    response["insurance"] = [CoverageEligibilityResponseInsurance(coverage=_FROM_REQUEST)]
    return _told(head, state, response)


def _told(head: Head, state: State, response: Resource) -> Resource:
    """Return the response as JSON, with its narrative; `response` holds the model's elements.

    What is copied from the request is not put through the models: it stands word for word.
    """
    copied = _copied(head.request)
    if "requestor" in copied:
        response["requestor"] = _FROM_REQUEST
    found = {**models.plain(CoverageEligibilityResponse(**response)), **copied}
    found["insurance"][0]["coverage"] = focal_coverage(head.request)
    text = narrative.of_response(state.value, found, found["insurance"][0].get("item", []))
    contained = found.pop("contained")
    return {
        "resourceType": "CoverageEligibilityResponse",
        "text": text,
        "contained": contained,
        **found,
    }


def _copied(request: Resource) -> Resource:
    """Return what a response has in common with its request."""
    found = {name: request[name] for name in ("purpose", "patient", "insurer")}
    if "provider" in request:
        found["requestor"] = request["provider"]
    inside = [elements.reference(found.get(n)) for n in ("patient", "insurer", "requestor")]
    contained = [one for one in request.get("contained", []) if f"#{one.get('id')}" in inside]
    return {**found, "contained": contained}


def state_of(found: Verdict) -> State:
    """Return the state people see; active needs review where anything was unclear."""
    if found.status is Status.ACTIVE:
        doubtful = any(flag.startswith(_REVIEW) for flag in found.flags)
        return State.ACTIVE_REVIEW if doubtful else State.ACTIVE
    return _STATES[found.status]


def _sentence(found: Verdict, on: date) -> str:
    text = _SENTENCES[found.status].format(on=on.isoformat())
    if state_of(found) is State.ACTIVE_REVIEW:
        text += " Something in the answer needs a look."
    return text


def _asked_types(request: Resource) -> list[str]:
    return [
        c.get("code", "")
        for item in request.get("item", [])
        for c in item.get("category", {}).get("coding", [])
    ]


def _frame(head: Head, state: State, sentence: str, route: str) -> Resource:
    return {
        "meta": {
            "source": SOURCE,
            "tag": [{"system": systems.ELIGIBILITY_STATE, "code": state.value}],
        },
        "extension": [models.Extension(url=systems.EXT_ROUTE, valueString=route)] if route else [],
        "identifier": [Identifier(system=systems.TRACE, value=head.trace)],
        "status": "active",
        "purpose": ["validation"],
        "patient": _FROM_REQUEST,
        "servicedDate": head.on,
        "created": head.created,
        "request": {"reference": f"CoverageEligibilityRequest/{head.request['id']}"},
        "outcome": "error",
        "disposition": sentence,
        "insurer": _FROM_REQUEST,
    }


def prune(response: Resource) -> Resource:
    """Return the response without the lists that stayed empty: FHIR JSON has none."""
    kept = {key: value for key, value in response.items() if value not in ([], {})}
    kept["insurance"] = [
        {key: value for key, value in entry.items() if value not in ([], {})}
        for entry in response.get("insurance", [])
    ]
    return kept


def _insurance(answer: Answer, found: Verdict) -> CoverageEligibilityResponseInsurance:
    has_period = found.start or found.end
    return CoverageEligibilityResponseInsurance(
        coverage=_FROM_REQUEST,
        inforce=found.inforce,
        benefitPeriod=models.period(found.start, found.end) if has_period else None,
        item=items.items(answer.benefits),
    )


def _rejected(reject: Reject) -> CoverageEligibilityResponseError:
    """Return an AAA as an error: the payer's code, where it stood, and who can mend it."""
    rule = codes.policy("aaa03_policy").get(reject.reason, {})
    parts = [
        ("loop", reject.loop),
        ("valid", reject.valid),
        ("followUp", reject.follow_up),
        ("owner", rule.get("owner", "")),
        ("action", rule.get("default_action", "")),
    ]
    return CoverageEligibilityResponseError(
        code=coding.rejection(reject.reason),
        extension=[models.Extension(url=systems.EXT_REJECTION, extension=_texts(parts))],
    )


def _problem(problem: Problem) -> CoverageEligibilityResponseError:
    code = coding.concept(systems.CHECK_ERROR, problem.code, problem.text)
    if not problem.expression:
        return CoverageEligibilityResponseError(code=code)
    place = _texts([("loop", problem.expression)])
    return CoverageEligibilityResponseError(
        code=code, extension=[models.Extension(url=systems.EXT_REJECTION, extension=place)]
    )


def _texts(parts: Iterable[tuple[str, str]]) -> list[Extension]:
    return [models.Extension(url=url, valueString=text) for url, text in parts if text]


def _findings(answer: Answer) -> Iterator[Extension]:
    """Yield what the payer said beside benefits: other payers, contacts, plain messages."""
    paired = items.STATEMENTS | {"A", "B", "C", "F", "G", "J", "K", "Y"}
    told = [b for b in answer.benefits if b.kind not in paired and not items.is_plain(b)]
    for _, repeats in groupby(told, key=lambda one: one.index):
        rows = list(repeats)
        is_payer = verdict.is_other_payer(rows[0])
        url = systems.EXT_OTHER_PAYER if is_payer else systems.EXT_MESSAGE
        yield models.Extension(url=url, extension=list(_message(rows)))
    stated = [one for one in answer.identifiers if one.qualifier in _GROUPS and one.value]
    groups = dict.fromkeys(f"{one.value} {one.name}".strip() for one in stated)
    yield from _texts((systems.EXT_GROUP, group) for group in groups)
    published = [url for kind, url in answer.payer.contacts if kind == "UR"]
    if len(published) == 1 and published[0].endswith(pas.WELL_KNOWN):
        yield models.Extension(url=pas.EXT_WELL_KNOWN, valueUrl=published[0])
    for row in answer.subscriber_benefits:
        about = _texts([("about", "the subscriber, not the patient")])
        yield models.Extension(url=systems.EXT_MESSAGE, extension=[*about, *_message([row])])


def _message(rows: Sequence[Benefit]) -> Iterator[Extension]:
    """Yield all that an EB segment says; `rows` are its service types."""
    row = rows[0]
    yield from (items.entity(one) for one in row.entities)
    for one in row.identifiers:
        name = codes.names("ref01_qualifier").get(one.qualifier, one.qualifier)
        yield from _texts([("identifier", f"{name} {one.value}".strip() or "not stated")])
    yield from (items.dated(one) for one in row.dates)
    parts = [("kind", _named("eb01_benefit_information", row.kind) or "not stated")]
    parts += [("service", _named("service_type_codes", b.service_type or "")) for b in rows]
    parts.append(("insuranceType", _named("eb04_insurance_type", row.insurance_type)))
    parts.append(("plan", row.plan_name))
    yield from _texts([*parts, ("text", " ".join(row.messages))])
    yield from map(items.source, rows)


def _named(listed: str, code: str) -> str:
    """Return the name of a code, or the code itself where its list has none."""
    return codes.names(listed).get(code, code) if code else ""


def coverage_mark(response: Resource) -> Resource:
    """Return the extension that tells on a Coverage what its last answer said."""
    parts = [
        {"url": "state", "valueCode": elements.tag(response, systems.ELIGIBILITY_STATE)},
        {"url": "servicedDate", "valueDate": response["servicedDate"]},
        {"url": "checked", "valueDateTime": response["created"]},
        {
            "url": "response",
            "valueReference": {"reference": f"CoverageEligibilityResponse/{response['id']}"},
        },
    ]
    return {"url": systems.EXT_COVERAGE_STATE, "extension": parts}


def has_newer_mark(coverage: Resource, response: Resource) -> bool:
    """Tell whether a Coverage already carries the mark of this response, or of a later one."""
    for mark in elements.extensions(coverage, systems.EXT_COVERAGE_STATE):
        checked = next((p["valueDateTime"] for p in mark["extension"] if p["url"] == "checked"), "")
        if checked >= response["created"]:
            return True
    return False
