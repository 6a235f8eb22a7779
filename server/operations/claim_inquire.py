"""Claim/$inquire: how prior authorizations stand here, as the payer said last.

Source: Da Vinci PAS 2.2.1, OperationDefinition Claim-inquiry. Nobody is asked: what a payer decides
comes to us by itself, and a person may have it asked on the page of a request.
"""

from typing import Any

from fhir_profiles import pas
from server.interactions import prior_auth_standing
from server.operations.operation import INSTANCE, TYPE, Call, Operation


def inquire(call: Call) -> dict[str, Any]:
    """Return Parameters with a response Bundle in `return` for each request that fits.

    On Claim/[id] that of the stored Claim; else the body is an inquiry Bundle, and a request fits
    that is about the patient by an identifier, and was asked for by that provider. None is no
    error. Raises BadRequest for any other body.
    """
    if call.id:
        found = prior_auth_standing.of_claim(call.engine, call.id)
    else:
        found = prior_auth_standing.fitting(call.engine, call.body)
    answer: dict[str, Any] = {"resourceType": "Parameters"}
    if found:
        answer["parameter"] = [{"name": "return", "resource": one} for one in found]
    return answer


OPERATION = Operation(
    "inquire",
    f"{pas.GUIDE}/OperationDefinition/Claim-inquiry",
    (TYPE, INSTANCE),
    inquire,
    types=("Claim",),
    needs=("Claim.rs", "ClaimResponse.rs"),
)
