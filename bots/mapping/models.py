"""The JSON of the R4B models of fhir.resources, in which a CoverageEligibilityResponse is built.

The models check names, types, choices and required elements, but no invariants; R4 and R4B have
the same elements in all that is built here. Their own way to JSON takes fifty times as long as
this one.
"""

from datetime import date, datetime
from functools import lru_cache
from typing import Any

from fhir.resources.R4B import extension
from fhir.resources.R4B.period import Period
from fhir_core.fhirabstractmodel import FHIRAbstractModel
from pydantic import model_validator


class Extension(extension.Extension):
    """An Extension as we build it, in a third of the time.

    The library looks at each of the 50 types that its value might have; here only at what is given.
    """

    @model_validator(mode="before")
    @classmethod
    def reject_null_complex_elements(cls, data: Any) -> Any:
        """Take the elements as they are: we put no null into a list."""
        return data

    def _validate_one_of_many(self) -> None:
        values = [n for n in self.model_fields_set if n.startswith("value") and "__" not in n]
        if len(values) > 1:
            raise ValueError("an extension has one value")


def plain(value: Any) -> Any:
    """Return a model, and all that it holds, as JSON: what was given, in the order of FHIR.

    Decimals stay decimals; times are written with milliseconds. What stands in several places is
    one and the same in the JSON, too.
    """
    return _plain(value, {})


def _plain(value: Any, seen: dict[int, Any]) -> Any:
    if isinstance(value, FHIRAbstractModel):
        if id(value) not in seen:
            given = _given(type(value), frozenset(value.model_fields_set))
            found = {alias: _plain(getattr(value, name), seen) for name, alias in given}
            seen[id(value)] = {key: one for key, one in found.items() if one is not None}
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


@lru_cache(maxsize=1024)
def _given(kind: type[FHIRAbstractModel], names: frozenset[str]) -> list[tuple[str, str]]:
    """Return the elements of a model that were given, with their names in JSON, in its order.

    What extends a primitive, `_name`, stands behind `name`.
    """
    order = [*kind.elements_sequence(), "fhir_comments"]
    named = [(name, kind.model_fields[name].alias or name) for name in names]
    return sorted(named, key=lambda one: (order.index(one[1].removeprefix("_")), one[1] != one[0]))
