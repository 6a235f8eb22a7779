"""A prior authorization to a payer that takes no PAS: the same request, as a review (X12 278).

No Subscription goes that way: what the payer decides later people learn by asking, where the
clearinghouse can be asked, else by the payer's portal or phone.
"""

from dataclasses import replace

from bots.errors import RetryLater
from bots.mapping import review
from bots.ports import UNCERTAIN, Failure, Resource, Submission, Tools
from bots.prior_auth_task import stored
from fhir_profiles import elements, payers, prior_auth, prior_auth_route, systems

TRANSACTION = "278"
LATER_S = 3.0  # to ask after one that waits anyway
TRIES = 20
TIMEOUT_S = 22.0  # CAQH CORE: a 278 is answered within 20 s, and 2 for the way
_NOT_FIRST = Failure(
    "not-supported",
    "Updates, cancellations and appeals do not go this way: tell the payer by its portal or phone, "
    "and record what it tells.",
    again=False,
    supported=False,
)


_NO_ID = Failure(
    "payer-not-on-route",
    "This route has no id for the payer: add one to its Organization.",
    again=False,
    supported=False,
)


def submit(task: Resource, sent: Resource, payer: Resource, way: str, tools: Tools) -> Submission:
    """Send a request Bundle as a review by the route for that payload type; `way` is its code.

    Its answer comes back as a PAS response Bundle. A request that a clearinghouse has taken before
    is only asked after.
    """
    taken = elements.identifier(task, prior_auth.TAKEN)
    route = tools.reviews.get(way)
    if route is None:
        return Submission(failure=_no_route(way), taken=taken)
    if not prior_auth.is_first(sent["entry"][0]["resource"]):
        return Submission(failure=_NOT_FIRST)
    ids = payers.ids(payer or review.insurer(sent), tools.now().date(), TRANSACTION)
    known = ids.get(route.payer_system) or ids.get(systems.PAYER_ID)
    if not known:
        return Submission(failure=_NO_ID, taken=taken)
    asked = review.review(sent)
    named = replace(asked.payer, id=known, id_qualifier="PI")
    timeout_s = LATER_S if prior_auth.status(task) in prior_auth.WAITING else TIMEOUT_S
    found = route.review(replace(asked, payer=named, taken=taken), timeout_s=timeout_s)
    if found.answer is None:
        return Submission(found.received, failure=found.failure, taken=found.taken)
    made = review.bundle(found.answer, asked, sent, tools.now())
    return Submission(found.received, answer=made, taken=found.taken)


def filed(
    task: Resource, sent: Resource, payer: Resource, way: str, tools: Tools
) -> tuple[Resource, Submission]:
    """File a request once; return its Task with the number under which it was taken.

    A mark goes before, and the number is kept before anything else: what may have been filed is
    never filed again by itself.
    """
    there = elements.identifier(task, prior_auth.TAKEN)
    if there == prior_auth.FILING:
        return task, Submission(failure=UNCERTAIN)
    if there:
        return task, Submission(taken=there)
    task = stored(prior_auth.with_taken(task, prior_auth.FILING), tools)
    submission = submit(prior_auth.with_taken(task, ""), sent, payer, way, tools)
    if submission.taken:
        task = _numbered(task, submission.taken, tools)
    return task, submission


def _numbered(task: Resource, number: str, tools: Tools) -> Resource:
    """Keep a number, and when it was sent, on a Task, whoever else changes that at the moment."""
    for _ in range(TRIES):
        made = prior_auth.with_sent(prior_auth.with_taken(task, number), tools.now())
        kept = tools.fhir.update(made)
        if kept is not None:
            return kept
        (now,) = tools.fhir.read_all([f"Task/{task['id']}"])
        task = now or task
    raise RetryLater("the Task of a request that was filed is changed all the time")


def _no_route(way: str) -> Failure:
    text = (
        f"No clearinghouse for {way} is configured: name `{prior_auth_route.REVIEWS[way]}` in "
        "INFORCE_BOTS_ROUTES, or send it by the payer's portal or fax."
    )
    return Failure("not-supported", text, again=False, supported=False)
