"""Refusals and surprises as OperationOutcome (FHIR R4 operationoutcome.html)."""

from collections.abc import Iterable
from typing import Any

from server.errors import Issue


def outcome(issues: Iterable[Issue], severity: str = "error") -> dict[str, Any]:
    """Return an OperationOutcome that carries `issues`."""
    listed = []
    for issue in issues:
        entry: dict[str, Any] = {"severity": severity, "code": issue.code}
        if issue.text:
            entry["diagnostics"] = issue.text
        if issue.expression:
            entry["expression"] = [issue.expression]
        listed.append(entry)
    return {"resourceType": "OperationOutcome", "issue": listed}
