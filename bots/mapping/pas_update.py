"""A Claim that updates a prior one -> the whole picture that PAS wants of it.

Every item and supportingInfo ever sent goes along under its sequence: what is new or was changed
against the Claim just before is flagged, what was left out is cancelled, for good. Source: Da Vinci
PAS 2.2.1, specification.html, "Updating authorization requests".
"""

from collections.abc import Iterable, Sequence
from typing import Any

from fhir_profiles import elements, pas

Resource = dict[str, Any]
ADDED, CHANGED = "added", "changed"
_LISTS = ("item", "supportingInfo")


def prior(claim: Resource) -> str:
    """Return the address of the Claim that this one updates, "" for a new request."""
    return next((elements.reference(one.get("claim")) for one in claim.get("related", [])), "")


def whole(chain: Sequence[Resource]) -> tuple[Resource, Resource | None]:
    """Return the newest Claim and the one before it, each as it goes out.

    `chain` has the newest first, and each one that it updates behind it.
    """
    *newer, first = chain
    before, current = None, first
    for claim in reversed(newer):
        before, current = current, _updated(claim, current)
    return current, before


def is_cancelled(entry: Resource) -> bool:
    """Tell whether an item or supportingInfo is flagged as cancelled."""
    flags = entry.get("modifierExtension", [])
    return any(f.get("url") == pas.EXT_CANCELLED and f.get("valueBoolean") for f in flags)


def _updated(claim: Resource, before: Resource) -> Resource:
    lists = {name: [*_entries(name, claim, before)] for name in _LISTS}
    return {**claim, **{name: found for name, found in lists.items() if found}}


def _entries(name: str, claim: Resource, before: Resource) -> Iterable[Resource]:
    """Yield the entries of a list in the order of their sequences, with their flags."""
    now = {one["sequence"]: _unflagged(one) for one in claim.get(name, [])}
    then = {one["sequence"]: one for one in before.get(name, [])}
    for sequence in sorted(now.keys() | then.keys()):
        old = then.get(sequence)
        new = now.get(sequence)
        if old is None and new is not None:
            yield _flagged(new, ADDED)
        elif old is not None and is_cancelled(old):
            yield _unflagged(old)  # once cancelled it stays so, and is no news
        elif old is not None and (new is None or is_cancelled(new)):
            yield _flagged(_cancelled(name, new or _unflagged(old)), CHANGED)
        elif old is not None and new is not None:
            yield new if new == _unflagged(old) else _flagged(new, CHANGED)


def _unflagged(entry: Resource) -> Resource:
    kept = [e for e in entry.get("extension", []) if e.get("url") != pas.EXT_CHANGED]
    body = {name: value for name, value in entry.items() if name != "extension"}
    return body | ({"extension": kept} if kept else {})


def _flagged(entry: Resource, how: str) -> Resource:
    flag = {"url": pas.EXT_CHANGED, "valueCode": how}
    return {**entry, "extension": [*entry.get("extension", []), flag]}


def _cancelled(name: str, entry: Resource) -> Resource:
    """Return an entry flagged as cancelled; an item has the certification type for it, too."""
    found = {**entry, "modifierExtension": [{"url": pas.EXT_CANCELLED, "valueBoolean": True}]}
    if name == "item":
        kept = [e for e in entry.get("extension", []) if e.get("url") != pas.EXT_CERTIFICATION]
        found["extension"] = [*kept, _certification()]
    return found


def _certification() -> Resource:
    concept = {"coding": [{"system": pas.CERTIFICATION_TYPE, "code": pas.CANCEL}]}
    return {"url": pas.EXT_CERTIFICATION, "valueCodeableConcept": concept}
