"""Coverage created, or changed in a field that matters -> CoverageEligibilityRequest."""

from bots import asking
from bots.mapping import request
from bots.mapping.request import Wish
from bots.ports import Bot, Resource, Tools
from fhir_profiles.codes import Reason


def handle(coverage: Resource, tools: Tools) -> None:
    """Ask about an active Coverage once per version that differs in what the answer rests on."""
    if coverage.get("status") != "active":
        return
    if not request.is_material_change(coverage, tools.fhir.previous(coverage)):
        return
    wish = Wish(
        Reason.COVERAGE_CHANGE,
        request.version_address(coverage),
        tools.now().astimezone(tools.zone).date(),
    )
    asking.ask(coverage, wish, tools)


BOT = Bot("request-eligibility", "Coverage?status=active", handle, request.MATERIAL_CHANGE)
