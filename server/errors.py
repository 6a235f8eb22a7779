"""Refusals of the server: one family, each knowing its HTTP status and its FHIR issues.

Source: FHIR R4 http.html#Status-Codes, valueset-issue-type.html.
"""

import logging
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Issue:
    """One problem: a code of the FHIR issue-type list, a text without patient data, a FHIRPath.

    `severity` is set where it is another than that of the whole outcome.
    """

    code: str
    text: str
    expression: str = ""
    severity: str = ""


class FhirError(Exception):
    """A refused interaction. `status` is the HTTP status; `issues` become an OperationOutcome."""

    status = 500
    code = "exception"

    def __init__(
        self, text: str = "", *, expression: str = "", issues: Iterable[Issue] = ()
    ) -> None:
        """Refuse with one text, or with ready issues."""
        super().__init__(text)
        self.issues = tuple(issues) or (Issue(self.code, text, expression),)


class BadRequest(FhirError):
    """The request cannot be understood: syntax, parameters, a wrong combination."""

    status = 400
    code = "invalid"


class Unauthorized(FhirError):
    """Nobody is known by what the request brings, a token or nothing."""

    status = 401
    code = "login"


class Forbidden(FhirError):
    """Who asks is known, and may not do this."""

    status = 403
    code = "forbidden"


class NotFound(FhirError):
    """Nothing is, or ever was, at this address."""

    status = 404
    code = "not-found"


class Gone(FhirError):
    """The resource was deleted."""

    status = 410
    code = "deleted"


class MethodRefused(FhirError):
    """The address exists, but not for this interaction."""

    status = 405
    code = "not-supported"


class NotAcceptable(FhirError):
    """No format the client accepts can be given."""

    status = 406
    code = "not-supported"


class Conflict(FhirError):
    """The request is right, but other requests stand in its way now."""

    status = 409
    code = "lock-error"


class PreconditionFailed(FhirError):
    """If-Match, If-None-Exist or another condition does not hold."""

    status = 412
    code = "conflict"


class TooLarge(FhirError):
    """The body is larger than the limit."""

    status = 413
    code = "too-long"


class UnsupportedMediaType(FhirError):
    """The body is in a format we do not read."""

    status = 415
    code = "not-supported"


class Unprocessable(FhirError):
    """The body is JSON, but not a valid resource."""

    status = 422
    code = "processing"


def log_fault(log: logging.Logger, text: str, error: BaseException) -> None:
    """Log an exception by its class and places, never its message: it may hold data."""
    lines = "".join(traceback.format_tb(error.__traceback__))
    log.error("%s: %s\n%s", text, type(error).__name__, lines)


def outcome(issues: Iterable[Issue], severity: str = "error") -> dict[str, Any]:
    """Return an OperationOutcome that carries `issues` (FHIR R4 operationoutcome.html)."""
    listed = []
    for issue in issues:
        entry: dict[str, Any] = {"severity": issue.severity or severity, "code": issue.code}
        if issue.text:
            entry["diagnostics"] = issue.text
        if issue.expression:
            entry["expression"] = [issue.expression]
        listed.append(entry)
    return {"resourceType": "OperationOutcome", "issue": listed}
