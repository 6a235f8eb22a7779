"""What the shapes have in common: values out of JSON, and segments of the 271 they stand for.

A vendor's JSON is a 271 told otherwise. So a shape gives back the segments, and one reader makes
the answer of them, with the same rules and flags as for X12.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any

import jsonschema

from bots.domain.eligibility import Reject
from bots.x12 import elements
from bots.x12.syntax import Segment, Separators, Unreadable
from fhir_profiles import codec, codes

Json = dict[str, Any]
# JSON needs no terminators, and these two stand in no vendor's text.
MARKS = Separators(component="\x1f", repetition="\x1e", segment="")
LEVELS = {"payer": "20", "provider": "21", "subscriber": "22", "dependent": "23"}
_WORD = re.compile(r"[^A-Z0-9]+")
_EB_PLACES = ("kind", "level", "types", "insurance", "plan", "period", "amount", "percent", "unit",
              "quantity", "authorization", "network", "procedure")  # fmt: skip
_CCYYMMDD = 8
_WHOLE = 100
_FOLLOW_UP = {
    "PLEASE_CORRECT_AND_RESUBMIT": "C",
    "RESUBMISSION_NOT_ALLOWED": "N",
    "PLEASE_RESUBMIT_ORIGINAL_TRANSACTION": "P",
    "RESUBMISSION_ALLOWED": "R",
    "DO_NOT_RESUBMIT_INQUIRY_INITIATED": "S",
    "PLEASE_WAIT_30_DAYS": "W",
    "PLEASE_WAIT_10_DAYS": "X",
    "DO_NOT_RESUBMIT_WE_WILL_HOLD": "Y",
}


class Shapeless(Unreadable):
    """The JSON is none of this shape; the message says what was expected, without content."""


def text(entry: Mapping[str, Any], name: str) -> str:
    """Return a string or number of an entry as it is written, "" where it is absent."""
    found = entry.get(name)
    return "" if found is None or isinstance(found, (dict, list, bool)) else str(found).strip()


def valid(body: Json | None, schema: str) -> Json | None:
    """Return a body of the published shape `schema`, None where it is of none."""
    if body is None:
        return None
    told: Json = _without_nulls(body)
    return told if _validator(schema).is_valid(told) else None


@cache
def _validator(schema: str) -> jsonschema.Draft202012Validator:
    text = resources.files("bots.shapes").joinpath(f"schemas/{schema}.json").read_bytes()
    return jsonschema.Draft202012Validator(codec.decode(text))


def _without_nulls(value: Any) -> Any:
    """Return JSON without the members that are null: some vendors write what they do not know."""
    if isinstance(value, dict):
        return {k: _without_nulls(v) for k, v in value.items() if v is not None}
    return [_without_nulls(v) for v in value if v is not None] if isinstance(value, list) else value


def segment(name: str, *values: str) -> Segment:
    """Return one segment."""
    return Segment(name, (name, *values), "")


def benefit(entry: Json, **values: str) -> Segment:
    """Return the EB that an entry stands for; it leads back to the entry's JSON."""
    told = (values.get(place, "") for place in _EB_PLACES)
    return Segment("EB", ("EB", *told), codec.encode(entry).decode())


def joined(*parts: str) -> str:
    """Return the parts of a composite element, such as EB13."""
    return MARKS.component.join(parts) if any(parts) else ""


def repeated(values: list[Any]) -> str:
    """Return a repeated element, such as EB03."""
    return MARKS.repetition.join(str(value) for value in values)


def ccyymmdd(written: str) -> str:
    """Return the day of CCYYMMDD, of an ISO date, or of an ISO time, as CCYYMMDD."""
    return written[:10].replace("-", "") if "-" in written[:_CCYYMMDD] else written


def span(qualifier: str, first: str, last: str) -> Segment:
    """Return a DTP of one day, or of several."""
    if first and last:
        return segment("DTP", qualifier, "RD8", f"{ccyymmdd(first)}-{ccyymmdd(last)}")
    return segment("DTP", qualifier, "D8", ccyymmdd(first or last))


def references(entry: Mapping[str, Any], names: Mapping[str, tuple[str, str]]) -> Iterator[Segment]:
    """Yield the REFs of an entry; `names` are field -> (qualifier, field of its description)."""
    for name, (qualifier, description) in names.items():
        if text(entry, name):
            yield segment("REF", qualifier, text(entry, name), text(entry, description))


def word(name: str) -> str:
    """Return a name as vendors spell codes out: capitals, joined by underscores."""
    return _WORD.sub("_", name.upper()).strip("_")


@cache
def _code_of(list_name: str) -> dict[str, str]:
    return {word(name): code for code, name in codes.names(list_name).items()}


def coded(list_name: str, spelled: str) -> str:
    """Return the code of a spelled-out name, the name itself where our list has none."""
    return _code_of(list_name).get(word(spelled), spelled) if spelled else ""


def share(percent: str) -> str:
    """Return EB08 of a share that is told in percent: .2 and 20 are one in five.

    1 may be one in a hundred or all of it: it comes back as no number, and so is flagged.
    """
    value = elements.number(percent)
    if value is None or value == 1:
        return f"{percent} percent" if percent else ""
    return str(value / _WHOLE if value > 1 else value)


def reject(loop: str, code: str, follow_up: str) -> Reject:
    """Return an AAA that a vendor tells in words; AAA01 is not among them."""
    told = word(follow_up)
    code_04 = next((c for start, c in _FOLLOW_UP.items() if told.startswith(start)), "")
    return Reject(loop, "", code, code_04)
