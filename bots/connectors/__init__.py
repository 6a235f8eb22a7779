"""The wires: one file per clearinghouse, and the table that names them."""

from collections.abc import Callable

from bots.connectors import availity, core, opkit, stedi
from bots.connectors.access import Access
from bots.connectors.reviews import Reviews
from bots.connectors.service_reviews import ServiceReviews
from bots.ports import Clearinghouse, ReviewRoute
from fhir_profiles import prior_auth_route

# name (as in INFORCE_BOTS_ROUTES) -> how to build it
CLEARINGHOUSES: dict[str, Callable[[Access], Clearinghouse]] = {
    "availity": availity.connect,
    "core": core.connect,
    "opkit": opkit.connect,
    "optum": stedi.connect_optum,
    "sandbox": stedi.connect,
    "stedi": stedi.connect,
}
# payload type of a payer's Endpoint -> how to build the route that takes such requests
REVIEWS: dict[str, Callable[[Access], ReviewRoute]] = {
    prior_auth_route.X12_278: Reviews,
    prior_auth_route.SERVICE_REVIEWS: ServiceReviews,
}
