"""A person's wish to record what a payer told by phone, fax or portal about a prior authorization.

The Task refers to a response Bundle in the shape of PAS that says it.
"""

from typing import Any

from fhir_profiles import prior_auth, systems

Resource = dict[str, Any]
CODE = "record-decision"  # of our task-code list
METHOD = "by-hand"  # how, in the record of the exchange


def wish(task: Resource, bundle: str, authored: str) -> Resource:
    """Return the Task that has it recorded; `task` is that of the prior authorization."""
    made: Resource = {
        "resourceType": "Task",
        "status": "requested",
        "intent": "order",
        "code": {
            "coding": [{"system": systems.TASK_CODE, "code": CODE}],
            "text": "Record what a payer told about a prior authorization",
        },
        "focus": {"reference": f"Task/{task['id']}"},
        "for": task["for"],
        "authoredOn": authored,
    }
    return prior_auth.with_part(made, "input", prior_auth.ANSWER, bundle)


def told(task: Resource) -> str:
    """Return the address of the response Bundle of a wish, "" where it names none."""
    return prior_auth.part(task, prior_auth.ANSWER)
