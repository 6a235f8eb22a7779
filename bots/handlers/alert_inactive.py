"""CoverageEligibilityResponse not in force -> Communication and one mail per inactive spell."""

from bots import alerting
from bots.mapping import alert
from bots.ports import Bot, Resource, Tools
from fhir_profiles import systems
from fhir_profiles.codes import State


def handle(response: Resource, tools: Tools) -> None:
    """Tell of a coverage whose plan is not in force, once until it is in force again."""
    alerting.tell(alert.INACTIVE, response, tools)


BOT = Bot(
    "alert-inactive",
    f"CoverageEligibilityResponse?_tag={systems.ELIGIBILITY_STATE}|{State.INACTIVE}",
    handle,
)
