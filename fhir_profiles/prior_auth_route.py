"""By which way a payer takes prior authorizations, as its Endpoints say.

PAS goes before X12 278, a newer edition of PAS before an older one. Source for the codes of PAS:
Da Vinci HRex 1.2.0, endpoint discovery; the others are ours.
"""

from collections.abc import Iterable
from typing import Any

Resource = dict[str, Any]
PAS = "davinci_pas_submission_endpoint"  # of Endpoint.payloadType, an edition behind it
EDITIONS = ("2.2", "2.1", "2.0")  # those that we speak, the one to prefer first
X12_278 = "x12-278"  # in CAQH CORE envelopes
SERVICE_REVIEWS = "availity-service-reviews"  # as JSON
REVIEWS = {X12_278: "core", SERVICE_REVIEWS: "availity"}  # and by which clearinghouse


def best(endpoints: Iterable[Resource | None]) -> Resource | None:
    """Return the Endpoint to use: one that is active, of PAS before another; None for none."""
    usable = (one for one in endpoints if one is not None and is_usable(one))
    return max(usable, key=edition, default=None)


def is_usable(endpoint: Resource) -> bool:
    """Tell whether an Endpoint is active and takes prior authorizations in a way that we know."""
    is_known = edition(endpoint) or review_of(endpoint)
    return endpoint.get("status") == "active" and bool(is_known)


def review_of(endpoint: Resource) -> str:
    """Return how an Endpoint that takes no PAS takes reviews, as its code; "" where it does."""
    if edition(endpoint):
        return ""
    return next((one for one in codes(endpoint) if one in REVIEWS), "")


def is_older(endpoint: Resource) -> bool:
    """Tell whether an Endpoint speaks PAS 2.0 and nothing newer."""
    return edition(endpoint).startswith(f"{PAS}#2.0")


def edition(endpoint: Resource) -> str:
    """Return the newest PAS edition in the payload types, as the code; "" for another protocol."""
    return max((one for one in codes(endpoint) if one.startswith(PAS)), default="")


def codes(endpoint: Resource) -> list[str]:
    """Return the payload types of an Endpoint."""
    codings = [c for one in endpoint.get("payloadType", []) for c in one.get("coding", [])]
    return [str(c.get("code", "")) for c in codings]
