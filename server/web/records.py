"""What the pages read: a coverage with its patient, its newest answer and its open request."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from fhir_profiles import codec, elements
from server.interactions import read, search
from server.interactions.engine import Engine
from server.web import lines

Resource = dict[str, Any]
VISITS = "booked,pending,arrived,checked-in,fulfilled"
NOT_HERE = "Not on file"  # what a reference names, and this server does not have
LIST_LIMIT, HISTORY_LIMIT, COVERAGES_LIMIT = 200, 10, 10


@dataclass(frozen=True, slots=True)
class Record:
    """A coverage and what is known about it."""

    coverage: Resource
    patient: Resource | None
    response: Resource | None
    open_request: Resource | None


def person(one: Resource | None) -> str:
    """Return the name of a patient or practitioner as people say it."""
    name = elements.human_name(one or {})
    text = " ".join([*elements.texts(name, "given"), name.get("family") or ""]).strip()
    return text or name.get("text", "") or "Name not on file"


def payer(engine: Engine, coverage: Resource) -> str:
    """Return the name of a coverage's first payer, as the directory has it or else the coverage."""
    payor = coverage["payor"][0]
    address = elements.reference(payor)
    named = (organization(engine, address) or {}).get("name") or payor.get("display")
    return str(named or (NOT_HERE if address else lines.NOT_STATED))


def touched_since(engine: Engine, start: datetime) -> tuple[list[Record], bool]:
    """Return the coverages posted, changed or checked since `start`, newest first.

    At most LIST_LIMIT are read; the flag tells whether there are more.
    """
    since = start.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    newest = [("_sort", "-_lastUpdated"), ("_count", str(LIST_LIMIT))]
    changed = search.search(engine, "Coverage", [("_lastUpdated", f"ge{since}"), *newest])
    checked = search.search(
        engine, "CoverageEligibilityResponse", [("_lastUpdated", f"ge{since}"), *newest]
    )
    found = {one["id"]: one for one in map(codec.decode, changed.bodies)}
    for response in map(codec.decode, checked.bodies):
        for insurance in response.get("insurance", []):
            address = elements.reference(insurance.get("coverage"))
            fhir_id = address.removeprefix("Coverage/")
            if fhir_id not in found:
                coverage = read.referenced(engine, "Coverage", address)
                found |= {fhir_id: coverage} if coverage else {}
    listed = [_record(engine, one) for one in list(found.values())[:LIST_LIMIT]]
    return listed, len(found) > LIST_LIMIT or bool(changed.next or checked.next)


def appointment(engine: Engine, patient: str, start: datetime) -> Resource | None:
    """Return the first visit of a patient on the day that begins at `start`."""
    found = search.search(engine, "Appointment", [("patient", patient), *_of_day(start, 1)])
    return next(map(codec.decode, found.bodies), None)


def _of_day(start: datetime, count: int) -> list[tuple[str, str]]:
    """Return the search for visits of the day that begins at `start`."""
    end = start + timedelta(days=1)
    asked = [("date", f"ge{start.isoformat()}"), ("date", f"lt{end.isoformat()}")]
    return [*asked, ("status", VISITS), ("_sort", "date"), ("_count", str(count)),
            ("_total", "none")]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Visit:
    """An appointment of the day: when, whose, and the patient's active coverages."""

    at: datetime
    patient: Resource | None
    coverages: list[Resource]


def visits(engine: Engine, start: datetime) -> tuple[list[Visit], bool]:
    """Return the visits of the day that begins at `start`, in the order of their time.

    At most LIST_LIMIT; the flag tells whether there are more.
    """
    page = search.search(engine, "Appointment", _of_day(start, LIST_LIMIT))
    found = [_visit(engine, one) for one in map(codec.decode, page.bodies)]
    return found, bool(page.next)


def _visit(engine: Engine, appointment: Resource) -> Visit:
    at = datetime.fromisoformat(appointment["start"])
    actors = [elements.reference(p.get("actor")) for p in appointment["participant"]]
    address = next((one for one in actors if one.startswith("Patient/")), "")
    return Visit(at, read.referenced(engine, "Patient", address), coverages(engine, address))


def on_day(engine: Engine, coverage: Resource, day: str) -> Record:
    """Return a coverage's record with the answer about a day, or else its newest one."""
    found = _record(engine, coverage)
    if (found.response or {}).get("servicedDate") == day:
        return found
    same = [r for r in responses(engine, coverage["id"]) if r.get("servicedDate") == day]
    return replace(found, response=same[0]) if same else found


def moment(response: Resource, zone: ZoneInfo) -> datetime | None:
    """Return when a response was made, in `zone`; None where it gives no full time."""
    try:
        made = datetime.fromisoformat(response.get("created", ""))
    except ValueError:
        return None
    return made.astimezone(zone) if made.tzinfo else None


def record(engine: Engine, coverage_id: str) -> Record:
    """Return one coverage's record. Raises NotFound or Gone as read does."""
    return _record(engine, codec.decode(read.read(engine, "Coverage", coverage_id).body))


def organization(engine: Engine, reference: str) -> Resource | None:
    """Return the Organization that a reference names, None if it is not here."""
    return read.referenced(engine, "Organization", reference)


def responses(engine: Engine, coverage_id: str) -> list[Resource]:
    """Return the newest HISTORY_LIMIT answers about a coverage, the newest first."""
    about = [("coverage", f"Coverage/{coverage_id}"), ("_sort", "-created")]
    asked = [*about, ("_count", str(HISTORY_LIMIT)), ("_total", "none")]
    found = search.search(engine, "CoverageEligibilityResponse", asked)
    return [codec.decode(body) for body in found.bodies]


def coverages(engine: Engine, beneficiary: str) -> list[Resource]:
    """Return the active coverages of a patient, at most COVERAGES_LIMIT."""
    if not beneficiary.startswith("Patient/"):
        return []
    asked = [("beneficiary", beneficiary), ("status", "active"), ("_total", "none")]
    found = search.search(engine, "Coverage", [*asked, ("_count", str(COVERAGES_LIMIT))])
    return [codec.decode(body) for body in found.bodies]


def standing(engine: Engine, coverage: Resource) -> tuple[Resource | None, Resource | None]:
    """Return the newest answer about a coverage, and the request that waits for one."""
    found = _record(engine, coverage)
    return found.response, found.open_request


def start_of_day(now: datetime, zone: ZoneInfo) -> datetime:
    """Return the first moment of the present day in `zone`."""
    return now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)


def _record(engine: Engine, coverage: Resource) -> Record:
    address = f"Coverage/{coverage['id']}"
    newest: Sequence[tuple[str, str]] = [
        ("coverage", address),
        ("_sort", "-created"),
        ("_count", "1"),
        ("_total", "none"),
    ]
    response = _first(engine, "CoverageEligibilityResponse", newest)
    request = _first(engine, "CoverageEligibilityRequest", [*newest, ("status", "active")])
    return Record(
        coverage=coverage,
        patient=read.referenced(engine, "Patient", elements.reference(coverage["beneficiary"])),
        response=response,
        open_request=None if _is_answered(engine, request) else request,
    )


def _is_answered(engine: Engine, request: Resource | None) -> bool:
    if request is None:
        return True
    address = f"CoverageEligibilityRequest/{request['id']}"
    asked = [("request", address), ("_count", "1"), ("_total", "none")]
    return _first(engine, "CoverageEligibilityResponse", asked) is not None


def _first(engine: Engine, type_name: str, pairs: Sequence[tuple[str, str]]) -> Resource | None:
    page = search.search(engine, type_name, pairs)
    return codec.decode(page.bodies[0]) if page.bodies else None
