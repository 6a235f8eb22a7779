"""Appointment booked -> CoverageEligibilityRequest on each coverage, for the day of the visit."""

from bots import asking
from bots.ports import Bot, Resource, Tools
from fhir_profiles.codes import Reason


def handle(appointment: Resource, tools: Tools) -> None:
    """Ask once per appointment and start: one that is moved to another day asks for that day."""
    start = str(appointment.get("start", ""))
    day = asking.day_of(start, tools)
    if appointment.get("status") == "booked" and day is not None:
        cause = f"Appointment/{appointment['id']}#{day}"
        patient = asking.patient_of(appointment)
        asking.for_visit(patient, day, tools, reason=Reason.BOOKING, cause=cause)


BOT = Bot("check-booking", "Appointment?status=booked", handle)
