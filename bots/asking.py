"""When a question goes to a payer: once for each event, and never while it is answered already.

Two triggers that ask the same make one request; an answer that is fresh enough serves a booking, a
sweep and a check-in. A changed coverage and a person are always asked for anew.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

from bots.domain import windows
from bots.mapping import known, request
from bots.mapping.request import Wish
from bots.ports import Resource, Tools
from fhir_profiles import elements, systems
from fhir_profiles.codes import DEFINITE, Reason

FRESH = timedelta(hours=4)  # younger than this an answer is reused
LOST = timedelta(hours=24)  # a question that has no answer for so long is not waited for
_DATE = len("2026-11-24")
_ALWAYS = frozenset({Reason.COVERAGE_CHANGE, Reason.MANUAL})
_REQUEST, _RESPONSE = "CoverageEligibilityRequest", "CoverageEligibilityResponse"


def ask(coverage: Resource, wish: Wish, tools: Tools) -> Resource:
    """Return the request that answers `wish`: the one there is, else a new one that is stored."""
    key, whose = request.inquiry_key(coverage, wish), elements.reference(coverage["beneficiary"])
    cause = f"{systems.CAUSE}|{request.cause_of(wish)}"
    patient, told, same = tools.fhir.read_all([
        whose,
        f"{_REQUEST}?identifier={cause}",
        f"{_REQUEST}?identifier={systems.INQUIRY}|{key}&_sort=-created&_count=1",
    ])  # fmt: skip
    there = _first(told) or _serving(_first(same), wish, tools)
    if there is not None:
        return there
    after = (_first(same) or {}).get("id", "")
    patient = patient or elements.contained(coverage, whose) or {}
    provider = request.provider_of(patient, tools.provider)
    made = request.to_request(coverage, wish, provider, after=after, created=tools.now())
    trace = elements.identifier(made, systems.TRACE)
    return tools.fhir.create_once(made, f"identifier={systems.TRACE}|{trace}")


def for_visit(
    patient_address: str, on: date, tools: Tools, *, reason: Reason, cause: str
) -> list[Resource]:
    """Ask about every active coverage of a patient for the day of a visit; return the requests."""
    if not patient_address.startswith("Patient/") or on < tools.now().astimezone(tools.zone).date():
        return []
    wanted = [("beneficiary", patient_address), ("status", "active")]
    return [
        ask(one, Wish(reason, f"{cause}#{one['id']}", on), tools)
        for one in tools.fhir.search("Coverage", wanted)
    ]


def reopen(
    response: Resource, coverage: Resource, others: Iterable[Resource], tools: Tools
) -> None:
    """Ask anew about each day to come that was answered otherwise before this answer.

    A plan that ends retroactively, or is reinstated, makes earlier answers wrong: whoever was told
    "active" for a day must hear of it before the visit. `others` are all answers on the coverage.
    """
    earlier = earlier_answers(response, others)
    today = tools.now().astimezone(tools.zone).date()
    days = {date.fromisoformat(one["servicedDate"]) for one in earlier}
    days = {day for day in days if day >= today and day.isoformat() != response["servicedDate"]}
    if not days or coverage.get("status") != "active":
        return
    changed = windows.changed(
        windows.fold(known.events(earlier, tools.zone)),
        windows.fold(known.events([*earlier, response], tools.zone)),
    )
    for day in sorted(days):
        if any(start <= day < (end or date.max) for start, end in changed):
            cause = f"CoverageEligibilityResponse/{response['id']}#{day}"
            ask(coverage, Wish(Reason.COVERAGE_CHANGE, cause, day), tools)


def earlier_answers(response: Resource, others: Iterable[Resource]) -> list[Resource]:
    """Return the answers of ours before this one that are about a day, the oldest first."""
    made = _created(response)
    return [one for one in _answers(others) if _created(one) < made]


def later_answers(response: Resource, others: Iterable[Resource]) -> list[Resource]:
    """Return the answers of ours after this one that are about a day, the oldest first."""
    made = _created(response)
    return [one for one in _answers(others) if _created(one) > made]


def _answers(others: Iterable[Resource]) -> list[Resource]:
    of_ours = (
        one for one in others
        if elements.tag(one, systems.ELIGIBILITY_STATE)
        and len(str(one.get("servicedDate", ""))) == _DATE
    )  # fmt: skip
    return sorted(of_ours, key=_created)


def day_of(moment: str, tools: Tools) -> date | None:
    """Return the day of an instant at the clinic, or of a date; None where it is neither."""
    try:
        found = datetime.fromisoformat(moment)
    except ValueError:
        return None
    if len(moment) == _DATE:
        return found.date()
    return found.astimezone(tools.zone).date() if found.tzinfo else None


def patient_of(appointment: Resource) -> str:
    """Return the address of the patient of an Appointment, "" where it names none."""
    actors: Iterable[str] = (
        elements.reference(one.get("actor")) for one in appointment.get("participant", [])
    )
    return next((address for address in actors if address.startswith("Patient/")), "")


def _serving(last: Resource | None, wish: Wish, tools: Tools) -> Resource | None:
    """Return the last request of the same question if it waits for its answer, or has a fresh one.

    An answer of exactly FRESH is too old.
    """
    if last is None or last.get("status") != "active":
        return None
    (found,) = tools.fhir.read_all([f"{_RESPONSE}?request={_REQUEST}/{last['id']}"])
    answer = next((one for one in _resources(found) if is_of_payer(one)), None)
    now = tools.now()
    if answer is None:
        return last if now - _created(last) < LOST else None
    if wish.reason in _ALWAYS:
        return None
    if elements.has_extension(answer, systems.EXT_RETRY):
        return last if now - _created(last) < LOST else None
    is_good = elements.tag(answer, systems.ELIGIBILITY_STATE) in DEFINITE
    return last if is_good and now - _created(answer) < FRESH else None


def is_of_payer(response: Resource) -> bool:
    """Tell whether an answer came by a route, and is no record of a call by phone."""
    return bool(elements.extension_value(response, systems.EXT_ROUTE) != systems.BY_PHONE)


def _created(resource: Resource) -> datetime:
    """Return when a resource says it was made; a day without time is its first moment, UTC."""
    found = datetime.fromisoformat(resource["created"])
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _resources(bundle: Resource | None) -> list[Resource]:
    return [entry["resource"] for entry in (bundle or {}).get("entry", [])]


def _first(bundle: Resource | None) -> Resource | None:
    return next(iter(_resources(bundle)), None)
