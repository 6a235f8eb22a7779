"""Among whom a member is looked for: the persons of a birth date who have a coverage of a payer."""

from collections.abc import Iterator
from datetime import date
from typing import Any

from fhir_profiles import codec, elements, ladder
from fhir_profiles.ladder import Member
from server.errors import Unprocessable
from server.interactions import search
from server.interactions.engine import Engine
from server.search.values import parse_reference

Resource = dict[str, Any]
PERSONS_LIMIT, CHUNK = 500, 50


def born_on(engine: Engine, day: date, payer: str) -> list[Member]:
    """Return everybody born on a day who has a coverage by a payer (Organization/id).

    Raises Unprocessable where there are more than PERSONS_LIMIT: then nothing would be sure.
    """
    asked = [("birthdate", day.isoformat()), ("_count", str(PERSONS_LIMIT)), ("_total", "none")]
    page = search.search(engine, "Patient", asked)
    if page.next:
        raise Unprocessable(f"More than {PERSONS_LIMIT} persons have this birth date.")
    patients = {one["id"]: one for one in map(codec.decode, page.bodies)}
    return [
        ladder.member_of(coverage, patients[_beneficiary(engine, coverage)])
        for coverage in _coverages(engine, [f"Patient/{fhir_id}" for fhir_id in patients], payer)
    ]


def _beneficiary(engine: Engine, coverage: Resource) -> str:
    """Return the id of the patient of a coverage, however it refers to it."""
    return parse_reference(elements.reference(coverage["beneficiary"]), engine.base).id


def _coverages(engine: Engine, patients: list[str], payer: str) -> Iterator[Resource]:
    for start in range(0, len(patients), CHUNK):
        listed = ",".join(patients[start : start + CHUNK])
        asked = [("beneficiary", listed), ("payor", payer), ("status", "active,cancelled")]
        asked += [("_count", str(PERSONS_LIMIT)), ("_total", "none")]
        page = search.search(engine, "Coverage", asked)
        if page.next:
            raise Unprocessable("These persons have too many coverages to tell them apart.")
        yield from map(codec.decode, page.bodies)
