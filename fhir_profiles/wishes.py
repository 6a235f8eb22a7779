"""Tasks by which people and programs ask a bot for something: the shape of such a wish."""

from typing import Any

from fhir_profiles import systems

Resource = dict[str, Any]


def wish(code: str, text: str, focus: str, authored: str) -> Resource:
    """Return the Task of a code of ours that asks for something about the `focus`, an address."""
    return {
        "resourceType": "Task",
        "status": "requested",
        "intent": "order",
        "code": {"coding": [{"system": systems.TASK_CODE, "code": code}], "text": text},
        "focus": {"reference": focus},
        "authoredOn": authored,
    }
