"""Patient arrived for an Appointment -> CoverageEligibilityRequest, unless an answer is fresh."""

from bots import asking
from bots.ports import Bot, Resource, Tools
from fhir_profiles.codes import Reason

ARRIVED = ("arrived", "checked-in")


def handle(appointment: Resource, tools: Tools) -> None:
    """Ask once per arrival, for the day of the appointment."""
    day = asking.day_of(str(appointment.get("start", "")), tools)
    if appointment.get("status") in ARRIVED and day is not None:
        cause = f"Appointment/{appointment['id']}#{day}#arrived"
        patient = asking.patient_of(appointment)
        asking.for_visit(patient, day, tools, reason=Reason.CHECK_IN, cause=cause)


BOT = Bot("check-arrival", f"Appointment?status={','.join(ARRIVED)}", handle)
