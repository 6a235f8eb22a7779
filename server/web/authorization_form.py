"""The form that asks for a prior authorization: from an order, and what the payer said about it.

What it makes waits for a person's word before it goes out, unless the settings say otherwise.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from zoneinfo import ZoneInfo

from fhir_profiles import codes, coverage_information, elements, pas
from fhir_profiles.prior_auth import Status
from fhir_profiles.prior_auth_claim import KINDS, UNITS, Named, Wishes, claim, service, wishes
from server.errors import NotFound
from server.interactions import prior_auth as requests
from server.interactions import read, search, update
from server.interactions._write import Origin
from server.interactions.engine import Engine
from server.web import authorization_story, authorizations, lines, records
from server.web.authorization_record import of_order
from server.web.authorization_words import words

Resource = dict[str, Any]
SHOWN = 50
LIMIT = 264  # characters of a message (X12 MSG01)
REVIEW = "Look at it, then send it, change it or withhold it."
_ORDERS = ("ServiceRequest", "DeviceRequest", "MedicationRequest")
_ICD_10 = re.compile(r"[A-Z]\d[0-9A-Z](\.[0-9A-Z]{1,4})?")
_UNITS_LIMIT = 9999
# What EHRs write for a unit, in the singular and small -> X12 673.
_UNIT_CODES = {
    "visit": "VS", "day": "DY", "d": "DY", "hour": "HS", "h": "HS", "month": "MN", "mo": "MN",
    "unit": "FL",
}  # fmt: skip
_FIELDS = tuple(name for name in Wishes.__dataclass_fields__ if name != "documents")


@dataclass(frozen=True, slots=True)
class Form:
    """The page: who it is for, what can be chosen, what is filled in, and what of it is wrong."""

    patient: str
    payer: str
    coverage_id: str
    task_id: str  # of the draft that is changed, "" for a new one
    asks: list[str]  # the services for which the payer says that it wants an authorization
    says: list[str]  # what the payer said about the order when it was signed
    there: list[tuple[str, str]]  # the requests that there are for the order: Task ids, words
    orders: list[tuple[str, str]]
    clinicians: list[tuple[str, str]]
    documents: list[tuple[str, str]]
    service_types: Mapping[str, str]
    required: Mapping[str, str]  # those for which the payer says that it wants one
    places: Mapping[str, str]
    kinds: Mapping[str, str]
    units: Mapping[str, str]
    filled: Wishes
    wrong: Mapping[str, str]


def blank(engine: Engine, zone: ZoneInfo, coverage_id: str, order: str) -> Form:
    """Return the form for an order of the coverage's patient; without one, what there is to choose.

    Raises NotFound where there is no such coverage.
    """
    found = _form(engine, coverage_id, Wishes(engine.new_id(), coverage_id, order))
    if order and order not in dict(found.orders):  # another patient's, or none any more
        return replace(found, says=[], there=[], filled=replace(found.filled, order=""))
    if not order and len(found.orders) == 1:
        sole = replace(found.filled, order=found.orders[0][0])
        found = _form(engine, coverage_id, sole)
    if not found.filled.order:
        return found
    return replace(found, filled=_suggested(engine, found, zone))


def of_draft(engine: Engine, task_id: str) -> Form:
    """Return the form as it was filled in. Raises NotFound for what did not come from it."""
    task, made = _draft(engine, task_id)
    filled = wishes(made)
    return replace(_form(engine, filled.coverage, filled), task_id=str(task["id"]))


def posted(fields: Mapping[str, str], documents: Sequence[str]) -> Wishes:
    """Return what a person filled in."""
    told = {name: fields.get(name, "").strip() for name in _FIELDS}
    found = Wishes(documents=tuple(documents), **told)
    return replace(found, diagnosis=found.diagnosis.upper(), urgent="yes" if found.urgent else "")


def check(engine: Engine, filled: Wishes, task_id: str = "") -> Form:
    """Return the form again, `wrong` saying of each field what it needs."""
    form = replace(_form(engine, filled.coverage, filled), task_id=task_id)
    return replace(form, wrong=dict(_wrong(form)))


def keep(engine: Engine, filled: Wishes, *, is_reviewed: bool) -> str:
    """Store the Claim, and its Task as a draft to look at or, if `is_reviewed`, as one that goes.

    Returns the id of the Task. Sent twice, it is one request; sent again with something else, as
    after “Back”, it changes the draft. Raises NotFound where that has gone out meanwhile.
    """
    origin = Origin(engine.new_id())
    made = claim(filled, _named(engine, filled), _now(engine))
    claim_id = requests.keep_claim(engine, made, origin)
    there = requests.newest(engine, claim_id)
    kept = read.referenced(engine, "Claim", f"Claim/{claim_id}") or {}
    if there is not None and wishes(kept) != filled:
        change(engine, str(there["id"]), filled)
        return str(there["id"])
    if is_reviewed:
        return requests.of_claim(engine, claim_id, origin)
    return requests.draft(engine, claim_id, REVIEW, origin)


def change(engine: Engine, task_id: str, filled: Wishes) -> None:
    """Store what was changed of a draft. Raises NotFound for what did not come from this form."""
    task, before = _draft(engine, task_id)
    made = claim(filled, _named(engine, filled), str(before["created"]))
    made |= {"id": before["id"], "identifier": before["identifier"]}
    origin, version = Origin(engine.new_id()), int(before["meta"]["versionId"])
    update.update(engine, "Claim", str(before["id"]), made, if_match=version, origin=origin)
    requests.turn(engine, task, Status.DRAFT, REVIEW, origin)


def _draft(engine: Engine, task_id: str) -> tuple[Resource, Resource]:
    task = authorizations.found(engine, task_id)
    made = read.referenced(engine, "Claim", elements.reference(task["focus"])) or {}
    if not authorization_story.may_change(task, made):
        raise NotFound("There is no draft to change.")
    return task, made


def _form(engine: Engine, coverage_id: str, filled: Wishes) -> Form:
    record = records.record(engine, coverage_id)
    patient = elements.reference(record.coverage["beneficiary"])
    payer = _referenced(engine, (record.coverage.get("payor") or [{}])[0])
    return Form(
        patient=records.person(record.patient),
        payer=str(payer.get("name") or "Not on file"),
        coverage_id=coverage_id,
        task_id="",
        asks=lines.to_authorize(_items(record.response)),
        says=list(_says(_order(engine, filled.order))),
        there=list(of_order(engine, patient, filled.order)) if filled.order else [],
        orders=list(_orders(engine, patient)),
        clinicians=list(_clinicians(engine, filled.order)),
        documents=list(authorizations.documents(engine, patient)),
        service_types=codes.names("service_type_codes"),
        required=_required(_items(record.response)),
        places=codes.names("place_of_service"),
        kinds=KINDS,
        units=UNITS,
        filled=filled,
        wrong={},
    )


def _items(response: Resource | None) -> list[Resource]:
    insurance = ((response or {}).get("insurance") or [{}])[0]
    items: list[Resource] = insurance.get("item", [])
    return items


def _required(items: list[Resource]) -> dict[str, str]:
    """Return the service types for which the payer wants an authorization, code -> name."""
    named = codes.names("service_type_codes")
    told = [c.get("code") for one in items if one.get("authorizationRequired")
            for c in one.get("category", {}).get("coding", [])]  # fmt: skip
    return {code: named[code] for code in told if code in named}


def _suggested(engine: Engine, form: Form, zone: ZoneInfo) -> Wishes:
    """Return the form filled in with what the order and the payer's answer say."""
    order = _order(engine, form.filled.order)
    record = records.record(engine, form.coverage_id)
    ordered = {c.get("code") for c in service(order).get("coding", [])} - {None}
    asked = [
        one for one in _items(record.response) if one.get("authorizationRequired")
        and ordered & {c.get("code") for c in one.get("productOrService", {}).get("coding", [])}
    ]  # fmt: skip
    types = (str(c["code"]) for one in asked for c in one.get("category", {}).get("coding", []))
    period = order.get("occurrencePeriod", {})
    start = str(order.get("occurrenceDateTime") or period.get("start", ""))[: elements.FULL_DATE]
    quantity, unit = _quantity(order)
    people = [code for code, _ in form.clinicians]
    return replace(
        form.filled,
        kind="HS",
        service_type=next((one for one in types if one in form.service_types), ""),
        place="11",
        start=start or engine.now().astimezone(zone).date().isoformat(),
        end=str(period.get("end", ""))[: elements.FULL_DATE],
        quantity=quantity,
        unit=unit,
        diagnosis=_diagnosis(engine, order),
        clinician=people[0] if len(people) == 1 or _names(order, people) else "",
        urgent="yes" if order.get("priority") in ("urgent", "asap", "stat") else "",
    )


