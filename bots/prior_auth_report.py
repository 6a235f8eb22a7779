"""The decisions of payers in a period, summed up in a MeasureReport from the record of each."""

from datetime import date, datetime, time, timedelta

from bots.mapping import pas_metric
from bots.ports import Resource, Tools
from fhir_profiles import prior_auth

PAGE = "1000"  # matches of one search's page
BEFORE = timedelta(days=366)  # looked at, too: an item counts when it was decided first


def run(tools: Tools, start: date, end: date) -> Resource:
    """Store and return the report on the days from `start` to `end`, of the clinic, both included.

    Made again it replaces itself. Raises RetryLater, NeverRetry.
    """
    first, after = (
        datetime.combine(day, time(), tools.zone) for day in (start, end + timedelta(days=1))
    )
    wanted = [
        ("measure", prior_auth.EXCHANGE), ("date", f"ge{(first - BEFORE).isoformat()}"),
        ("date", f"lt{after.isoformat()}"), ("_count", PAGE),
    ]  # fmt: skip
    records = tools.fhir.search("MeasureReport", wanted)
    items = pas_metric.decided(records, since=first)
    return tools.fhir.put(pas_metric.summary(items, start, end, tools.now()))
