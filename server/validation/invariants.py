"""Rules between the elements of one object, beyond shape: the invariants of FHIR R4 we enforce.

Each rule gets the object and returns the standard's key and a sentence where it is broken.
"""

from collections.abc import Callable
from typing import Any

Rule = Callable[[dict[str, Any]], str | None]


def _extension(node: dict[str, Any]) -> str | None:
    """Check ext-1: an extension has either extensions or a value (extensibility.html)."""
    values = sum(1 for key in node if key.startswith("value"))
    nested = bool(node.get("extension"))
    if values + nested == 1:
        return None
    return "ext-1: an extension must have exactly one of value[x] and nested extensions."


def _period(node: dict[str, Any]) -> str | None:
    """Check per-1: the start is not after the end, as far as both are precise."""
    start, end = node.get("start"), node.get("end")
    if not isinstance(start, str) or not isinstance(end, str):
        return None
    known = min(len(start), len(end), len("2026-11-24"))
    if start[:known] > end[:known]:
        return "per-1: start must not be after end."
    return None


def _bundle(node: dict[str, Any]) -> str | None:
    """Check bdl-3: entries of a batch or transaction say what to do with them."""
    entries = node.get("entry")
    if node.get("type") not in ("batch", "transaction") or not isinstance(entries, list):
        return None
    if all(isinstance(entry, dict) and "request" in entry for entry in entries):
        return None
    return "bdl-3: every entry of a batch or transaction needs request."


INVARIANTS: dict[str, Rule] = {"Bundle": _bundle, "Extension": _extension, "Period": _period}