def _names(order: Resource, people: Sequence[str]) -> bool:
    """Tell whether the first of the people is one that the order names."""
    return bool(people) and f"PractitionerRole/{people[0]}" in _who(order)


def _quantity(order: Resource) -> tuple[str, str]:
    amount = order.get("quantityQuantity", {})
    if "value" in amount and float(amount["value"]).is_integer():
        told = [str(amount.get(name, "")) for name in ("code", "unit")]
        named = [_UNIT_CODES.get(one.strip("{}").lower().rstrip("s"), one) for one in told]
        return str(int(amount["value"])), next((one for one in named if one in UNITS), "FL")
    count = order.get("occurrenceTiming", {}).get("repeat", {}).get("count")
    return (str(count), "VS") if count else ("1", "FL")


def _diagnosis(engine: Engine, order: Resource) -> str:
    """Return the ICD-10-CM code of the order's reason, "" where it gives none."""
    reasons = (_referenced(engine, one) for one in order.get("reasonReference", []))
    concepts = [*order.get("reasonCode", []), *(one.get("code", {}) for one in reasons)]
    return next((code for one in concepts if (code := elements.code(one, pas.ICD_10))), "")


def _wrong(form: Form) -> Iterator[tuple[str, str]]:
    filled = form.filled
    for name, known in (
        ("order", dict(form.orders)), ("clinician", dict(form.clinicians)),
        ("kind", form.kinds), ("service_type", form.service_types), ("place", form.places),
        ("unit", form.units),
    ):  # fmt: skip
        if getattr(filled, name) not in known:
            yield name, "Please choose."
    told = {
        "start": (_is_day(filled.start), "Please give a day."),
        "end": (
            not filled.end or (_is_day(filled.end) and filled.start <= filled.end),
            "Please give a day that is not before the first.",
        ),
        "quantity": (
            filled.quantity.isdecimal() and 1 <= int(filled.quantity) <= _UNITS_LIMIT,
            f"Please give a whole number from 1 to {_UNITS_LIMIT}.",
        ),
        "diagnosis": (
            bool(_ICD_10.fullmatch(filled.diagnosis)),
            "Please give a code of ICD-10-CM, as M54.50.",
        ),
        "note": (len(filled.note) <= LIMIT, f"Please use at most {LIMIT} characters."),
        "documents": (
            set(filled.documents) <= {one for one, _ in form.documents},
            "Please choose from the list.",
        ),
    }
    yield from ((name, text) for name, (is_right, text) in told.items() if not is_right)


