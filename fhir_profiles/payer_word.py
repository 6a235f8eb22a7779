"""A person's wish to record what a payer told by phone, fax or portal about a prior authorization.

Its part ANSWER is a response Bundle in the shape of PAS that says it.
"""

from typing import Any

from fhir_profiles import prior_auth, wishes

Resource = dict[str, Any]
CODE = "record-decision"  # of our task-code list
METHOD = "by-hand"  # how, in the record of the exchange


def wish(task: Resource, bundle: str, authored: str) -> Resource:
    """Return the Task that has it recorded; `task` is that of the prior authorization."""
    text = "Record what a payer told about a prior authorization"
    made = {**wishes.wish(CODE, text, f"Task/{task['id']}", authored), "for": task["for"]}
    return prior_auth.with_part(made, "input", prior_auth.ANSWER, bundle)
