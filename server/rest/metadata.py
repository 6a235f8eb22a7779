"""The CapabilityStatement, from the same tables that route and search.

Source: FHIR R4 capabilitystatement.html.
"""

from collections.abc import Iterable
from functools import cache
from importlib import metadata
from typing import Any

from fhir_profiles import systems
from server import definitions
from server.operations.operation import SYSTEM, Operation
from server.search import parameters
from server.subscriptions import topics
from server.validation import profiles

_CHANGES = frozenset({"update", "patch", "delete"})
_SYSTEM = frozenset({"transaction", "batch", "search-system", "history-system"})
_SECURITY_SERVICE = "http://terminology.hl7.org/CodeSystem/restful-security-service"
_OAUTH_URIS = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"
_PATCHES = ["application/json-patch+json", "application/merge-patch+json", "application/fhir+json"]


def capability_statement(
    codes: Iterable[str], operations: Iterable[Operation], base: str, date: str, token_url: str
) -> dict[str, Any]:
    """Return the statement; `codes` are the interactions that have a route, `date` an instant.

    `token_url` is where tokens are given, "" where nobody needs one.
    """
    served = list(dict.fromkeys(codes))
    listed = list(operations)
    on_types = [{"code": code} for code in served if code not in _SYSTEM]
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": date,
        "kind": "instance",
        "instantiates": [systems.BACKPORT_SERVER],
        "software": {"name": "Inforce", "version": metadata.version("inforce")},
        "implementation": {"description": "Inforce FHIR server", "url": base},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "patchFormat": _PATCHES,
        "rest": [
            {
                "mode": "server",
                **({"security": _security(token_url)} if token_url else {}),
                "resource": [
                    _resource(name, on_types, listed) for name in definitions.resource_types()
                ],
                "interaction": [{"code": code} for code in served if code in _SYSTEM],
                "operation": [_operation(o) for o in listed if SYSTEM in o.levels],
                "compartment": [
                    f"http://hl7.org/fhir/CompartmentDefinition/{name.lower()}"
                    for name in sorted(definitions.compartments())
                ],
            }
        ],
    }


def _security(token_url: str) -> dict[str, Any]:
    """Return how clients come in (SMART App Launch 2.2, conformance.html)."""
    text = "Programs by SMART Backend Services; what they may do, their scopes tell."
    coding = {"system": _SECURITY_SERVICE, "code": "SMART-on-FHIR"}
    return {
        "cors": True,
        "service": [{"coding": [coding]}],
        "description": text,
        "extension": [{"url": _OAUTH_URIS, "extension": [{"url": "token", "valueUri": token_url}]}],
    }


def _operation(operation: Operation) -> dict[str, str]:
    return {"name": operation.name, "definition": operation.definition}


def _resource(
    name: str, interactions: list[dict[str, str]], operations: list[Operation]
) -> dict[str, Any]:
    known = parameters.built_in(name)
    searchable = [
        {"name": p.code, "definition": p.url, "type": p.type} for _, p in sorted(known.items())
    ]
    references = sorted(p.code for p in known.values() if p.type == "reference")
    is_record = name in definitions.RECORDS
    found = {
        "type": name,
        "profile": f"http://hl7.org/fhir/StructureDefinition/{name}",
        "supportedProfile": profiles.supported(name),
        "interaction": [i for i in interactions if not is_record or i["code"] not in _CHANGES],
        "versioning": "versioned",
        "readHistory": True,
        "updateCreate": True,
        "conditionalCreate": True,
        "conditionalRead": "full-support",
        "conditionalUpdate": not is_record,
        "conditionalDelete": "not-supported" if is_record else "single",
        "referencePolicy": ["literal", "logical"],
        "searchInclude": ["*", *(f"{name}:{code}" for code in references)],
        "searchRevInclude": _referring().get(name, []),
        "searchParam": searchable,
        "operation": [_operation(o) for o in _of_type(name, operations)],
    }
    if name == "Subscription":
        found["extension"] = [
            {"url": systems.EXT_STATEMENT_TOPIC, "valueCanonical": url}
            for url in sorted(topics.all_topics())
        ]
    return {key: value for key, value in found.items() if value != []}


def _of_type(name: str, operations: list[Operation]) -> list[Operation]:
    """Return the operations of a type; one of its own stands for that of all types."""
    found = [o for o in operations if set(o.levels) - {SYSTEM} and (not o.types or name in o.types)]
    own = {o.name for o in found if o.types}
    return [o for o in found if o.types or o.name not in own]


@cache
def _referring() -> dict[str, list[str]]:
    """Return resource type -> the reference parameters, of any type, that may lead to it."""
    found: dict[str, list[str]] = {}
    for name in definitions.resource_types():
        for code, parameter in sorted(parameters.built_in(name).items()):
            if parameter.type == "reference":
                for target in parameter.targets:
                    found.setdefault(target, []).append(f"{name}:{code}")
    return found
