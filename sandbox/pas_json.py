"""What the payer reads in FHIR JSON, and the names of Da Vinci PAS that it uses."""

from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]
GUIDE = "http://hl7.org/fhir/us/davinci-pas"
PROFILES = f"{GUIDE}/StructureDefinition"
TOPIC = f"{GUIDE}/SubscriptionTopic/PASSubscriptionTopic"
X12 = "https://codesystem.x12.org/005010"
REVIEW_ACTION, REJECT, FOLLOW_UP = f"{X12}/306", f"{X12}/901", f"{X12}/889"
REASON = "https://codesystem.x12.org/external/886"
CERTIFICATION = f"{X12}/1322"
MEMBER_TYPE = "http://terminology.hl7.org/CodeSystem/v2-0203"
NPI = "http://hl7.org/fhir/sid/us-npi"
CANCEL = "3"


def url(name: str) -> str:
    """Return the canonical URL of one of the guide's extensions."""
    return f"{PROFILES}/extension-{name}"


def value(node: Json, name: str) -> Any:
    """Return the value[x] of one of the guide's extensions, None where it is not there."""
    wanted = name if "/" in name else url(name)
    for extension in node.get("extension", []):
        if extension.get("url") == wanted:
            return next((v for k, v in extension.items() if k.startswith("value")), None)
    return None


def parts(node: Json, name: str) -> dict[str, Any]:
    """Return url -> value[x] inside one of the guide's extensions."""
    for extension in node.get("extension", []):
        if extension.get("url") == url(name):
            return {
                part["url"]: next((v for k, v in part.items() if k.startswith("value")), None)
                for part in extension.get("extension", [])
            }
    return {}


def code(concept: Any, system: str = "") -> str:
    """Return the first code of a concept, of that system if one is given; "" if none."""
    codings = concept.get("coding", []) if isinstance(concept, dict) else []
    found = (c.get("code", "") for c in codings if not system or c.get("system") == system)
    return str(next(found, ""))


def concept(system: str, code: str, **more: Any) -> Json:
    """Return a CodeableConcept of one coding."""
    return {"coding": [{"system": system, "code": code, **more}]}


def reference(node: Any) -> str:
    """Return the text of a Reference, "" where there is none."""
    return str(node.get("reference", "")) if isinstance(node, dict) else ""


def references(node: Any) -> Iterator[str]:
    """Yield each literal reference in a resource but those to contained ones."""
    if isinstance(node, list):
        for one in node:
            yield from references(one)
    elif isinstance(node, dict):
        address = node.get("reference")
        if isinstance(address, str) and not address.startswith("#"):
            yield address
        for name, below in node.items():
            if name != "contained":
                yield from references(below)


def identifiers(node: Json, system: str) -> set[str]:
    """Return the values under an identifier system."""
    return {i["value"] for i in node.get("identifier", []) if i.get("system") == system}


def member_ids(resource: Json) -> set[str]:
    """Return the member ids of a Patient or Coverage: identifiers of type MB with a value."""
    return {
        str(i["value"]) for i in resource.get("identifier", [])
        if code(i.get("type"), MEMBER_TYPE) == "MB" and i.get("value")
    }  # fmt: skip


def by_url(bundle: Json) -> dict[str, Json]:
    """Return fullUrl -> resource of a Bundle."""
    return {e["fullUrl"]: e["resource"] for e in bundle.get("entry", [])}


def is_cancelled(node: Json) -> bool:
    """Tell whether an entry carries the flag that it is cancelled."""
    flag = f"{PROFILES}/modifierextension-infoCancelled"
    flags = node.get("modifierExtension", [])
    return any(f.get("url") == flag and f.get("valueBoolean") for f in flags)


def outcome(
    text: str, expression: str = "", kind: str = "invalid", severity: str = "error"
) -> Json:
    """Return an OperationOutcome of one issue."""
    issue: Json = {"severity": severity, "code": kind, "diagnostics": text}
    if expression:
        issue["expression"] = [expression]
    return {"resourceType": "OperationOutcome", "issue": [issue]}
