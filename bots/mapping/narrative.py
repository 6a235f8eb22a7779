"""What a resource says in XHTML, so that a viewer that knows nothing but FHIR is enough.

Safe to show alone: the state with its day, the payer, and each benefit with its amounts as the
payer stated them. Source: FHIR R4 narrative.html.
"""

from collections.abc import Iterable, Iterator
from html import escape
from typing import Any

from fhir_profiles import elements, systems

Resource = dict[str, Any]
LINES_LIMIT = 40
_XHTML = "http://www.w3.org/1999/xhtml"


def of_response(state: str, response: Resource, items: Iterable[Resource]) -> Resource:
    """Return Narrative of a CoverageEligibilityResponse that has all its other elements."""
    payer = response["insurer"].get("display", "")
    trace = elements.identifier(response, systems.TRACE)
    lines = [
        f"{state} on {response['servicedDate']}: {response['disposition']}",
        f"Payer: {payer}" if payer else "",
        f"Trace {trace}",
    ]
    told = [line for item in items for line in _item(item)]
    more = len(told) - LINES_LIMIT
    listed = [*told[:LINES_LIMIT], *([f"and {more} more"] if more > 0 else [])]
    body = "".join(f"<p>{_text(line)}</p>" for line in lines if line)
    if listed:
        body += f"<ul>{''.join(f'<li>{_text(line)}</li>' for line in listed)}</ul>"
    return {"status": "generated", "div": f'<div xmlns="{_XHTML}">{body}</div>'}


def _item(item: Resource) -> Iterator[str]:
    """Yield a line for what an item excludes, or for each amount that it has."""
    about = [_said(item.get(name)) for name in ("category", "productOrService")]
    service = next((text for text in about if text), "Service not stated")
    where = [_said(item.get(name)) for name in ("unit", "network", "term")]
    place = ", ".join([service, *(text for text in where if text)])
    if item.get("excluded"):
        yield f"{place}: not covered"
    for benefit in item.get("benefit", []):
        amounts = ", ".join(_amounts(item, benefit)) or "amount not stated"
        yield f"{place}: {_said(benefit['type'])} {amounts}"


def _amounts(item: Resource, benefit: Resource) -> Iterator[str]:
    """Yield the amounts of a benefit, each with its unit, and which of them we calculated."""
    derived = elements.extension_value(item, systems.EXT_DERIVED) or ""
    left = elements.extension_value(item, systems.EXT_REMAINING)
    given = {name: _value(benefit, name) for name in ("allowed", "used")}
    for name, value, words in (
        ("allowed", given["allowed"], "{}"),
        ("used", given["used"], "{} used"),
        ("remaining", left, "{} left"),
    ):
        if value is not None:
            mark = " (calculated)" if derived.startswith(name) else ""
            yield words.format(_number(value, _unit(item, benefit))) + mark


def _value(benefit: Resource, name: str) -> Any:
    kinds = (f"{name}{kind}" for kind in ("Money", "UnsignedInt", "String"))
    return next((benefit[kind] for kind in kinds if kind in benefit), None)


def _unit(item: Resource, benefit: Resource) -> str:
    if elements.extension_value(item, systems.EXT_PERCENT) is not None:
        return "%"
    return " visits" if elements.code(benefit["type"], systems.HL7_BENEFIT_TYPE) == "visit" else ""


def _number(value: Any, unit: str) -> str:
    if isinstance(value, dict):
        return f"{value['value']} {value['currency']}"
    return str(value) if isinstance(value, str) else f"{value}{unit}"


def _said(concept: Any) -> str:
    return str((concept or {}).get("text", ""))


def _text(line: str) -> str:
    if not line.isprintable():
        line = "".join(char for char in line if char.isprintable())
    return escape(line)
