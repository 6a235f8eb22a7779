"""A check that gave no answer -> Communication and one mail, if nothing more happens by itself.

Of a check that is repeated `bots/digest.py` tells when that has gone on for long.
"""

from bots import alerting
from bots.mapping import alert
from bots.ports import Bot, Resource, Tools
from fhir_profiles import elements, systems
from fhir_profiles.codes import State


def handle(response: Resource, tools: Tools) -> None:
    """Tell of a coverage that could not be checked, once until it can be."""
    if not elements.has_extension(response, systems.EXT_RETRY):
        alerting.tell(alert.COULD_NOT_CHECK, response, tools)


BOT = Bot(
    "alert-could-not-check",
    f"CoverageEligibilityResponse?_tag={systems.ELIGIBILITY_STATE}|{State.COULD_NOT_CHECK}",
    handle,
)
