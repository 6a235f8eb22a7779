"""A request for services review (X12 278, 005010X217) and its answer, as plain values.

Dates are days, codes those of X12. What the implementation guide of X12 says beyond what Da Vinci
PAS publishes of it is not public: see x12/review_278.py.
"""

from dataclasses import dataclass
from datetime import date

from bots.domain.eligibility import Person


@dataclass(frozen=True, slots=True)
class Party:
    """Who is asked, asks or treats: `role` NM101, a person or an organization, its NPI or id."""

    role: str
    name: str
    id: str = ""
    id_qualifier: str = ""
    first: str = ""
    is_person: bool = False


@dataclass(frozen=True, slots=True)
class Service:
    """One service (loop 2000F): UM01 to UM04, the procedure, how many of what, and when.

    `trace` (TRN02) comes back with the decision. `code` is of `qualifier` (HC, N4, …), at
    most four `modifiers` go with it.
    """

    sequence: int
    trace: str
    category: str
    certification: str
    service_type: str
    place: str
    qualifier: str
    code: str
    quantity: str
    unit: str
    start: date | None
    end: date | None
    providers: tuple[Party, ...] = ()
    modifiers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Review:
    """One request: `number` BHT03, `trace` and `originator` TRN02 and TRN03 of the event.

    `dependent` is the patient where that is not the subscriber; `level` UM06. `diagnoses` are
    ICD-10-CM codes with the day of record, `documents` PWK01 and PWK06. `taken` is the number under
    which a clearinghouse has the request already, so that it is only asked after.
    """

    number: str
    trace: str
    originator: str
    payer: Party
    provider: Party
    subscriber: Person
    dependent: Person | None
    relationship: str
    level: str
    diagnoses: tuple[tuple[str, date | None], ...]
    documents: tuple[tuple[str, str], ...]
    note: str
    services: tuple[Service, ...]
    taken: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided on a service, or on the whole (HCR, DTP, HSD and MSG of its loop)."""

    trace: str
    action: str = ""
    number: str = ""
    reason: str = ""
    issued: date | None = None
    period: tuple[date | None, date | None] = (None, None)
    quantity: str = ""
    unit: str = ""
    notes: tuple[str, ...] = ()
    reports: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ReviewAnswer:
    """A payer's answer: `event` is on the whole request; `rejects` are AAA03 and AAA04 by loop."""

    number: str
    event: Decision
    services: tuple[Decision, ...]
    rejects: tuple[tuple[str, str, str], ...] = ()
