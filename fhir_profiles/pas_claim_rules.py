"""What the Claim of a PAS request must be beyond its profile: the guide's narrative, as rules.

Source: Da Vinci PAS 2.2.1, specification.html and the notes of its Claim profiles.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fhir_profiles import elements, pas

Resource = dict[str, Any]
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
DIAGNOSES, TEAM, ITEM_TEAM = 12, 14, 10  # that a 278 carries
_CATEGORIES = frozenset(
    {"patientEvent", "admissionDates", "dischargeDates", "additionalInformation",
     "freeFormMessage"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Breach:
    """One rule that a Bundle breaks: where, in words, and whether that stops it."""

    path: str
    text: str
    is_error: bool = True


def claim_rules(claim: Resource, path: str) -> Iterator[Breach]:
    """Yield what is wrong with a Claim at a path of the Bundle."""
    if not [i for i in claim.get("identifier", []) if i.get("system") and i.get("value")]:
        yield Breach(f"{path}.identifier", "Expected the trace number, with its system.")
    for name, value in (("status", "active"), ("use", "preauthorization")):
        if claim.get(name) != value:
            yield Breach(f"{path}.{name}", f"Expected {value}.")
    for name in ("patient", "insurer", "provider"):
        if not elements.reference(claim.get(name)):
            yield Breach(f"{path}.{name}", "Expected a reference.")
    if not [one for one in claim.get("insurance", []) if one.get("focal") is True]:
        yield Breach(f"{path}.insurance", "Expected the focal coverage.")
    yield from _items(claim, path)
    yield from _numbered(claim, path)
    yield from _urgent(claim, path)
    yield from _team(claim, path)
    yield from _info(claim, path)
    yield from _diagnoses(claim, path)
    yield from days(claim.get("accident", {}), f"{path}.accident", ("date",))


def _items(claim: Resource, path: str) -> Iterator[Breach]:
    if not claim.get("item"):
        yield Breach(f"{path}.item", "Expected at least one item: every service is one.")
    for place, one in enumerate(claim.get("item", [])):
        yield from _item(one, f"{path}.item[{place}]")


_OF_ITEM = {
    "sequence": "Expected a number of its own.",
    "category": "Expected the service type, a code of X12 1365.",
    "productOrService": "Expected what is asked for, as a code of CPT, HCPCS or NDC.",
    "locationCodeableConcept": "Expected the place of service, a code of CMS.",
}


def _item(item: Resource, path: str) -> Iterator[Breach]:
    for url, name in (
        (pas.EXT_REQUEST_TYPE, "request type"),
        (pas.EXT_CERTIFICATION, "certification type"),
    ):
        if elements.extension_value(item, url) is None:
            yield Breach(f"{path}.extension", f"Expected the {name}, as the extension {url}.")
    for name, text in _OF_ITEM.items():
        if not item.get(name):
            yield Breach(f"{path}.{name}", text)
    codings = item.get("productOrService", {}).get("coding", [])
    if not any(one.get("code") for one in codings):
        yield Breach(f"{path}.productOrService", _OF_ITEM["productOrService"])
    yield from days(item, path, ("servicedDate", "servicedPeriod"))


_NUMBERED = {
    "diagnosisSequence": "diagnosis", "careTeamSequence": "careTeam",
    "informationSequence": "supportingInfo",
}  # fmt: skip


def _numbered(claim: Resource, path: str) -> Iterator[Breach]:
    """Yield each number in an item that is of nothing in the Claim."""
    for place, item in enumerate(claim.get("item", [])):
        for name, of in _NUMBERED.items():
            there = {one.get("sequence") for one in claim.get(of, [])}
            for number in item.get(name, []):
                if number not in there:
                    text = f"There is no {of} of the sequence {number}."
                    yield Breach(f"{path}.item[{place}].{name}", text)


def _urgent(claim: Resource, path: str) -> Iterator[Breach]:
    """An immediate appeal needs a level of service; the guide's own invariant never fires."""
    if elements.extension_value(claim, pas.EXT_LEVEL_OF_SERVICE) is not None:
        return
    for place, item in enumerate(claim.get("item", [])):
        concept = elements.extension_value(item, pas.EXT_CERTIFICATION)
        if elements.code(concept, pas.CERTIFICATION_TYPE) == pas.IMMEDIATE_APPEAL:
            text = "An immediate appeal needs the level of service of the Claim."
            yield Breach(f"{path}.item[{place}].extension", text)


