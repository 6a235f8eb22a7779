"""Coverage created, or changed in a field that matters -> CoverageEligibilityRequest."""

from bots.mapping import request
from bots.ports import Bot, Resource, Tools
from fhir_profiles import elements, systems
from fhir_profiles.codes import Reason


def handle(coverage: Resource, tools: Tools) -> None:
    """Ask about an active Coverage once per version that differs in what the answer rests on.

    The request is named by a trace made from the version, so a second delivery writes nothing.
    """
    if coverage.get("status") != "active":
        return
    if not request.is_material_change(coverage, tools.fhir.previous(coverage)):
        return
    address = elements.reference(coverage["beneficiary"])
    (patient,) = tools.fhir.read_all([address])
    patient = patient or elements.contained(coverage, address)
    now = tools.now()
    wish = request.to_request(
        coverage,
        provider=request.provider_of(patient or {}, tools.provider),
        reason=Reason.COVERAGE_CHANGE,
        service_date=now.astimezone(tools.zone).date(),
        created=now,
    )
    trace = elements.identifier(wish, systems.TRACE)
    tools.fhir.create_once(wish, f"identifier={systems.TRACE}|{trace}")


BOT = Bot("request-eligibility", "Coverage?status=active", handle)
