"""The clock of the server: APScheduler's ticks, each taken by one process, each enqueueing a job.

The lease is a row per tick: whoever moves it to the tick's slot first has the tick, in the same
transaction as the job it stands for. The clock never does the work itself.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apscheduler.schedulers.background import BackgroundScheduler

from fhir_profiles import codec
from server.errors import log_fault
from server.interactions.engine import Engine
from server.search.values import micros
from server.store import jobs, ticks

_log = logging.getLogger(__name__)
logging.getLogger("apscheduler").setLevel(logging.WARNING)  # it tells of each tick otherwise


@dataclass(frozen=True, slots=True)
class Tick:
    """What comes back every `every_s` seconds: a job of `kind` with a wish."""

    kind: str
    every_s: int
    wish: Mapping[str, Any]


class Schedule:
    """Fires ticks until stopped; of several processes on one database one has each tick."""

    def __init__(self, engine: Engine, every: tuple[Tick, ...]) -> None:
        """Fire nothing before start()."""
        self._engine = engine
        self._scheduler = BackgroundScheduler(timezone="UTC")
        for tick in every:
            self._scheduler.add_job(
                self._fire, "interval", [tick], seconds=tick.every_s, coalesce=True,
                misfire_grace_time=None,  # however late the process starts, the tick is its own
                next_run_time=engine.now(),
            )  # fmt: skip

    def start(self) -> None:
        """Begin, each tick at once and then at its interval."""
        self._scheduler.start()

    def stop(self) -> None:
        """Fire no more."""
        self._scheduler.shutdown()

    def _fire(self, tick: Tick) -> None:
        now = micros(self._engine.now())
        slot = now // (tick.every_s * 1_000_000)
        try:
            with self._engine.database.write() as connection:
                if ticks.take(connection, tick.kind, slot):
                    wish = codec.encode(dict(tick.wish))
                    jobs.add(connection, self._engine.new_id(), tick.kind, now, wish)
        except Exception as error:  # noqa: BLE001 the clock outlives a database that is away
            log_fault(_log, f"tick {tick.kind} failed", error)
