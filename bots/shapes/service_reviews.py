"""Availity's Service Reviews 2.0: a request for review (X12 278) as JSON, and its answer.

What is written are the fields that the published definition names; the codes in them are those of
X12, as the 278 has them. A decision is read from a code of X12 306 alone: the words beside it, and
any code that is not of that list, say nothing here.
"""

import re
from collections.abc import Iterator
from datetime import date

from bots.domain.eligibility import Person
from bots.domain.review import Decision, Party, Review, ReviewAnswer, Service
from bots.shapes.fields import Json, Shapeless, text
from fhir_profiles import elements
from fhir_profiles.decisions import Action

PATH = "/v2/service-reviews"
ACTIONS = frozenset(one.value for one in Action)
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]{0,199}")
_SELF = "18"
_NPI = "XX"


class Inexpressible(Exception):
    """This request cannot be told in this shape; the message says why, without patient data."""


def ask(review: Review) -> Json:
    """Return the body that asks for `review`. Raises Inexpressible for what would get lost."""
    days = [day for one in review.services for day in (one.start, one.end) if day]
    patient = review.dependent or review.subscriber
    found = {
        "payer": _told({"id": review.payer.id, "name": review.payer.name}),
        "requestTypeCode": _common(review, "kind of review", [s.category for s in review.services]),
        "serviceTypeCode": _common(
            review, "service type", [s.service_type for s in review.services]
        ),
        "placeOfServiceCode": _common(
            review, "place of service", [s.place for s in review.services]
        ),
        "serviceLevelCode": review.level,
        "fromDate": _day(min(days, default=None)),
        "toDate": _day(max(days, default=None)),
        "requestingProvider": _party(review.provider, with_role=False),
        "renderingProviders": _rendering(review),
        "subscriber": _told({
            "memberId": review.subscriber.member_id,
            "lastName": review.subscriber.last,
            "firstName": review.subscriber.first,
        }),
        "patient": _patient(patient, review.relationship if review.dependent else _SELF),
        "diagnoses": [
            _told({"qualifierCode": "ABF" if place else "ABK", "code": code, "date": _day(on)})
            for place, (code, on) in enumerate(review.diagnoses)
        ],
        "procedures": [_procedure(one) for one in review.services],
        "providerNotes": [{"message": told} for told in _notes(review)],
    }  # fmt: skip
    return {name: value for name, value in found.items() if value not in ("", [], {})}


def number(body: Json, location: str) -> str:
    """Return the number that a request was taken under: of the body, else of `Location`.

    "" where neither names one that is safe in a path.
    """
    for found in (text(body, "id"), location.rstrip("/").rpartition("/")[2]):
        if _ID.fullmatch(found):
            return found
    return ""


def fields_named(body: Json) -> list[str]:
    """Return the fields that a refusal names; its words may quote what we sent, and stay out."""
    lists = (body.get(name) for name in ("errors", "validationMessages"))
    listed = [one for found in lists if isinstance(found, list) for one in found]
    names = [text(one, "field") for one in listed if isinstance(one, dict)]
    return list(
        dict.fromkeys(one for one in names if re.fullmatch(r"[A-Za-z0-9_.\[\]]{1,80}", one))
    )


def read(body: Json, asked: Review) -> ReviewAnswer:
    """Return what the payer decided.

    Raises Shapeless where the review is not decided by a code of X12 306, or is about other
    services than those `asked` for.
    """
    event = _decision(body, "")
    lines = body.get("procedures", [])
    decisions = list(_decisions(lines, asked)) if lines else []
    if not any(one.action for one in (event, *decisions)):
        raise Shapeless("expected a review action of X12 306 in statusCode")
    return ReviewAnswer(text(body, "controlNumber"), event, tuple(decisions))


def status(body: Json) -> str:
    """Return how a review stands."""
    return text(body, "statusCode")


