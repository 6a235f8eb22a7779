"""The figures of CMS-0057-F over decided items."""

from datetime import timedelta

import pytest

from bots.domain.decision_figures import Decided, Share, figures
from fhir_profiles.decision_clock import Urgency

HOUR = timedelta(hours=1)


def item(urgency: Urgency, *, approved: bool, hours: int | None = 1, **more: bool) -> Decided:
    """Return an item that was decided after so many hours."""
    return Decided(urgency, approved, None if hours is None else hours * HOUR, **more)


@pytest.mark.req("R71")
def test_each_urgency_has_its_shares_and_times() -> None:
    """Average and median differ; what took an unknown time counts for no time."""
    standard, expedited = Urgency.STANDARD, Urgency.EXPEDITED
    found = figures([
        item(standard, approved=True, hours=1), item(standard, approved=True, hours=2),
        item(standard, approved=False, hours=12),
        item(standard, approved=True, hours=None, appealed=True),
        item(expedited, approved=False, hours=3, extended=True),
        item(expedited, approved=True, hours=5, extended=True),
    ])  # fmt: skip

    assert (Share(3, 4), Share(1, 4)) == (found.standard_approved, found.standard_denied)
    assert Share(1, 1) == found.standard_approved_on_appeal
    assert Share(1, 6) == found.extended_approved
    assert (Share(1, 2), Share(1, 2)) == (found.expedited_approved, found.expedited_denied)
    assert (3, 5 * HOUR, 2 * HOUR) == (
        found.standard_times.count, found.standard_times.average, found.standard_times.middle,
    )  # fmt: skip
    assert (2, 4 * HOUR, 4 * HOUR) == (
        found.expedited_times.count, found.expedited_times.average, found.expedited_times.middle,
    )  # fmt: skip


def test_of_nothing_nothing_is_known() -> None:
    """No share is zero of zero, and no time is zero."""
    found = figures([])

    assert Share(0, 0) == found.expedited_approved
    assert (0, None, None) == (
        found.standard_times.count, found.standard_times.average, found.standard_times.middle,
    )  # fmt: skip
