"""What a person records about a payer's clock: its notice of more time, and the urgency."""

from dataclasses import dataclass
from datetime import datetime, time, tzinfo
from zoneinfo import ZoneInfo

from fhir_profiles import decision_clock, elements, prior_auth, prior_auth_clock
from fhir_profiles.decision_clock import EXTENSION_LIMIT_DAYS, Extension, Judged, Urgency
from server.errors import NotFound
from server.interactions import prior_auth as requests
from server.interactions import read
from server.interactions._write import Origin
from server.interactions.engine import Engine
from server.web import authorizations
from server.web.authorization_row import Resource


@dataclass(frozen=True, slots=True)
class Notice:
    """A payer's notice as a person fills it in: days, the day of the notice, its reason."""

    days: str = ""
    noticed: str = ""
    reason: str = ""

    def lacks(self) -> list[str]:
        """Return the fields that are missing or make no sense."""
        wrong = [] if self.reason.strip() else ["reason"]
        if not (self.days.isdecimal() and 1 <= int(self.days) <= EXTENSION_LIMIT_DAYS):
            wrong.append("days")
        day = elements.full_date(self.noticed)
        return wrong if day and day.isoformat() == self.noticed else [*wrong, "noticed"]


def may_extend(task: Resource) -> bool:
    """Tell whether a clock runs that was not extended."""
    is_running = prior_auth.status(task) in prior_auth.WAITING and "restriction" in task
    return is_running and prior_auth.extension(task) is None


def may_judge(task: Resource) -> bool:
    """Tell whether the payer has still to decide."""
    return prior_auth.status(task) in prior_auth.WAITING


def extend(engine: Engine, task_id: str, notice: Notice, zone: ZoneInfo) -> None:
    """Record a payer's notice. Raises NotFound where no clock runs, or it was extended."""
    task = authorizations.found(engine, task_id)
    day = elements.full_date(notice.noticed)
    if not may_extend(task) or day is None:
        raise NotFound("There is no clock to extend.")
    told = Extension(int(notice.days), datetime.combine(day, time(), zone), notice.reason.strip())
    there = _payer_zone(_payer(engine, task), zone)
    requests.change(
        engine, task, prior_auth_clock.extended(task, told, there), Origin(engine.new_id())
    )


def judge(engine: Engine, task_id: str, urgency: str, by: str, zone: ZoneInfo) -> None:
    """Record who holds a request how urgent. Raises NotFound where nothing waits for a payer."""
    task = authorizations.found(engine, task_id)
    if not may_judge(task) or urgency not in {one.value for one in Urgency} or not by.strip():
        raise NotFound("Say how urgent it is, and who says so; only what waits can be judged.")
    payer = _payer(engine, task)
    held = Urgency(urgency)
    kind = decision_clock.kind_of(payer)
    limit = decision_clock.limit_of(kind, held, is_drug=False)
    said = Judged(held, by.strip(), engine.now())
    changed = prior_auth_clock.judged(task, said, limit, _payer_zone(payer, zone))
    if kind is None and "restriction" in task:  # nobody knows another clock: this one stays
        changed["restriction"] = task["restriction"]
    requests.change(engine, task, changed, Origin(engine.new_id()))


def _payer(engine: Engine, task: Resource) -> Resource:
    claim = read.referenced(engine, "Claim", elements.reference(task["focus"])) or {}
    return read.referenced(engine, "Organization", elements.reference(claim.get("insurer"))) or {}


def _payer_zone(payer: Resource, zone: ZoneInfo) -> tzinfo:
    return decision_clock.zone_of(payer, zone)
