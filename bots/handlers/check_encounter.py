"""Encounter arrived -> CoverageEligibilityRequest, unless an answer is fresh."""

from bots import asking
from bots.ports import Bot, Resource, Tools
from fhir_profiles import elements
from fhir_profiles.codes import Reason


def handle(encounter: Resource, tools: Tools) -> None:
    """Ask once per encounter, for the day it began, or today where it does not say."""
    if encounter.get("status") != "arrived":
        return
    began = str(encounter.get("period", {}).get("start", ""))
    day = asking.day_of(began, tools) or tools.now().astimezone(tools.zone).date()
    cause = f"Encounter/{encounter['id']}#{day}"
    patient = elements.reference(encounter.get("subject"))
    asking.for_visit(patient, day, tools, reason=Reason.CHECK_IN, cause=cause)


BOT = Bot("check-encounter", "Encounter?status=arrived", handle)
