"""By when a payer must decide on a prior authorization, and how its clock stands.

Pure: moments are aware and given, never read. 72 hours are elapsed time; calendar days are days of
the payer's time zone, the day of receipt is day 0, and the last one counts to its end. A pended
answer or a question for more information stops no clock; only a recorded extension moves its end.
Source: CMS-0057-F (89 FR 8758); 42 CFR 422.568(b), 422.572(a) and (b), 438.210(d), 440.230(e),
457.495(d), 457.1230(d).
"""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from enum import Enum
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fhir_profiles import elements, systems
from fhir_profiles.prior_auth import AT_RISK_SHARE

Resource = dict[str, Any]
PAYER_KIND = f"{systems.BASE}/CodeSystem/payer-kind"  # of Organization.type
EXT_TIME_ZONE = "http://hl7.org/fhir/StructureDefinition/timezone"
EXTENSION_LIMIT_DAYS = 14
_TICK = timedelta(microseconds=1)
_EXPEDITED_LEVELS = frozenset({"03", "U"})  # X12 1338 (UM06): urgent


class Urgency(Enum):
    """How soon a decision is needed; an expedited request is one that cannot wait for days."""

    STANDARD = "standard"
    EXPEDITED = "expedited"


class PayerKind(Enum):
    """What a payer is to the rule, of the line of business that is asked."""

    MA = "MA"
    MEDICAID_FFS = "MEDICAID_FFS"
    MEDICAID_MC = "MEDICAID_MC"
    CHIP_FFS = "CHIP_FFS"
    CHIP_MC = "CHIP_MC"
    QHP_FFE = "QHP_FFE"
    COMMERCIAL = "COMMERCIAL"


class Standing(Enum):
    """How a clock stands: running, or ended in one of the last four ways."""

    NO_CLOCK = "no-clock"
    ON_TRACK = "on-track"
    AT_RISK = "at-risk"
    OVERDUE = "overdue"
    DECIDED_IN_TIME = "decided-in-time"
    DECIDED_LATE = "decided-late"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Limit:
    """The time allowed: elapsed hours, or calendar days; `rule` says where it comes from."""

    rule: str
    hours: int = 0
    days: int = 0

    def __post_init__(self) -> None:
        """Raise ValueError unless it is hours or days, and some of them."""
        if (self.hours > 0) == (self.days > 0) or min(self.hours, self.days) < 0:
            message = f"expected hours or days, got {self.hours} h and {self.days} d"
            raise ValueError(message)


@dataclass(frozen=True, slots=True)
class Extension:
    """A payer's notice that it takes longer; there is at most one of a request.

    `days` are calendar days, `noticed` the moment of the written notice, `reason` its words.
    """

    days: int
    noticed: datetime
    reason: str

    def __post_init__(self) -> None:
        """Raise ValueError for more days than the rule allows, or a notice without zone or reason.

        Source: 42 CFR 422.568(b)(1)(i), 422.572(b).
        """
        if not 0 < self.days <= EXTENSION_LIMIT_DAYS:
            message = f"expected 1 to {EXTENSION_LIMIT_DAYS} days, got {self.days}"
            raise ValueError(message)
        if not self.reason.strip():
            message = "an extension has a reason"
            raise ValueError(message)
        _aware(self.noticed)


@dataclass(frozen=True, slots=True)
class Judged:
    """How urgent a request is held to be, by whom (a reference) and when."""

    urgency: Urgency
    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Clock:
    """The clock of one request, or of an item that was added later.

    `started` is the moment of the payer's receipt: of its 2xx answer, the closest we can prove.
    `limit` is None where no rule or contract sets one. Raises ValueError for moments without zone.
    """

    started: datetime
    limit: Limit | None
    zone: tzinfo
    extension: Extension | None = None
    decided: datetime | None = None
    cancelled: bool = False

    def __post_init__(self) -> None:
        """Raise ValueError for a moment without a time zone."""
        _aware(self.started)
        if self.decided is not None:
            _aware(self.decided)

    @property
    def due(self) -> datetime | None:
        """The last moment (UTC) that is in time; None where there is no limit."""
        if self.limit is None:
            return None
        if self.limit.days:
            day = self.started.astimezone(self.zone).date() + timedelta(days=self.limit.days)
            following = datetime.combine(day + timedelta(days=1), time(), self.zone)
            ends = following.astimezone(UTC) - _TICK
        else:
            ends = self.started.astimezone(UTC) + timedelta(hours=self.limit.hours)
        return later(ends, self.extension, self.zone) if self.extension else ends

    def standing(self, now: datetime, at_risk_share: float = AT_RISK_SHARE) -> Standing:
        """Return how the clock stands at `now`; at risk from that share of its time on."""
        due = self.due
        if self.cancelled:
            return Standing.CANCELLED
        if due is None:
            return Standing.NO_CLOCK
        if self.decided is not None:
            return Standing.DECIDED_IN_TIME if self.decided <= due else Standing.DECIDED_LATE
        return standing(self.started, due, now, at_risk_share)