def _team(claim: Resource, path: str) -> Iterator[Breach]:
    team = claim.get("careTeam", [])
    for place, one in enumerate(team):
        where = f"{path}.careTeam[{place}]"
        if not isinstance(elements.extension_value(one, pas.EXT_SCOPE), bool):
            text = f"Expected whether it is of the whole claim, as the extension {pas.EXT_SCOPE}."
            yield Breach(f"{where}.extension", text)
    overall = {one.get("sequence") for one in team if elements.extension_value(one, pas.EXT_SCOPE)}
    if len(overall) > TEAM:
        text = f"{len(overall)} members of the whole claim; X12 carries the first {TEAM}."
        yield Breach(f"{path}.careTeam", text, is_error=False)
    for place, item in enumerate(claim.get("item", [])):
        if len(item.get("careTeamSequence", [])) > ITEM_TEAM:
            text = f"X12 carries the first {ITEM_TEAM} members of an item."
            yield Breach(f"{path}.item[{place}].careTeamSequence", text, is_error=False)


def _info(claim: Resource, path: str) -> Iterator[Breach]:
    infos = claim.get("supportingInfo", [])
    numbers = Counter(one.get("sequence") for one in infos)
    for place, one in enumerate(infos):
        where, category = (
            f"{path}.supportingInfo[{place}]",
            elements.code(one.get("category"), pas.TEMP_CODES),
        )
        if numbers[one.get("sequence")] > 1:
            yield Breach(f"{where}.sequence", "Expected a number of its own.")
        if category not in _CATEGORIES:
            yield Breach(f"{where}.category", "Expected one of the guide's five categories.")
        if category == "freeFormMessage" and not one.get("valueString"):
            yield Breach(f"{where}.value", "A message is a string.")
        if category == "additionalInformation":
            if not elements.has_extension(one, pas.EXT_DOCUMENT):
                yield Breach(f"{where}.extension", "Expected what kind of document it is.")
            if not elements.reference(one.get("valueReference")):
                yield Breach(f"{where}.value", "Expected a reference.")
        yield from days(one, where, ("timingDate", "timingPeriod"))


def _diagnoses(claim: Resource, path: str) -> Iterator[Breach]:
    listed = claim.get("diagnosis", [])
    if len(listed) > DIAGNOSES:
        text = f"{len(listed)} diagnoses; X12 carries the first {DIAGNOSES}."
        yield Breach(f"{path}.diagnosis", text, is_error=False)
    for place, one in enumerate(listed):
        recorded = elements.extension_value(one, pas.EXT_RECORDED)
        if recorded is not None and not _DAY.fullmatch(str(recorded)):
            yield Breach(f"{path}.diagnosis[{place}].extension", _FULL_DATE)


_FULL_DATE = "Expected a full date, YYYY-MM-DD."


def days(node: Resource, path: str, names: tuple[str, ...]) -> Iterator[Breach]:
    """Yield each of these elements, a date or a Period, that is no full date."""
    for name in names:
        value = node.get(name)
        ends = (
            [(f".{end}", value[end]) for end in ("start", "end") if end in value]
            if isinstance(value, dict)
            else [("", value)]
        )
        for suffix, text in ends:
            if text is not None and not _DAY.fullmatch(str(text)):
                yield Breach(f"{path}.{name}{suffix}", _FULL_DATE)
