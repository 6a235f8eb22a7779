"""The JSON of the R4B models of fhir.resources, in which a CoverageEligibilityResponse is built.

The models check names, choices, types and what must be there; R4 and R4B have the same elements
in all that is built here. Their own way to JSON takes thirty times as long as this one.
"""

from datetime import date, datetime
from functools import cache
from typing import Any

from fhir.resources.R4B import extension
from fhir.resources.R4B.period import Period
from fhir_core.fhirabstractmodel import FHIRAbstractModel
from pydantic import model_validator


class Extension(extension.Extension):
    """An Extension as we build it, in half the time.

    Only its own list may be null here, so the library's look into each of the lists that 50 types
    of value might have is left out. What a value may be, and that there is one, is checked.
    """

    @model_validator(mode="before")
    @classmethod
    def reject_null_complex_elements(cls, data: Any) -> Any:
        """Take the elements as they are given."""
        return data


def plain(value: Any) -> Any:
    """Return a model, and all that it holds, as JSON: what was given, in the order of FHIR.

    Decimals stay decimals; times are written with milliseconds. What stands in several places is
    one and the same in the JSON, too.
    """
    return _plain(value, {})


def _plain(value: Any, seen: dict[int, Any]) -> Any:
    if isinstance(value, FHIRAbstractModel):
        if id(value) not in seen:
            names, held = _names(type(value)), value.__dict__
            given = [n for n in value.model_fields_set if held[n] is not None]
            given.sort(key=names.__getitem__)
            seen[id(value)] = {names[n][1]: _plain(held[n], seen) for n in given}
        return seen[id(value)]
    if isinstance(value, list):
        return [_plain(one, seen) for one in value]
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds")
    return value.isoformat() if isinstance(value, date) else value


def period(start: date | None, end: date | None) -> Period:
    """Return a Period of days, of which at least one is known."""
    days: dict[str, Any] = {"start": start, "end": end}
    return Period(**days)


@cache
def _names(kind: type[FHIRAbstractModel]) -> dict[str, tuple[int, str]]:
    """Return the place and the JSON name of each element of a model."""
    order = kind.elements_sequence()
    return {
        name: (order.index(name) if name in order else len(order), field.alias or name)
        for name, field in kind.model_fields.items()
    }
