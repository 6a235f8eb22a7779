"""A prior authorization to a payer that takes only X12: the same request, as a 278.

No Subscription and no inquiry go that way: what the payer decides later people learn by its portal
or phone.
"""

from bots.mapping import review
from bots.ports import Failure, Resource, Submission, Tools
from fhir_profiles import prior_auth

_NO_ROUTE = Failure(
    "not-supported",
    "No clearinghouse for X12 278 is configured: name `core` in INFORCE_BOTS_ROUTES, or send it by "
    "the payer's portal or fax.",
    again=False,
    supported=False,
)


_NOT_FIRST = Failure(
    "not-supported",
    "Updates, cancellations and appeals do not go by X12 278 here: tell the payer by its portal or "
    "phone.",
    again=False,
    supported=False,
)


def submit(sent: Resource, tools: Tools, *, timeout_s: float) -> Submission:
    """Send a request Bundle as a 278; its answer comes back as a PAS response Bundle."""
    if tools.reviews is None:
        return Submission(failure=_NO_ROUTE)
    if not prior_auth.is_first(sent["entry"][0]["resource"]):
        return Submission(failure=_NOT_FIRST)
    asked = review.review(sent)
    found = tools.reviews.review(asked, timeout_s=timeout_s)
    if found.answer is None:
        return Submission(found.received, failure=found.failure)
    made = review.bundle(found.answer, asked, sent, tools.now())
    return Submission(found.received, answer=made)
