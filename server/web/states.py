"""The eight states of eligibility in words for people, and which one a coverage is in."""

from dataclasses import dataclass
from typing import Any

from fhir_profiles import elements, systems
from fhir_profiles.codes import State

Resource = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Word:
    """How a state is shown: its word, its mark (never colour alone), its tone, its meaning."""

    word: str
    mark: str
    tone: str
    meaning: str


WORDS = {
    State.ACTIVE: Word("Active", "✓", "good", "The payer says the plan is in force."),
    State.ACTIVE_REVIEW: Word(
        "Active – review", "✓!", "look", "In force, but something in the answer needs a look."
    ),
    State.INACTIVE: Word("Inactive", "✕", "bad", "The payer says the plan is not in force."),
    State.NOT_FOUND: Word(
        "Not found", "?", "bad", "The payer does not know this person by these data."
    ),
    State.COULD_NOT_CHECK: Word(
        "Could not check", "–", "open", "Nothing is known: the check did not give an answer."
    ),
    State.NOT_SUPPORTED: Word(
        "Not supported", "☎", "open", "This payer cannot be asked electronically; call instead."
    ),
    State.CHECKING: Word("Checking…", "…", "open", "The payer was asked and has not answered yet."),
    State.STALE: Word("Not checked", "◦", "open", "There is no answer for this day."),
}


# Who acts next, and how, where no error says it.
STEPS = {
    State.ACTIVE_REVIEW: ("front-desk", "Look at what the payer sent."),
    State.INACTIVE: ("front-desk", "Ask the patient for other insurance."),
    State.NOT_SUPPORTED: ("front-desk", "Call the payer."),
}


def state_of(response: Resource | None, open_request: Resource | None, today: str) -> State:
    """Return the state to show on day `today` (YYYY-MM-DD).

    A request that waits for its answer is checking; an answer for an earlier day is stale.
    """
    if open_request is not None:
        return State.CHECKING
    if response is None or response.get("servicedDate", today) < today:
        return State.STALE
    tag = elements.tag(response, systems.ELIGIBILITY_STATE)
    return State(tag) if tag in set(State) else State.COULD_NOT_CHECK
