"""What is kept for a time only: AuditEvents of deliveries, deliveries that were taken, old jobs."""

from collections.abc import Callable
from typing import Any

from fhir_profiles import systems
from server.interactions.engine import Engine
from server.search.values import micros
from server.store import deliveries, jobs, purge

KIND = "retention"
DAY_S = 24 * 3600
AT_ONCE = 500  # rows in one transaction, so that others can write between


def run(engine: Engine, wish: dict[str, Any], note: Callable[[str], None]) -> dict[str, Any]:
    """Forget what is older than `audit_days` days, and jobs that are older than one."""
    now = micros(engine.now())
    oldest = now - int(wish["audit_days"]) * DAY_S * 1_000_000
    audits = _all(engine, lambda connection: purge.audits(
        connection, engine.database.names, systems.AUDIT_SUBTYPE, oldest, AT_ONCE
    ))  # fmt: skip
    note(f"{audits} AuditEvents removed")
    taken = _all(engine, lambda connection: deliveries.remove_done(connection, oldest, AT_ONCE))
    with engine.database.write() as connection:
        jobs.remove_older(connection, now - DAY_S * 1_000_000)
    return {"audits": audits, "deliveries": taken}


def _all(engine: Engine, remove: Callable[[Any], int]) -> int:
    whole = 0
    while True:
        with engine.database.write() as connection:
            done = remove(connection)
        whole += done
        if done < AT_ONCE:
            return whole
