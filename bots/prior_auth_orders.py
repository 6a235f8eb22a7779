"""Orders that refer to the decision on them, so that an EHR that shows one shows the other."""

import logging

from bots.errors import NeverRetry
from bots.ports import Resource, Tools
from fhir_profiles import elements, pas, prior_auth

TRIES = 3
ANNOTATED = ("ServiceRequest/", "DeviceRequest/", "MedicationRequest/")  # have an `insurance`
_log = logging.getLogger(__name__)


def annotate(claim: Resource, tasks: list[Resource], response: Resource, tools: Tools) -> None:
    """Have each order that is here refer to the decision on it, in place of those of the `tasks`.

    Where somebody else changes the order all the time, it stays without.
    """
    before = {prior_auth.part(one, prior_auth.RESPONSE) for one in tasks} - {""}
    now = {"reference": f"ClaimResponse/{response['id']}"}
    named = [
        elements.reference(elements.extension_value(item, pas.EXT_REQUESTED_SERVICE))
        for item in claim.get("item", [])
    ]
    for address in dict.fromkeys(one for one in named if one.startswith(ANNOTATED)):
        for _ in range(TRIES):
            (order,) = tools.fhir.read_all([address])
            if order is None or now in order.get("insurance", []):
                break
            kept = [i for i in order.get("insurance", []) if elements.reference(i) not in before]
            try:
                if tools.fhir.update({**order, "insurance": [*kept, now]}) is not None:
                    break
            except NeverRetry as error:
                _log.error("%s does not take its decision: %s", address, error)
                break
