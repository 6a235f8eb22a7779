"""Flags and errors of an answer in words for people: what it means, who acts, what comes next."""

from dataclasses import dataclass
from typing import Any

from fhir_profiles import codes, elements, systems

Resource = dict[str, Any]
_CORRECT = ("front-desk", "Correct the data, then save the coverage again.")
_REPEATED = ("system", "Wait: the check is repeated by itself. If this stays, call the payer.")
_SUPPORT = ("front-desk", "Call the payer, and report the trace number to support.")
# Who acts next, and how, where the payer's rejection does not say it.
_NEXT = {
    "not-delivered": _REPEATED,
    "no-answer": _REPEATED,
    "throttled": _REPEATED,
    "route-failed": _REPEATED,
    "route-paused": _REPEATED,
    "credentials": ("system", "The clearinghouse refuses our key: tell support."),
    "payer-not-on-route": ("front-desk", "Call the payer: it cannot be asked electronically."),
    "enrolment-needed": (
        "enrolment",
        "Enrol with this payer at the clearinghouse; until then, call the payer.",
    ),
    "enrolment-pending": ("enrolment", "Ask how far the enrolment is; until then, call the payer."),
    "ambiguous-payer": (
        "front-desk",
        "Choose the payer from the directory, and save the coverage.",
    ),
    "unreadable-answer": _SUPPORT,
    "rejected-by-clearinghouse": _SUPPORT,
    "request-refused": _SUPPORT,
    "not-sent": _SUPPORT,
    "person-mismatch": (
        "front-desk",
        "Compare name, birth date and member id with the card. If they are right, call the payer.",
    ),
}
# Flags that a person may know, but need not act on.
_GUIDE, _VENDOR = "guide", "vendor-differs"
_NOTES = frozenset(
    {"payer-corrected", "multi-plan", "as-of-date", "trace-mismatch", "segment-count"}
    | {"control-number", "set-count", "group-count"}
)
_GHOST = "The payer did not find the member id as it stands here, but found this person"
_CARD = "Correct the coverage from the card."
_FLAGS = {
    "other-payer": "The payer names another payer.",
    "ghost-denial:old-id": f"{_GHOST} by an earlier one. {_CARD}",
    "ghost-denial:prefix": f"{_GHOST} by it with or without its prefix. {_CARD}",
    "ghost-denial:leading-zeros": f"{_GHOST} by it with or without its leading zeros. {_CARD}",
    "ghost-denial:person-code": f"{_GHOST} by it with or without the person code. {_CARD}",
    "payer-corrected": "The payer's name, birth date or id of this person differs from ours.",
    "deceased": "The payer has a date of death for this person.",
    "payload-not-kept": "The payer's answer itself could not be kept; only what is shown was.",
    "unreadable-characters": "The answer holds characters that are no text: shown as \ufffd.",
    "truncated": "The end of the payer's answer is missing: what it said there is not known.",
    "segment-count": "The payer's count of segments is wrong; nothing was left out here.",
    "control-number": "The control numbers of the payer's answer do not agree.",
    "set-count": "The payer's count of transactions is wrong.",
    "group-count": "The payer's count of groups is wrong.",
    "differs:name": "The payer has another last name for this person.",
    "differs:first-name": "The payer has the first name in another form.",
    "differs:suffix": "The payer has another suffix of the name.",
    "differs:birth-date": "The payer has another birth date, and says that it corrected ours.",
    "differs:member-id": "The payer has another member id for this person.",
    "differs:subscriber-name": "The payer has another last name for the subscriber.",
    "differs:dependent-of-another": "The payer knows this person as a dependent, not a subscriber.",
    "differs:unnamed": "The answer names no person; it is taken to be about this one.",
    "differs:own-member-id": "The payer knows this person as a subscriber with an own id.",
    "more-patients": "The answer tells of more than one patient or transaction: one is shown.",
    "ambiguous-base": "The payer states this limit more than once, with other amounts.",
    "accumulator-mismatch": "What is used or left fits none of the stated limits.",
    "accumulator-without-base": "The payer states what is used or left, and no limit.",
    "accumulator-conflict": "Limit, used and left, as the payer states them, do not add up.",
    "used-above-allowed": "More is used than the limit.",
    "exhausted": "The limit is used up.",
    "too-many-rows": "The payer sent too many lines of this kind to put them together.",
    "mixed": "The payer sent active and inactive lines for the plan.",
    "multi-plan": "The payer sent more than one plan.",
    "pending": "The payer is still investigating.",
    "no-plan-level": "The payer spoke of single services only, not of the plan.",
    "no-status": "The payer did not say whether the plan is in force.",
    "contact-payer": "The payer asks to be contacted.",
    "partial": "The payer rejected a part of the question.",
    "as-of-date": "The payer gave one date, which may be the start of the plan or the day asked.",
    "trace-mismatch": "The answer carries another trace number than the question.",
    "status-date-conflict": "The payer says active, but its dates do not cover the day.",
}


@dataclass(frozen=True, slots=True)
class Error:
    """One thing that went wrong: the code as it came, in words, and who can mend it."""

    code: str
    text: str
    owner: str
    action: str


def told(code: str) -> str:
    """Return a flag in words; an unknown code is named as it came."""
    kind, _, rest = code.partition(":")
    if kind in ("unknown-code", "unknown-segment"):
        what = kind.removeprefix("unknown-")
        return f"The payer sent a {what} we do not know yet: {rest.replace(':', ' ')}. It is kept."
    if kind in ("unreadable", "percent-range"):
        return f"A number in the answer is out of form: {rest or 'percent'}. It is kept as sent."
    if kind == "negative":
        return f"An amount in the answer is negative: {rest}. It is kept as sent."
    if kind == "unstorable":
        return f"The answer holds what FHIR allows in no {rest}. It is kept as sent."
    if kind == _GUIDE:
        return f"The answer breaks the guide: {rest}."
    if kind == _VENDOR:
        name = codes.names("eb01_benefit_information").get(rest, rest)
        return f"The clearinghouse tells “{name}” otherwise than the payer: the payer's is shown."
    return _FLAGS.get(code, code)


def is_note(flag: str) -> bool:
    """Tell whether a flag is something to know, not something to review."""
    return flag in _NOTES or flag.startswith((f"{_GUIDE}:", f"{_VENDOR}:"))


def problem(error: Resource) -> Error:
    """Return an error of a response, with who can mend it and how."""
    codings = error["code"].get("coding", [{}])
    code = codings[0].get("code", "")
    nothing: Resource = {"extension": []}
    details = next(elements.extensions(error, systems.EXT_REJECTION), nothing)
    parts = elements.parts(details)
    owner, action = _NEXT.get(code, _CORRECT)
    return Error(
        code=code,
        text=str(error["code"].get("text", "")),
        owner=parts.get("owner") or owner,
        action=parts.get("action") or action,
    )
