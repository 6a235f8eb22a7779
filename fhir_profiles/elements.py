"""Readers of FHIR JSON: the few questions that both programs ask of a resource."""

import re
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

Resource = dict[str, Any]
FULL_DATE = len("2026-11-26")


def identifier(resource: Resource, system: str) -> str:
    """Return the first identifier value under `system`, "" if there is none."""
    found = (
        i.get("value", "") for i in resource.get("identifier", []) if i.get("system") == system
    )
    return next(found, "")


def reference(node: Any) -> str:
    """Return the text of a Reference, "" where there is none."""
    return str(node.get("reference", "")) if isinstance(node, dict) else ""


def with_references(node: Any, change: Callable[[Resource], Resource]) -> Any:
    """Return a copy of some JSON in which each literal reference went through `change`."""
    if isinstance(node, list):
        return [with_references(one, change) for one in node]
    if not isinstance(node, dict):
        return node
    found = {name: with_references(value, change) for name, value in node.items()}
    return change(found) if isinstance(found.get("reference"), str) else found


def tag(resource: Resource, system: str) -> str:
    """Return the code of the first meta.tag under `system`, "" if there is none."""
    tags = resource.get("meta", {}).get("tag", [])
    return next((str(t.get("code", "")) for t in tags if t.get("system") == system), "")


def extensions(node: Resource, url: str) -> Iterator[Resource]:
    """Yield the extensions of an element that have this URL."""
    return (e for e in node.get("extension", []) if e.get("url") == url)


def has_extension(node: Resource, url: str) -> bool:
    """Tell whether an element has an extension with this URL."""
    return any(True for _ in extensions(node, url))


def parts(extension: Resource) -> dict[str, Any]:
    """Return url -> value[x] of the extensions inside one; None where one has no value."""
    return {
        part["url"]: next((v for k, v in part.items() if k.startswith("value")), None)
        for part in extension.get("extension", [])
    }


def is_marked(node: Resource, url: str) -> bool:
    """Tell whether an element has a modifier extension with this URL."""
    return any(one.get("url") == url for one in node.get("modifierExtension", []))


def extension_value(node: Resource, url: str) -> Any:
    """Return the value[x] of the first extension with this URL, None if there is none."""
    for found in extensions(node, url):
        return next((v for k, v in found.items() if k.startswith("value")), None)
    return None


def code(concept: Any, system: str) -> str:
    """Return the code that a CodeableConcept has under `system`, "" if none."""
    codings = concept.get("coding", []) if isinstance(concept, dict) else []
    return next((str(c.get("code", "")) for c in codings if c.get("system") == system), "")


def human_name(resource: Resource) -> Resource:
    """Return the name to use of a person: the official one, else the first that is not old."""
    names = [n for n in resource.get("name", []) if n.get("use") not in ("old", "maiden")]
    official = (n for n in names if n.get("use") == "official")
    return next(official, names[0] if names else {})


def texts(node: Resource, key: str) -> list[str]:
    """Return the strings of a repeating element, without the nulls that stand for extensions."""
    return [text for text in node.get(key, []) if text]


def contained(resource: Resource, address: str) -> Resource | None:
    """Return the contained resource that `#id` names inside `resource`, None if it is none."""
    if not address.startswith("#"):
        return None
    return next((c for c in resource.get("contained", []) if f"#{c.get('id')}" == address), None)


def full_date(text: Any) -> date | None:
    """Return the day of a full date or a time, None for what is less or none at all."""
    try:
        return date.fromisoformat(str(text)[:FULL_DATE]) if len(str(text)) >= FULL_DATE else None
    except ValueError:
        return None


def put_entry(resource: Resource) -> Resource:
    """Return the entry of a Bundle that stores a resource under its id."""
    url = f"{resource['resourceType']}/{resource['id']}"
    return {"resource": resource, "request": {"method": "PUT", "url": url}}


def escaped(text: str) -> str:
    """Return a text as one value of a search parameter (FHIR R4 search.html#escaping)."""
    return re.sub(r"([\\,|$])", r"\\\1", text)


def is_current(node: Resource, day: str) -> bool:
    """Tell whether an element with a period holds on `day` (YYYY-MM-DD)."""
    period = node.get("period", {})
    start, end = str(period.get("start", "")), str(period.get("end", ""))
    begun = not start or start[: len(day)] <= day[: len(start)]
    ended = bool(end) and end[: len(day)] < day[: len(end)]
    return begun and not ended
