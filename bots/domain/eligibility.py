"""An eligibility inquiry (270) and its answer (271), as values without any wire format.

Source of the elements: X12 005010X279A1. Money is US dollars; "" and None mean "not said".
"""

from datetime import date
from decimal import Decimal

import msgspec
from msgspec import structs


class Person(msgspec.Struct, frozen=True):
    """A subscriber or dependent. `gender` is F, M or "" (DMG03).

    `corrected` tells that the payer changed what identifies them (INS03 001 with INS04 25).
    """

    last: str
    first: str = ""
    middle: str = ""
    suffix: str = ""
    member_id: str = ""
    birth_date: date | None = None
    gender: str = ""
    corrected: bool = False


class Inquiry(msgspec.Struct, frozen=True):
    """One question to one payer about one person.

    `dependent` is the patient when the patient is not the subscriber; `relationship` is then
    INS02 (01 spouse, 19 child, 34 other). `trace` goes out as BHT03 and TRN02 and comes back.
    `payer_id` is the plain electronic id; `route_payer_ids` are (system, id) of single routes.
    `routes` are (name, state) of what the payer directory says, in order of preference; nobody
    waits for the answer to a `background` question.
    """

    trace: str
    payer_name: str
    payer_id: str
    provider_name: str
    provider_npi: str
    subscriber: Person
    service_date: date
    dependent: Person | None = None
    relationship: str = ""
    service_types: tuple[str, ...] = ("30",)
    route_payer_ids: tuple[tuple[str, str], ...] = ()
    routes: tuple[tuple[str, str], ...] = ()
    background: bool = False

    def at(self, payer_system: str) -> "Inquiry":
        """Return this inquiry with the payer id of one route: its own, else the plain one."""
        own = dict(self.route_payer_ids).get(payer_system)
        return structs.replace(self, payer_id=own or self.payer_id)

    def of_member(self, member_id: str) -> "Inquiry":
        """Return this inquiry with another id of the subscriber."""
        return structs.replace(
            self, subscriber=structs.replace(self.subscriber, member_id=member_id)
        )


# DTP01 of the days for which a plan or a benefit holds: ranges, and pairs of begin and end.
RANGES = ("291", "307", "292")
BEGINS_AND_ENDS = (("346", "347"), ("348", "349"), ("356", "357"))


class Entity(msgspec.Struct, frozen=True, gc=False):
    """A named party of loop 2100 or 2120: `role` NM101, `contacts` (qualifier, number) of PER."""

    role: str
    name: str = ""
    id: str = ""
    id_qualifier: str = ""
    relationship: str = ""
    contacts: tuple[tuple[str, str], ...] = ()


class Dated(msgspec.Struct, frozen=True, gc=False):
    """A DTP: `qualifier` DTP01, and the days it names; a single date has `end` None."""

    qualifier: str
    start: date | None
    end: date | None = None


class Identifier(msgspec.Struct, frozen=True, gc=False):
    """A REF: `qualifier` REF01, `value` REF02, `name` REF03."""

    qualifier: str
    value: str
    name: str = ""


class Procedure(msgspec.Struct, frozen=True, gc=False):
    """EB13: code qualifier (HC, AD, N4, …), code, modifiers, and the end of a code range."""

    qualifier: str
    code: str
    modifiers: tuple[str, ...] = ()
    code_to: str = ""


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """An HSD, as its elements: quantity with qualifier, per unit, over periods."""

    qualifier: str = ""
    quantity: str = ""
    unit: str = ""
    per: str = ""
    period: str = ""
    periods: str = ""


class Benefit(msgspec.Struct, frozen=True, gc=False):
    """One EB segment for one service type, with all that follows it up to the next EB.

    `percent` is the patient's share as a fraction: EB08 ".2" is Decimal("0.2"). `auth_required`
    is EB11: Y True, N False, U and blank None. `network` is EB12 as sent: Y, N, U, W or "".
    `index` is the place of the EB segment among the EBs, `repeat` that of the type in EB03;
    `position` is its number in the transaction, from ST as 1 (X12 IK302), 0 where there is no X12.
    """

    kind: str
    index: int
    repeat: int = 0
    raw: str = ""
    level: str = ""
    service_type: str | None = None
    insurance_type: str = ""
    plan_name: str = ""
    period: str = ""
    amount: Decimal | None = None
    percent: Decimal | None = None
    quantity_unit: str = ""
    quantity: Decimal | None = None
    auth_required: bool | None = None
    auth_raw: str = ""
    network: str = ""
    procedure: Procedure | None = None
    places: tuple[str, ...] = ()
    messages: tuple[str, ...] = ()
    dates: tuple[Dated, ...] = ()
    identifiers: tuple[Identifier, ...] = ()
    entities: tuple[Entity, ...] = ()
    deliveries: tuple[Delivery, ...] = ()
    flags: tuple[str, ...] = ()
    position: int = 0


class Reject(msgspec.Struct, frozen=True, gc=False):
    """An AAA: the loop it stood in, AAA01 (Y or N), AAA03 reason, AAA04 follow-up."""

    loop: str
    valid: str
    reason: str
    follow_up: str

    @property
    def is_of_dependent(self) -> bool:
        """Tell whether it stood in a loop of the dependent (2000D, 2100D, 2110D)."""
        return self.loop.endswith("D")


class Answer(msgspec.Struct, frozen=True):
    """What a payer said about one patient: the patient of the 2000D loop, else of the 2000C.

    Rows and dates of the subscriber beside a dependent who has own ones, or who was rejected, are
    kept apart: they say nothing about the patient. `has_own_rows` tells that it is so.
    """

    trace: str = ""
    payer_trace: str = ""
    payer: Entity = Entity("PR")
    subscriber: Person | None = None
    dependent: Person | None = None
    identifiers: tuple[Identifier, ...] = ()
    dates: tuple[Dated, ...] = ()
    subscriber_dates: tuple[Dated, ...] = ()
    benefits: tuple[Benefit, ...] = ()
    subscriber_benefits: tuple[Benefit, ...] = ()
    rejects: tuple[Reject, ...] = ()
    flags: tuple[str, ...] = ()
    raw: str = ""
    has_own_rows: bool = False

    def of_subscriber(self) -> "Answer":
        """Return what was said of the subscriber alone, where the payer added a dependent."""
        if self.dependent is None:
            return self
        rows = self.subscriber_benefits if self.has_own_rows else self.benefits
        return structs.replace(
            self, dependent=None, dates=self.subscriber_dates, subscriber_dates=(),
            benefits=rows, subscriber_benefits=(), has_own_rows=False,
            rejects=tuple(r for r in self.rejects if not r.is_of_dependent),
        )  # fmt: skip
