"""The engine for PostgreSQL: Procrastinate's jobs, deferred in the transaction of the event.

A job says "the next delivery of this lane"; the event log says which that is and when it is due.
So a job that is run twice, or without need, sends nothing more than it should, and real-time events
overtake batch ones only across lanes. Jobs hold row numbers, no patient data. Any number of
processes run them: the server itself, or `inforce worker` on as many machines as wanted.

Measured, and answered here: a job behind a lock is found by polling only, so that is short; the
jobs of a killed worker stay `doing` until somebody sweeps; finished jobs slow down the start, so
they are deleted; what a worker says of its jobs need not survive a crash, so it commits without
waiting for the disk; and to take the next job must not cost more the more wait, so there is an
index of their locks, and PostgreSQL is told to walk indexes only.
"""

import asyncio
import logging
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta

import procrastinate
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Job

from server.errors import log_fault
from server.search.values import micros, moment
from server.store import deliveries
from server.store.connection import Connection
from server.store.deliveries import Due, Lane
from server.subscriptions import dispatch
from server.subscriptions.breaker import Breaker
from server.subscriptions.dispatch import Post, Record
from server.subscriptions.hook import Hook

CONCURRENCY = 32
POLL_S = 0.2
HEARTBEAT_S, STALLED_S, SWEEP_S = 1.0, 5.0, 1.0
SHARE_WAIT_S = 0.5
AT_ONCE = 1000  # jobs in one statement
RESTART_S, FIRST_STEPS_S = 1.0, 0.2
TASK, BEHIND = "deliver", -10
OFF = ("synchronous_commit", "enable_hashjoin", "enable_mergejoin", "enable_seqscan", "enable_sort")
_INDEX = "inforce_jobs_lock"
_BY_LOCK = f"CREATE INDEX {_INDEX} ON procrastinate_jobs (lock) WHERE status IN ('todo', 'doing')"
_log = logging.getLogger(__name__)
# It logs each job at INFO, several lines for each; what it warns of is heard.
logging.getLogger("procrastinate").setLevel(logging.WARNING)


class _Later(Exception):
    """The lane's next delivery goes at a later moment (microseconds since 1970).

    Where its endpoint makes it wait, it goes `behind` the others then: by their numbers alone, the
    jobs of an endpoint that hangs would be taken first again and again.
    """

    def __init__(self, at: int, *, behind: bool = False) -> None:
        super().__init__()
        self.at, self.behind = at, behind


class _Again(procrastinate.BaseRetryStrategy):
    """Every job is tried again: at the moment it names, or in a second where it failed."""

    def get_retry_decision(
        self, *, exception: BaseException, job: Job
    ) -> procrastinate.RetryDecision:
        if isinstance(exception, _Later):
            own = job.task_kwargs.get("priority")
            priority = BEHIND if exception.behind else own if isinstance(own, int) else None
            return procrastinate.RetryDecision(retry_at=moment(exception.at), priority=priority)
        log_fault(_log, "delivery job failed", exception)
        return procrastinate.RetryDecision(retry_in={"seconds": 1})


