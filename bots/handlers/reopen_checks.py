"""Answer that changes what was known of other days -> the visits on those days are asked about.

A plan that ends retroactively, or was reinstated, makes earlier answers wrong: whoever was told
"active" for a day to come must hear of it before the visit.
"""

from datetime import date

from bots import asking
from bots.domain import windows
from bots.mapping import known, request
from bots.mapping.request import Wish
from bots.ports import Bot, Resource, Tools
from fhir_profiles import elements, systems
from fhir_profiles.codes import Reason

_STATES = ",".join(f"{systems.ELIGIBILITY_STATE}|{state}" for state in sorted(asking.GOOD))


def handle(response: Resource, tools: Tools) -> None:
    """Ask anew about each day to come that was answered otherwise before this answer."""
    address = elements.reference(response["insurance"][0]["coverage"])
    there = tools.fhir.search("CoverageEligibilityResponse", [("coverage", address)])
    earlier = [one for one in there if one["created"] < response["created"]]
    changed = windows.changed(
        windows.fold(known.events(earlier)), windows.fold(known.events([*earlier, response]))
    )
    today = tools.now().astimezone(tools.zone).date()
    days = {date.fromisoformat(one["servicedDate"]) for one in earlier}
    days.discard(date.fromisoformat(response["servicedDate"]))
    touched = sorted(day for day in days if day >= today and _within(day, changed))
    if not touched:
        return
    (coverage,) = tools.fhir.read_all([address])
    if coverage is None or coverage.get("status") != "active":
        return
    (patient,) = tools.fhir.read_all([elements.reference(coverage["beneficiary"])])
    provider = request.provider_of(patient or {}, tools.provider)
    for day in touched:
        cause = f"CoverageEligibilityResponse/{response['id']}#{day}"
        asking.ask(coverage, Wish(Reason.COVERAGE_CHANGE, cause, day, provider), tools)


def _within(day: date, spans: list[tuple[date, date | None]]) -> bool:
    return any(start <= day < (end or date.max) for start, end in spans)


BOT = Bot("reopen-checks", f"CoverageEligibilityResponse?_tag={_STATES}", handle)
