"""The composition root of the bots: settings -> connectors -> tools -> receiver."""

import gc
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from functools import partial

from apscheduler.schedulers.background import BackgroundScheduler
from flask import Flask

from bots import clock, clock_watch, digest, payer_notices, review_watch, sweep
from bots import settings as bots_settings
from bots.connectors import CLEARINGHOUSES, REVIEWS
from bots.connectors.access import Access
from bots.connectors.backend_services import BackendServices
from bots.connectors.cds_hooks import CdsHooks
from bots.connectors.pace import Pace
from bots.connectors.pas import PasRoute
from bots.connectors.route import Route
from bots.connectors.wire import Wire
from bots.deadline import Deadline
from bots.errors import RetryLater
from bots.fhir_client import Authorized, FhirClient
from bots.mailer import Mailer
from bots.ports import Clearinghouse, Failure, Tools
from bots.receiver import receiver
from bots.settings import RouteSetting, Settings
from bots.vault import Vault
from fhir_profiles import prior_auth_route

THREADS = 64  # deliveries that are answered at the same time
ORPHAN_CHECK_S = 0.5
TICK_EVERY_S = 60
TOKEN_S = 10.0  # until the FHIR server has given a token
GC_THRESHOLDS = (20_000, 10, 10)
RESERVE_S = 5  # of a delivery's time, to read before a question and to store after it
_log = logging.getLogger(__name__)
logging.getLogger("apscheduler").setLevel(logging.ERROR)  # it warns of each tick during a sweep


def routes(settings: Settings) -> list[Clearinghouse]:
    """Return the configured routes, in their order."""
    return [CLEARINGHOUSES[route.name](_access(route, settings)) for route in settings.routes]


def _access(route: RouteSetting, settings: Settings) -> Access:
    return Access(
        name=route.name,
        url=route.url,
        key=route.key,
        sender_id=settings.sender_id,
        now=clock.now,
        control=clock.control_number,
        shape=route.shape,
        client_id=route.client_id,
        receiver_id=route.receiver_id,
    )


def _authorized(settings: Settings) -> Authorized:
    """Return what lets us in at the FHIR server: SMART Backend Services, where we have a key.

    A token is asked for when it is first needed, and again shortly before it is over.
    """
    tokens = BackendServices(settings.fhir_client_id, settings.fhir_key, Wire())

    def headers(*, renew: bool) -> dict[str, str]:
        limit = time.monotonic() + TOKEN_S
        found = tokens.headers(settings.fhir_url, limit, renew=renew)
        if isinstance(found, Failure):
            raise RetryLater(f"FHIR server: no token ({found.code})")
        return dict(found)

    return headers


def tools(settings: Settings) -> Tools:
    """Return what bots work with, as the settings say."""
    by_name = {route.name: route for route in settings.routes}
    return Tools(
        fhir=FhirClient(settings.fhir_url, _authorized(settings)),
        clearinghouse=Route(
            routes(settings),
            pace=Pace(settings.rates, settings.in_flight, time.monotonic),
            longest_s=max(settings.timeout_s - RESERVE_S, RESERVE_S),
        ),
        prior_auth=PasRoute(settings.pas_client_id, settings.pas_key, settings.pas_hosts),
        orders=CdsHooks(settings.pas_client_id, settings.pas_key),
        mail=Mailer(settings.smtp, settings.mail_from),
        vault=Vault(settings.payload_keys),
        now=clock.now,
        zone=settings.zone,
        pages=settings.pages_url,
        alert_to=settings.alert_to,
        provider=settings.provider,
        site=f"{settings.sender_id}@{settings.fhir_url}",
        notices=lambda endpoint_id: (
            settings.public_url + payer_notices.PATH.replace("<endpoint_id>", endpoint_id),
            payer_notices.token(settings.hook_secret, endpoint_id),
        ),
        reviews={
            payload: REVIEWS[payload](_access(by_name[name], settings))
            for payload, name in prior_auth_route.REVIEWS.items()
            if name in by_name
        },
        digest=settings.digest_at,
        timeout_s=settings.timeout_s,
    )


def application() -> Flask:
    """Return the receiver for a server process that was given its settings by environment."""
    # Until it serves, whoever ends the program ends this process at once: it would not hear of it.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    settings = bots_settings.read(bots_settings.environment())
    used = tools(settings)
    scheduler = BackgroundScheduler(timezone="UTC")
    if settings.sweep_at is not None:
        _every_minute(scheduler, sweep.Clock(used, settings.sweep_at, _log.info).tick)
    _every_minute(scheduler, digest.Clock(used, _log.info).tick)
    _every_minute(scheduler, clock_watch.Clock(used, _log.info).tick)
    if prior_auth_route.SERVICE_REVIEWS in used.reviews:
        _every_minute(scheduler, partial(review_watch.look, used, _log.info))
    scheduler.start()
    app = receiver(used, settings.hook_secret, Deadline(settings.timeout_s, THREADS))
    # Measured: a tenth of a check's time. What was made so far stays, and runs leave few cycles.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    return app


def _every_minute(scheduler: BackgroundScheduler, tick: Callable[[], None]) -> None:
    """Look every minute whether something is due; what runs is not begun twice."""
    scheduler.add_job(
        tick, "interval", seconds=TICK_EVERY_S, coalesce=True, max_instances=1,
        misfire_grace_time=None, next_run_time=clock.now(),
    )  # fmt: skip


def _end_with(parent: int) -> None:
    """End this worker when the process that started it is gone, however it went."""
    while os.getppid() == parent:
        time.sleep(ORPHAN_CHECK_S)
    os._exit(1)