def _decisions(lines: list[Json], asked: Review) -> Iterator[Decision]:
    """Yield the decision on each service; a line is known by its place, and has the same code."""
    codes = [text(line, "code").upper() for line in lines]
    if codes != [one.code.upper() for one in asked.services]:
        raise Shapeless("expected the procedures that were asked for, in their order")
    for line, service in zip(lines, asked.services, strict=True):
        yield _decision(line, service.trace)


def _decision(entry: Json, trace: str) -> Decision:
    action = status(entry)
    if action not in ACTIONS:
        if trace and action:
            raise Shapeless("expected a review action of X12 306 in procedures.statusCode")
        return Decision(trace)
    listed = [*entry.get("payerNotes", []), *entry.get("notes", [])]
    reasons = [_reason(one) for one in entry.get("statusReasons", [])]
    return Decision(
        trace=trace,
        action=action,
        number=text(entry, "certificationNumber"),
        reason=next((code for code, _ in reasons if code), ""),
        issued=elements.full_date(text(entry, "certificationIssueDate")),
        period=(
            elements.full_date(text(entry, "certificationEffectiveDate")),
            elements.full_date(text(entry, "certificationExpirationDate")),
        ),
        quantity=text(entry, "quantity"),
        unit=text(entry, "quantityTypeCode"),
        notes=tuple(
            told
            for told in [*(words for _, words in reasons), *(_words(note) for note in listed)]
            if told
        ),
    )


def _words(note: Json | str) -> str:
    return note if isinstance(note, str) else text(note, "message")


def _reason(entry: Json | str) -> tuple[str, str]:
    """Return the code (X12 886) of a status reason and its words; a bare text is words."""
    if isinstance(entry, str):
        return "", entry
    words = next((text(entry, n) for n in ("message", "description", "value") if n in entry), "")
    return text(entry, "code"), words


def _common(review: Review, what: str, values: list[str]) -> str:
    """Return the value that all services share, as a review has one for them all."""
    for service, value in zip(review.services, values, strict=True):
        if value != values[0]:
            first = review.services[0].sequence
            raise Inexpressible(
                f"A service review has one {what} for all services, and items {first} and "
                f"{service.sequence} differ in it: send them as two requests."
            )
    return values[0]


def _rendering(review: Review) -> list[Json]:
    every = {party for service in review.services for party in service.providers}
    for service in review.services:
        if set(service.providers) != every:
            raise Inexpressible(
                "A service review has the same treating providers for all services, and item "
                f"{service.sequence} has others: send them as two requests."
            )
    ordered = review.services[0].providers
    return [_party(one, with_role=True) for one in ordered]


def _party(party: Party, *, with_role: bool) -> Json:
    return _told({
        "lastName": party.name,
        "firstName": party.first,
        "npi": party.id if party.id_qualifier == _NPI else "",
        "roleCode": party.role if with_role else "",
    })  # fmt: skip


def _patient(person: Person, relationship: str) -> Json:
    return _told({
        "lastName": person.last,
        "firstName": person.first,
        "birthDate": _day(person.birth_date),
        "genderCode": person.gender,
        "subscriberRelationshipCode": relationship,
    })  # fmt: skip


def _procedure(service: Service) -> Json:
    if not service.code:
        raise Inexpressible(
            f"A service review needs a code for each service, and item {service.sequence} has none."
        )
    return _told({
        "qualifierCode": service.qualifier,
        "code": service.code,
        **{f"modifierCode{n}": code for n, code in enumerate(service.modifiers[:4], 1)},
        "quantity": service.quantity,
        "quantityTypeCode": service.unit,
        "fromDate": _day(service.start),
        "toDate": _day(service.end),
    })  # fmt: skip


def _notes(review: Review) -> Iterator[str]:
    """Yield what has no field of its own: our words, and which reports (X12 755) are at hand."""
    if review.note:
        yield review.note
    for report, control in review.documents:
        yield f"Report type {report} is available" + (f", control number {control}" * bool(control))


def _told(found: Json) -> Json:
    return {name: value for name, value in found.items() if value}


def _day(day: date | None) -> str:
    return day.isoformat() if day else ""
