"""Whom the payer covers, and HRex `$member-match`: at most one match, and few tries at guessing.

Source: Da Vinci HRex 1.2.0, OperationDefinition member-match. The match needs the member id, the
family name and the birth date; it never tells which of them was wrong.
"""

import json
import threading
from collections import Counter
from collections.abc import Container, Iterable
from typing import Any

from sandbox import fixtures
from sandbox import pas_json as fhir
from sandbox.pas_json import Json

TRIES = 5  # without a match, by the same demographics
HREX = "http://hl7.org/fhir/us/davinci-hrex"
Answer = tuple[Json, int]
_PARTS = frozenset({"MemberPatient", "CoverageToMatch", "CoverageToLink", "Consent"})


class Members:
    """The roster, and who guessed how often. Methods are safe to call from any thread."""

    def __init__(self) -> None:
        """Know the members of the fixtures."""
        self._lock = threading.Lock()
        self._missed: Counter[tuple[str, str]] = Counter()

    def clear(self) -> None:
        """Forget who guessed."""
        with self._lock:
            self._missed.clear()

    def match(self, parameters: Any) -> Answer:
        """Return the body and the status of the answer."""
        wrong = _problem(parameters)
        if wrong:
            return fhir.outcome(*wrong), 400
        told = {one["name"]: one["resource"] for one in parameters["parameter"]}
        patient, coverage = told["MemberPatient"], told["CoverageToMatch"]
        names = [str(name.get("family", "")) for name in patient.get("name", [])]
        birth = str(patient.get("birthDate", ""))
        key = (",".join(sorted(names)).casefold(), birth)
        members = fhir.member_ids(coverage) | {str(coverage.get("subscriberId", ""))}
        with self._lock:
            if self._missed[key] >= TRIES:
                return fhir.outcome("Too many tries about this person.", kind="throttled"), 429
            found = named(members, names, birth)
            if len(found) != 1:
                self._missed[key] += 1
                if found:
                    return fhir.outcome("Several members match.", kind="multiple-matches"), 422
                return fhir.outcome("No member matches.", kind="not-found"), 422
        if _is_refused(told.get("Consent")):
            return fhir.outcome("The consent cannot be honoured.", kind="business-rule"), 422
        kind = {"coding": [{"system": f"{HREX}/CodeSystem/hrex-temp", "code": "UMB"}]}
        identifier = {"type": kind, "system": "urn:payer:members", "value": found[0]["unique"]}
        listed = [{"name": "MemberIdentifier", "valueIdentifier": identifier}]
        return {"resourceType": "Parameters", "parameter": listed}, 200


def _problem(parameters: Any) -> tuple[str, str] | None:
    """Return what is wrong with a question and where, None if nothing is; the profile is closed."""
    if not isinstance(parameters, dict) or parameters.get("resourceType") != "Parameters":
        return "Parameters is expected as the body", "Parameters"
    told = [one.get("name") for one in parameters.get("parameter", [])]
    for name in ("MemberPatient", "CoverageToMatch"):
        if told.count(name) != 1:
            return f"expected {name} once", f"Parameters.parameter[{name}]"
    unknown = sorted({str(name) for name in told} - _PARTS)
    if unknown:
        return f"{unknown[0]} is not of this operation", "Parameters.parameter"
    coverage = next(one for one in parameters["parameter"] if one["name"] == "CoverageToMatch")
    about = fhir.reference(coverage["resource"].get("beneficiary"))
    patient = next(one for one in parameters["parameter"] if one["name"] == "MemberPatient")
    if about != f"Patient/{patient['resource'].get('id')}":
        return "beneficiary must be the MemberPatient", "CoverageToMatch.beneficiary"
    return None


def _is_refused(consent: Any) -> bool:
    return consent is not None and consent.get("status") != "active"


def named(members: Container[str], families: Iterable[str], birth: str) -> list[dict[str, str]]:
    """Return who is covered by one of these member ids, family names and this birth date."""
    folded = {family.casefold() for family in families}
    return [
        one for one in _roster()
        if one["member"] in members and one["birth"] == birth
        and one["family"].casefold() in folded
    ]  # fmt: skip


def _roster() -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(
        (fixtures.ROOT / "pas" / "members.json").read_text("utf-8")
    )
    return found
