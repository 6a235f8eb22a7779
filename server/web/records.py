"""What the pages read: a coverage with its patient, its newest answer and its open request."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from fhir_profiles import codec, elements
from server.errors import FhirError
from server.interactions import read, search
from server.interactions.engine import Engine

Resource = dict[str, Any]
LIST_LIMIT = 200


@dataclass(frozen=True, slots=True)
class Record:
    """A coverage and what is known about it."""

    coverage: Resource
    patient: Resource | None
    response: Resource | None
    open_request: Resource | None


def touched_since(engine: Engine, start: datetime) -> tuple[list[Record], int]:
    """Return the coverages posted, changed or checked since `start`, newest first.

    At most LIST_LIMIT are read; the number tells how many there are in all.
    """
    since = start.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    page = search.search(
        engine,
        "Coverage",
        [
            ("_lastUpdated", f"ge{since}"),
            ("_sort", "-_lastUpdated"),
            ("_count", str(LIST_LIMIT)),
        ],
    )
    found = [_record(engine, codec.decode(body)) for body in page.bodies]
    return found, page.total or 0


def record(engine: Engine, coverage_id: str) -> Record:
    """Return one coverage's record. Raises NotFound or Gone as read does."""
    return _record(engine, codec.decode(read.read(engine, "Coverage", coverage_id).body))


def organization(engine: Engine, reference: str) -> Resource | None:
    """Return the Organization that a reference names, None if it is not here."""
    return _read(engine, "Organization", reference)


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
        patient=_read(engine, "Patient", elements.reference(coverage["beneficiary"])),
        response=response,
        open_request=None if _is_answered(request, response) else request,
    )


def _is_answered(request: Resource | None, response: Resource | None) -> bool:
    if request is None:
        return True
    asked = elements.reference((response or {}).get("request"))
    return asked == f"CoverageEligibilityRequest/{request['id']}"


def _first(engine: Engine, type_name: str, pairs: Sequence[tuple[str, str]]) -> Resource | None:
    page = search.search(engine, type_name, pairs)
    return codec.decode(page.bodies[0]) if page.bodies else None


def _read(engine: Engine, type_name: str, reference: str) -> Resource | None:
    kind, _, fhir_id = reference.partition("/")
    if kind != type_name:
        return None
    try:
        found: Resource = codec.decode(read.read(engine, type_name, fhir_id).body)
    except FhirError:
        return None
    return found
