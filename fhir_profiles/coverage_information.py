"""What a payer says about an order before it is carried out: the CRD coverage-information.

Source: Da Vinci CRD 2.2.1, ext-coverage-information and its invariants.
"""

from collections.abc import Iterator
from typing import Any

from fhir_profiles import elements

Resource = dict[str, Any]
CRD = "http://hl7.org/fhir/us/davinci-crd"
EXT = f"{CRD}/StructureDefinition/ext-coverage-information"
COVERED = ("covered", "not-covered", "conditional", "indeterminate")
NEEDED = ("no-auth", "auth-needed", "satisfied", "performpa", "conditional", "indeterminate")
DOCUMENTS = ("clinical", "admin", "patient", "conditional", "indeterminate")
_ONCE = ("coverage", "covered", "date", "coverage-assertion-id")
_CODES = {"covered": COVERED, "pa-needed": NEEDED, "doc-needed": DOCUMENTS}


def of(order: Resource) -> list[Resource]:
    """Return what payers said about an order."""
    return list(elements.extensions(order, EXT))


def values(said: Resource, name: str) -> list[Any]:
    """Return the values of one part."""
    found = (one for one in said.get("extension", []) if one.get("url") == name)
    return [next((v for k, v in one.items() if k.startswith("value")), None) for one in found]


def breaches(said: Resource) -> list[str]:
    """Return what is wrong with it, [] where it is sound."""
    return [*_missing(said), *_contradictions(said)]


def _missing(said: Resource) -> Iterator[str]:
    for name in _ONCE:
        if len(values(said, name)) != 1:
            yield f"expected {name} once"
    for name, known in _CODES.items():
        for value in values(said, name):
            if value not in known:
                yield f"expected {name}, one of {', '.join(known)}"


def _contradictions(said: Resource) -> Iterator[str]:
    there = {one.get("url") for one in said.get("extension", [])}
    covered, needed = values(said, "covered"), values(said, "pa-needed")
    told = [*covered, *needed, *values(said, "doc-needed")]
    if "questionnaire" in there and "doc-needed" not in there:
        yield "a questionnaire needs doc-needed"
    if "not-covered" in covered and needed:
        yield "what is not covered needs no authorization"
    if "conditional" in told and "info-needed" not in there:
        yield "conditional needs info-needed"
    if {"no-auth", "satisfied"} & {*needed} and "withpa" in values(said, "doc-purpose"):
        yield "no documents go with an authorization that is not needed"
    if ("satisfied" in needed) is not ("satisfied-pa-id" in there):
        yield "satisfied has a satisfied-pa-id, and nothing else has"
    if "indeterminate" in told and "reason" not in there:
        yield "indeterminate needs a reason"
    if "OTH" in [*values(said, "doc-purpose"), *values(said, "info-needed")] and (
        "reason" not in there
    ):
        yield "OTH needs a reason"
