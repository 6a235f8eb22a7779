"""What a person does on the page of a prior authorization: send it, ask the payer, cancel it."""

from typing import Any

from fhir_profiles import elements, pas, payer_asks, prior_auth, prior_auth_clock, systems, wishes
from fhir_profiles.decision_clock import Urgency
from fhir_profiles.prior_auth import Status
from server.errors import NotFound
from server.interactions import create, read
from server.interactions import prior_auth as requests
from server.interactions._write import Origin
from server.interactions.engine import Engine
from server.web import authorization_story, authorizations

Resource = dict[str, Any]
# What a person may ask for once it is decided -> the certification type (X12 1322).
RENEWALS = {"appeal": "2", "anew": pas.FIRST}
RENEWED = "Add what is new, by the EHR or here, then send it."


def send_again(engine: Engine, task_id: str) -> None:
    """Have a request sent that was not: what is kept of it is built anew from a draft's Claim."""
    task = authorizations.found(engine, task_id)
    if prior_auth.status(task) in authorizations.MAY_SEND:
        requests.send_again(engine, task, Origin(engine.new_id()))


def cancel(engine: Engine, task_id: str) -> str:
    """Have all of a request cancelled at the payer; return the id of the Task that does it.

    Pressed twice it is one cancellation. Raises NotFound where the Claim did not come from here:
    who sent it cancels it.
    """
    task = authorizations.found(engine, task_id)
    claim = read.referenced(engine, "Claim", elements.reference(task["focus"]))
    if claim is None or not authorization_story.may_cancel(task):
        raise NotFound("There is nothing to cancel here.")
    made = prior_auth.cancellation(claim, engine.now().isoformat(timespec="milliseconds"))
    origin = Origin(engine.new_id())
    claim_id = requests.keep_claim(engine, made, origin)
    return requests.of_claim(engine, claim_id, origin)


def ask(engine: Engine, task_id: str) -> None:
    """Have the payer asked how it stands; a wish that waits is not made twice."""
    authorizations.found(engine, task_id)
    cause = f"inquire-{task_id}"
    text = "Ask how a prior authorization stands"
    now = engine.now().isoformat(timespec="milliseconds")
    wish = {
        **wishes.wish(prior_auth.INQUIRE, text, f"Task/{task_id}", now),
        "identifier": [{"system": systems.CAUSE, "value": cause}],
    }
    condition = f"identifier={systems.CAUSE}|{cause}&status=requested"
    create.create(engine, "Task", wish, if_none_exist=condition, origin=Origin(engine.new_id()))


def send_document(engine: Engine, task_id: str, ask_id: str, document: str) -> None:
    """Have a document sent for what the payer asks for; pressed twice it is sent once.

    Raises NotFound where nothing of that id is asked for, or no such document is offered.
    """
    task = authorizations.found(engine, task_id)
    shown = authorization_story.asked(engine, task)
    choices = {address for one in shown if one.id == ask_id for address, _ in one.choices}
    if document not in choices:
        raise NotFound("There is no such document to send.")
    response = prior_auth.part(task, prior_auth.RESPONSE)
    now = engine.now().isoformat(timespec="milliseconds")
    wish = payer_asks.wish(task, response, ask_id, document, now)
    cause = elements.identifier(wish, systems.CAUSE)
    condition = f"identifier={systems.CAUSE}|{cause}&status=requested,completed"
    create.create(engine, "Task", wish, if_none_exist=condition, origin=Origin(engine.new_id()))


def renew(engine: Engine, task_id: str, kind: str) -> str:
    """Make the draft of an appeal, or of a new request, for what was decided; return its Task's id.

    Pressed twice it is one draft. Raises NotFound where there is nothing to ask again.
    """
    task = authorizations.found(engine, task_id)
    claim = read.referenced(engine, "Claim", elements.reference(task["focus"]))
    if claim is None or not authorization_story.may_renew(task) or kind not in RENEWALS:
        raise NotFound("There is nothing to ask again.")
    is_urgent = prior_auth_clock.asked(claim) is Urgency.EXPEDITED
    certification = pas.IMMEDIATE_APPEAL if kind == "appeal" and is_urgent else RENEWALS[kind]
    numbers = authorization_story.numbers(engine, task, claim)
    now = engine.now().isoformat(timespec="milliseconds")
    made = prior_auth.renewed(claim, now, certification, numbers)
    origin = Origin(engine.new_id())
    first, count = made["identifier"][0], 1
    claim_id = requests.keep_claim(engine, made, origin)
    while _is_withheld(engine, claim_id):  # that one never goes out: another may
        count += 1
        named = {**first, "value": f"{first['value']}-{count}"}
        claim_id = requests.keep_claim(engine, {**made, "identifier": [named]}, origin)
    return requests.draft(engine, claim_id, RENEWED, origin, based_on=f"Task/{task_id}")


def appeal_by(engine: Engine, task_id: str, day: str) -> None:
    """Record until when the payer takes an appeal. Raises NotFound where there is nothing to."""
    task = authorizations.found(engine, task_id)
    told = elements.full_date(day)
    if not authorization_story.may_renew(task) or told is None:
        raise NotFound("Give the last day, of a decision that one may appeal against.")
    made = prior_auth.with_appeal_by(task, told.isoformat())
    requests.change(engine, task, made, Origin(engine.new_id()))


def _is_withheld(engine: Engine, claim_id: str) -> bool:
    task = requests.newest(engine, claim_id)
    return task is not None and prior_auth.status(task) == Status.CANCELLED
