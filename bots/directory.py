"""Which payer of the directory is meant, where a coverage names one by words or by a bare id.

Only one whole name, alias or id that a single payer has is taken; a person settles the rest
(R002-15).
"""

import re
from datetime import date

from bots.mapping.inquiry import Problem
from bots.ports import Fhir, Resource
from fhir_profiles import elements, payers

_WORD = re.compile(r"\w+")
_PLACE = "CoverageEligibilityRequest.insurer"


def find(insurer: Resource, payer: Resource | None, on: date, fhir: Fhir) -> Resource | None:
    """Return the payer that an `insurer` Reference means, None where the directory has none.

    `payer` is the Organization it refers to, if there is one: without any id of a route, its name
    is looked up. Raises Ambiguous where several payers fit.
    """
    given = insurer.get("identifier", {})
    if payer is None and given.get("value"):
        value = elements.escaped(str(given["value"]))
        token = f"{given['system']}|{value}" if given.get("system") else value
        found = [o for o in fhir.search("Organization", [("identifier", token)]) if _is_open(o)]
        return _only(found)
    text = str((payer or {}).get("name") or insurer.get("display", ""))
    first = _WORD.search(text)
    if first is None or (payer is None and elements.reference(insurer)):
        return payer
    wanted = [("type", ",".join(payers.PAYER_TYPES)), ("name", first.group())]
    reachable = [one for one in fhir.search("Organization", wanted) if payers.ids(one, on)]
    exact = [one.payer for one in payers.rank(text, reachable, on) if one.score >= payers.EXACT]
    return _only(exact) or payer


class Ambiguous(Exception):
    """Several payers have the name or the id; `problem` says it for the response."""

    def __init__(self, count: int) -> None:
        """Count them."""
        text = f"The directory has {count} payers like that; the coverage must refer to one."
        super().__init__(text)
        self.problem = Problem("ambiguous-payer", text, _PLACE)


def _is_open(organization: Resource) -> bool:
    return bool(organization.get("active", True))


def _only(found: list[Resource]) -> Resource | None:
    if len(found) > 1:
        raise Ambiguous(len(found))
    return found[0] if found else None