def _is_day(text: str) -> bool:
    found = elements.full_date(text)
    return found is not None and found.isoformat() == text


def _named(engine: Engine, filled: Wishes) -> Named:
    coverage = records.record(engine, filled.coverage).coverage
    role = read.referenced(engine, "PractitionerRole", f"PractitionerRole/{filled.clinician}")
    return Named(coverage, _order(engine, filled.order), role or {})


def _order(engine: Engine, address: str) -> Resource:
    return _referenced(engine, {"reference": address})


def _orders(engine: Engine, patient: str) -> Iterator[tuple[str, str]]:
    """Yield address and words of each active order that says what is ordered."""
    for type_name in _ORDERS:
        asked = [("subject", patient), ("status", "active"), ("intent", "order")]
        for order in search.found(engine, type_name, asked, SHOWN):
            if service(order):
                day = str(order.get("authoredOn", ""))[: elements.FULL_DATE]
                text = words(service(order))
                yield f"{type_name}/{order['id']}", f"{text}, ordered {day}" if day else text


_SAID = {
    "no-auth": "The payer says that this order needs no authorization.",
    "auth-needed": "The payer says that this order needs an authorization.",
    "performpa": "The payer says that this order needs an authorization.",
    "conditional": "The payer says that it depends whether this order needs an authorization.",
    "indeterminate": "The payer cannot say whether this order needs an authorization.",
    "not-covered": "The payer says that this order is not covered.",
}


