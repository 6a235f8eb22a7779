"""How payers decide, as the numbers that CMS-0057-F has them publish, of the decisions that we saw.

Pure. Counted are items on which a payer decided; what was cancelled, or needs no authorization, is
in no numerator and no denominator. A share of nothing, and a time without a start, is unknown.
Source: CMS-0057-F (89 FR 8758); 42 CFR 422.122(c), 438.210(f), 440.230(e)(3), 457.732(c).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from statistics import fmean, median

from fhir_profiles.decision_clock import Urgency


@dataclass(frozen=True, slots=True)
class Decided:
    """One item on which a payer decided; `took` is from submission to decision, None if unknown.

    `appealed` says that it was decided on an appeal, `extended` that the payer took more time.
    """

    urgency: Urgency
    is_approved: bool
    took: timedelta | None
    extended: bool = False
    appealed: bool = False


@dataclass(frozen=True, slots=True)
class Share:
    """How many of how many."""

    count: int
    of: int


@dataclass(frozen=True, slots=True)
class Times:
    """Average and median time from submission to decision of `count` items."""

    count: int
    average: timedelta | None
    middle: timedelta | None


@dataclass(frozen=True, slots=True)
class Figures:
    """The numbers of some items."""

    standard_approved: Share
    standard_denied: Share
    standard_approved_on_appeal: Share
    extended_approved: Share
    expedited_approved: Share
    expedited_denied: Share
    standard_times: Times
    expedited_times: Times


def figures(items: Sequence[Decided]) -> Figures:
    """Return the numbers of these items."""
    standard = [one for one in items if one.urgency is Urgency.STANDARD]
    expedited = [one for one in items if one.urgency is Urgency.EXPEDITED]
    return Figures(
        standard_approved=_approved(standard),
        standard_denied=_share(standard, [one for one in standard if not one.is_approved]),
        standard_approved_on_appeal=_approved([one for one in standard if one.appealed]),
        extended_approved=_share(items, [one for one in items if one.extended and one.is_approved]),
        expedited_approved=_approved(expedited),
        expedited_denied=_share(expedited, [one for one in expedited if not one.is_approved]),
        standard_times=_times(standard),
        expedited_times=_times(expedited),
    )


def _approved(items: Sequence[Decided]) -> Share:
    return _share(items, [one for one in items if one.is_approved])


def _share(items: Sequence[Decided], counted: Sequence[Decided]) -> Share:
    return Share(len(counted), len(items))


def _times(items: Sequence[Decided]) -> Times:
    seconds = [one.took.total_seconds() for one in items if one.took is not None]
    if not seconds:
        return Times(0, None, None)
    average, middle = (timedelta(seconds=one) for one in (fmean(seconds), median(seconds)))
    return Times(len(seconds), average, middle)
