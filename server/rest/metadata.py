"""The CapabilityStatement, from the same tables that route and search.

Source: FHIR R4 capabilitystatement.html.
"""

from collections.abc import Iterable
from importlib import metadata
from typing import Any

from server import definitions
from server.operations.operation import Operation
from server.search import parameters

_SYSTEM = frozenset({"transaction", "batch", "search-system", "history-system"})


def capability_statement(
    codes: Iterable[str], operations: Iterable[Operation], base: str, date: str
) -> dict[str, Any]:
    """Return the statement; `codes` are the interactions that have a route, `date` an instant."""
    served = list(dict.fromkeys(codes))
    listed = [{"name": o.name, "definition": o.definition} for o in operations]
    on_types = [{"code": code} for code in served if code not in _SYSTEM]
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": date,
        "kind": "instance",
        "software": {"name": "Inforce", "version": metadata.version("inforce")},
        "implementation": {"description": "Inforce FHIR server", "url": base},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "rest": [
            {
                "mode": "server",
                "resource": [
                    _resource(name, on_types, listed) for name in definitions.resource_types()
                ],
                "interaction": [{"code": code} for code in served if code in _SYSTEM],
            }
        ],
    }


def _resource(
    name: str, interactions: list[dict[str, str]], operations: list[dict[str, str]]
) -> dict[str, Any]:
    searchable = [
        {"name": p.code, "definition": p.url, "type": p.type}
        for p in parameters.of_type(name).values()
    ]
    return {
        "type": name,
        "profile": f"http://hl7.org/fhir/StructureDefinition/{name}",
        "interaction": interactions,
        "versioning": "versioned",
        "readHistory": True,
        "updateCreate": True,
        "conditionalCreate": True,
        "conditionalRead": "not-supported",
        "conditionalUpdate": False,
        "conditionalDelete": "not-supported",
        "searchParam": searchable,
        "operation": operations,
    }
