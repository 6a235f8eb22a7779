"""Code lists: those of X12 005010X279A1 with our own short names, and the states we write.

A code that is missing here is kept raw on inbound data and flagged, never an error.
"""

import csv
import pkgutil
from enum import StrEnum
from functools import cache


@cache
def rows(name: str) -> tuple[dict[str, str], ...]:
    """Return the lines of one file of facts, each by its column names."""
    # Measured: importlib.resources is a fifth of the time in which the X12 codec is imported.
    text = (pkgutil.get_data("fhir_profiles", f"x12/{name}.csv") or b"").decode()
    return tuple(csv.DictReader(text.splitlines()))


@cache
def names(list_name: str) -> dict[str, str]:
    """Return code -> name of one list, such as `eb01_benefit_information`."""
    return {row["code"]: row["name"] for row in rows(list_name)}


@cache
def policy(list_name: str) -> dict[str, dict[str, str]]:
    """Return code -> our rule for it, from `aaa03_policy` or `aaa04_policy`."""
    return {row["code"]: row for row in rows(list_name)}


class State(StrEnum):
    """The eight states of an eligibility answer, as meta.tag of the response and on the pages."""

    ACTIVE = "active"
    ACTIVE_REVIEW = "active-review"
    INACTIVE = "inactive"
    NOT_FOUND = "not-found"
    COULD_NOT_CHECK = "could-not-check"
    NOT_SUPPORTED = "not-supported"
    CHECKING = "checking"
    STALE = "stale"


# The states in which the payer has said whether the plan is in force.
DEFINITE = frozenset({State.ACTIVE.value, State.ACTIVE_REVIEW.value, State.INACTIVE.value})


class Reason(StrEnum):
    """Why a check ran, as meta.tag of the request."""

    COVERAGE_CHANGE = "coverage-change"
    BOOKING = "booking"
    T_24H = "t-24h"
    CHECK_IN = "check-in"
    MANUAL = "manual"
