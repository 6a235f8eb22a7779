"""A patient and a coverage -> the Parameters of HRex `$member-match`, and the identifier it gives.

Source: Da Vinci HRex 1.2.0, OperationDefinition member-match. Guides of 1.0.0 answer with a member
number (MB) in place of the payer's own id of the person (UMB).
"""

from typing import Any

from fhir_profiles import crosswalk, elements, pas, systems

Resource = dict[str, Any]
PROFILE = f"{pas.HREX}/StructureDefinition/hrex-parameters-member-match-in"
_MEMBER = "member"  # what the person is called in the question: not by our id
_ASKED = ("name", "gender", "birthDate")
_COVERED = ("status", "type", "subscriberId", "dependent", "relationship", "period", "class")


def parameters(patient: Resource, coverage: Resource, payer: Resource) -> Resource:
    """Return the question: who it is, and by which coverage the payer knows the person."""
    person = {name: patient[name] for name in _ASKED if name in patient}
    kept = {name: coverage[name] for name in _COVERED if name in coverage}
    known = next(iter(payer.get("identifier", [])), None)
    payor = {"identifier": known} if known else {"display": str(payer.get("name", "not stated"))}
    covered = {
        "resourceType": "Coverage", "id": "coverage", **kept,
        "identifier": crosswalk.member_numbers(coverage),
        "beneficiary": {"reference": f"Patient/{_MEMBER}"}, "payor": [payor],
    }  # fmt: skip
    member = {"resourceType": "Patient", "id": _MEMBER, **person}
    return {
        "resourceType": "Parameters",
        "meta": {"profile": [PROFILE]},
        "parameter": [
            {"name": "MemberPatient", "resource": member},
            {"name": "CoverageToMatch", "resource": covered},
        ],
    }


def identifier(answer: Resource | None, payor: Resource) -> Resource | None:
    """Return the identifier of an answer, None where it holds none that we can use.

    Its assigner is the payor as the Coverage names it: nobody else is told of it.
    """
    for one in (answer or {}).get("parameter", []):
        found = one.get("valueIdentifier")
        if one.get("name") == "MemberIdentifier" and isinstance(found, dict) and found.get("value"):
            kind = found.get("type")
            is_known = bool(
                elements.code(kind, pas.HREX_TEMP) == pas.UNIQUE_MEMBER
                or elements.code(kind, systems.V2_IDENTIFIER_TYPE) == "MB"
            )
            if is_known:
                address = elements.reference(payor)
                return {**found, "assigner": {"reference": address} if address else payor}
    return None


def with_identifier(patient: Resource, made: Resource) -> Resource:
    """Return the patient with that identifier, in place of an earlier one by the same payer."""
    kept = [
        one for one in patient.get("identifier", [])
        if not (one.get("assigner") == made["assigner"] and one.get("type") == made.get("type"))
    ]  # fmt: skip
    return {**patient, "identifier": [*kept, made]}