def later(due: datetime, extension: Extension, zone: tzinfo) -> datetime:
    """Return when a decision is due (UTC) that was due before, with the payer's extension.

    Its days are calendar days: the same time of day in `zone`, whatever clocks do.
    """
    return (due.astimezone(zone) + timedelta(days=extension.days)).astimezone(UTC)


def kind_of(payer: Resource) -> PayerKind | None:
    """Return what a payer's Organization says that it is, None where it does not."""
    codes = (elements.code(one, PAYER_KIND) for one in payer.get("type", []))
    known = {kind.value: kind for kind in PayerKind}
    return next((known[code] for code in codes if code in known), None)


def zone_of(payer: Resource, default: tzinfo) -> tzinfo:
    """Return the time zone of a payer's Organization, `default` where it says none."""
    try:
        return ZoneInfo(str(elements.extension_value(payer, EXT_TIME_ZONE) or ""))
    except (ZoneInfoNotFoundError, ValueError):
        return default


def standing(
    started: datetime, due: datetime, now: datetime, at_risk_share: float = AT_RISK_SHARE
) -> Standing:
    """Return how a clock that runs stands at `now`; at risk from that share of its time on."""
    if now > due:
        return Standing.OVERDUE
    began = started.astimezone(UTC)
    warned = began + (due.astimezone(UTC) - began) * at_risk_share
    return Standing.AT_RISK if now >= warned else Standing.ON_TRACK


_IMPACTED = (
    PayerKind.MA, PayerKind.MEDICAID_FFS, PayerKind.MEDICAID_MC, PayerKind.CHIP_FFS,
    PayerKind.CHIP_MC,
)  # fmt: skip
_LIMITS = {
    **{(kind, Urgency.EXPEDITED): Limit("CMS-0057-F 72 h", hours=72) for kind in _IMPACTED},
    **{(kind, Urgency.STANDARD): Limit("CMS-0057-F 7 d", days=7) for kind in _IMPACTED},
    # Not of CMS-0057-F: issuers on the federal exchange keep what they had.
    (PayerKind.QHP_FFE, Urgency.EXPEDITED): Limit("45 CFR 156 72 h", hours=72),
    (PayerKind.QHP_FFE, Urgency.STANDARD): Limit("45 CFR 156 15 d", days=15),
}
# Proposed by CMS-0062-P for drugs and not in force: switched on by a release when it is.
DRUG_LIMITS_IN_FORCE = False
_DRUG_LIMITS = {
    Urgency.EXPEDITED: Limit("CMS-0062-P 24 h", hours=24),
    Urgency.STANDARD: Limit("CMS-0062-P 72 h", hours=72),
}


def limit_of(
    kind: PayerKind | None, urgency: Urgency, *, is_drug: bool, contract: Limit | None = None
) -> Limit | None:
    """Return the time that a payer has for an item; None where nobody sets one.

    A payer whose kind is not known has what its contract says. Drugs have no limit by CMS-0057-F.
    """
    if is_drug:
        in_force = DRUG_LIMITS_IN_FORCE and kind in _IMPACTED
        return _DRUG_LIMITS[urgency] if in_force else contract
    return contract if kind is None else _LIMITS.get((kind, urgency), contract)


def asked_urgency(level_of_service: str) -> Urgency:
    """Return the urgency that a request asks for by its level of service (X12 1338, UM06)."""
    return Urgency.EXPEDITED if level_of_service in _EXPEDITED_LEVELS else Urgency.STANDARD


def urgency(judged: tuple[Judged, ...]) -> Urgency:
    """Return the urgency that counts: the last one held, the history stays. Raises ValueError."""
    if not judged:
        message = "a request is judged at least by its own level of service"
        raise ValueError(message)
    return judged[-1].urgency


def _aware(moment: datetime) -> None:
    if moment.tzinfo is None:
        message = f"expected a time zone, got {moment!r}"
        raise ValueError(message)