def _says(order: Resource) -> Iterator[str]:
    """Yield what the payer said about an order when it was signed (CRD)."""
    for said in coverage_information.of(order):
        needed = coverage_information.values(said, "pa-needed")
        covered = coverage_information.values(said, "covered")
        yield from (_SAID[code] for code in [*covered, *needed] if code in _SAID)
        for number in coverage_information.values(said, "satisfied-pa-id"):
            yield f"The payer says that this order is authorized already, under {number}."
        documents = coverage_information.values(said, "doc-needed")
        if documents:
            yield f"The payer wants documents: {', '.join(map(str, documents))}."


def _who(order: Resource) -> list[str]:
    named = [order.get("requester", {}), *_listed(order.get("performer"))]
    return [elements.reference(one) for one in named]


def _listed(node: Any) -> list[Resource]:
    return node if isinstance(node, list) else [node] if isinstance(node, dict) else []


def _clinicians(engine: Engine, address: str) -> Iterator[tuple[str, str]]:
    """Yield who may treat, those that the order names first: roles at an organization."""
    named = _who(_order(engine, address)) if address else []
    roles: dict[str, Resource] = {}
    for one in named:
        if one.startswith("Practitioner/"):
            found = search.found(engine, "PractitionerRole", [("practitioner", one)], SHOWN)
            roles |= {role["id"]: role for role in found}
        role = read.referenced(engine, "PractitionerRole", one)
        roles |= {role["id"]: role} if role else {}
    for role in search.found(engine, "PractitionerRole", [("active", "true")], SHOWN):
        roles.setdefault(role["id"], role)
    for role in list(roles.values())[:SHOWN]:
        if "organization" in role and "practitioner" in role:
            yield str(role["id"]), _clinician(engine, role)


def _clinician(engine: Engine, role: Resource) -> str:
    who = records.person(_referenced(engine, role["practitioner"]))
    where = str(_referenced(engine, role["organization"]).get("name", ""))
    return f"{who}, {where}" if where else who


def _referenced(engine: Engine, node: Any) -> Resource:
    address = elements.reference(node)
    return read.referenced(engine, address.partition("/")[0], address) or {}


def _now(engine: Engine) -> str:
    return engine.now().isoformat(timespec="milliseconds")


def withhold(engine: Engine, task_id: str) -> None:
    """Keep a request from going out, for good. Raises NotFound where it is no longer to be sent."""
    task = authorizations.found(engine, task_id)
    if not authorization_story.may_withhold(task):
        raise NotFound("There is nothing to withhold.")
    told = "Withheld: it was not sent."
    requests.turn(engine, task, Status.CANCELLED, told, Origin(engine.new_id()))