class Procrastinate:
    """Defers jobs, and runs them unless other processes are to."""

    def __init__(self, post: Post, *, is_worker: bool) -> None:
        """Work on the PostgreSQL database of `post`; bring Procrastinate's own tables up."""
        self._post = post
        self._is_worker = is_worker
        self._breaker = Breaker()
        self._flying: Counter[str] = Counter()
        self._worker: int | None = None
        self._running: set[int | None] = set()  # jobs that are done here, now
        self._lock = threading.Lock()
        self._record: Record = lambda _ended: None
        self._stop = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._main: asyncio.Task[None] | None = None
        self._began: float | None = None  # when the worker began, by the clock of its loop
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)
        self._app = procrastinate.App(
            connector=procrastinate.SyncPsycopgConnector(
                conninfo=post.database.address, min_size=1, max_size=1
            )
        )
        self._task = self._app.task(name=TASK)(lambda **_lane: None)
        self._prepare()

    def _prepare(self) -> None:
        """Make Procrastinate's tables, in one process; jobs for older rows come with our index."""
        database = self._post.database
        with database.lead("procrastinate", self._stop.wait), self._app.open():
            if not self._app.check_connection():
                self._app.schema_manager.apply_schema()
            with database.write() as connection:
                if connection.execute(f"SELECT to_regclass('{_INDEX}')").fetchone()[0] is None:
                    connection.execute(_BY_LOCK)
                    self.added(connection, deliveries.lanes_due(connection))

    def start(self, record: Record) -> None:
        """Begin to run jobs, unless other processes are to."""
        self._record = record
        if self._is_worker:
            self._thread.start()

    def wake(self, _depth: int) -> None:
        """Do nothing: PostgreSQL itself tells the workers at the commit."""

    def stop(self) -> None:
        """Take no more jobs and wait for those under way."""
        self._stop.set()
        if not self._is_worker or not self._thread.is_alive():
            return
        loop = self._loop
        if loop is not None and not loop.is_closed():
            with suppress(RuntimeError):  # it has ended meanwhile
                loop.call_soon_threadsafe(self._end, loop)
        self._thread.join()

    def _end(self, loop: asyncio.AbstractEventLoop) -> None:
        """Cancel the work; a worker that is told so in its first steps would forget it.

        Work that has not begun looks by itself whether it is to.
        """
        if self._main is not None and self._began is not None:
            wait_s = max(0.0, self._began + FIRST_STEPS_S - loop.time())
            loop.call_later(wait_s, self._main.cancel)

    def added(self, connection: Connection, lanes: Sequence[Lane]) -> None:
        """Defer a job for each lane, on the connection of the caller's transaction."""
        jobs = [self._job(*lane) for lane in lanes]
        try:
            for start in range(0, len(jobs), AT_ONCE):
                self._app.job_manager.batch_defer_jobs(
                    jobs=jobs[start : start + AT_ONCE], connection=connection.raw
                )
        except ConnectorException as error:
            raise (error.__cause__ or error) from error  # so that contention is known as such

    def _job(self, subscription: int, rid: int, priority: int) -> Job:
        deferrer = self._task.configure(lock=f"{subscription}/{rid}", priority=-priority)
        return deferrer.make_new_job(subscription=subscription, rid=rid, priority=-priority)

    def _run(self) -> None:
        """Work until stopped; begin anew where the database was away."""
        while not self._stop.is_set():
            try:
                asyncio.run(self._work())
            except asyncio.CancelledError:
                return
            except Exception as error:  # noqa: BLE001 the worker outlives a database that is away
                log_fault(_log, "worker failed", error)
            self._stop.wait(RESTART_S)

    async def _work(self) -> None:
        self._loop, self._main, self._began = (
            asyncio.get_running_loop(), asyncio.current_task(), None,
        )  # fmt: skip
        connector = procrastinate.PsycopgConnector(
            conninfo=self._post.database.address,
            kwargs={"options": " ".join(f"-c {setting}=off" for setting in OFF)},
            min_size=2,
            max_size=8,
        )
        with ThreadPoolExecutor(CONCURRENCY, thread_name_prefix="delivery") as pool:
            app = procrastinate.App(connector=connector)

            async def deliver(
                context: procrastinate.JobContext, /, subscription: int, rid: int, **_priority: int
            ) -> None:
                job = context.job
                self._worker = job.worker_id
                self._running.add(job.id)
                try:
                    await asyncio.get_running_loop().run_in_executor(
                        pool, self._deliver, subscription, rid
                    )
                finally:
                    self._running.discard(job.id)

            app.task(name=TASK, retry=_Again(), pass_context=True)(deliver)
            async with app.open_async():
                if self._stop.is_set():
                    return
                sweeper = asyncio.create_task(self._sweep(app))
                self._began = asyncio.get_running_loop().time()
                try:
                    await app.run_worker_async(
                        concurrency=CONCURRENCY,
                        install_signal_handlers=False,
                        fetch_job_polling_interval=POLL_S,
                        delete_jobs="always",
                        update_heartbeat_interval=HEARTBEAT_S,
                        stalled_worker_timeout=STALLED_S,
                    )
                finally:
                    sweeper.cancel()

    async def _sweep(self, app: procrastinate.App) -> None:
        """Give on the jobs of workers that are gone, and those of ours whose end was not stored."""
        idle: dict[int, float] = {}
        while True:
            await asyncio.sleep(SWEEP_S)
            try:
                stalled = await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=STALLED_S)
                found = {job.id for job in stalled if job.id is not None}
                idle = await self._idle(app, idle)
                since = time.monotonic() - STALLED_S
                found |= {job for job, first in idle.items() if first < since}
                for job in found:
                    await app.job_manager.retry_job_by_id_async(job, retry_at=self._post.now())
            except ConnectorException as error:
                log_fault(_log, "sweep failed", error)

    async def _idle(self, app: procrastinate.App, known: dict[int, float]) -> dict[int, float]:
        """Return our jobs that are `doing` but not under way, with when that was first seen."""
        if self._worker is None:
            return {}
        listed = await app.job_manager.list_jobs_async(status="doing", worker_id=self._worker)
        ids = {job.id for job in listed if job.id is not None} - self._running
        return {job: known.get(job, time.monotonic()) for job in ids}

    def _deliver(self, subscription: int, rid: int) -> None:
        """Send what goes next in a lane. Raises _Later where that is not due yet."""
        now = self._post.now()
        with self._post.database.read() as connection:
            hook = self._post.hooks.by_row(connection).get(subscription)
            dues = self._next(connection, hook, rid, micros(now)) if hook is not None else ()
        if hook is None or not dues or not hook.is_live(now):
            return  # sent by another job, or held: then it is deferred again when it is let go
        self._take(hook)
        try:
            ended = dispatch.attempt(self._post, hook, dues)
        except Exception as error:  # noqa: BLE001 an attempt that cannot be made is recorded as one
            log_fault(_log, f"delivery attempt failed, row {dues[0].did}", error)
            ended = dispatch.failed(self._post, hook, dues)
        finally:
            with self._lock:
                self._flying[hook.endpoint] -= 1
        self._breaker.heard(hook.endpoint, time.monotonic(), answered=ended.is_answered)
        self._record([ended])
        if ended.attempt.state == "due":
            raise _Later(ended.outcomes[0].due_at)

    def _next(self, connection: Connection, hook: Hook, rid: int, now: int) -> Sequence[Due]:
        if hook.topic is None:
            first = deliveries.first_of_lane(connection, hook.rid, rid)
        else:
            first = deliveries.first_of(connection, hook.rid)
        if first is None:
            return ()
        if first.due_at > now:
            raise _Later(first.due_at)
        if hook.topic is None:
            return (first,)
        return deliveries.batch(connection, first, hook.max_count)

    def _take(self, hook: Hook) -> None:
        """Take a place for an endpoint, or raise _Later where it is silent or has its share."""
        now = time.monotonic()
        with self._lock:
            share = dispatch.share(
                self._flying, hook.endpoint, CONCURRENCY, self._breaker.is_proven
            )
            if self._flying[hook.endpoint] >= share:
                raise self._later(SHARE_WAIT_S)
            wait_s = self._breaker.wait_s(hook.endpoint, now)
            if wait_s:
                raise self._later(wait_s)
            self._flying[hook.endpoint] += 1

    def _later(self, wait_s: float) -> _Later:
        return _Later(micros(self._post.now() + timedelta(seconds=wait_s)), behind=True)
