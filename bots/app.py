"""The composition root of the bots: settings -> connectors -> tools -> receiver."""

import logging
import os
import threading
import time

from apscheduler.schedulers.background import BackgroundScheduler
from flask import Flask

from bots import clock
from bots import settings as bots_settings
from bots.connectors import CLEARINGHOUSES
from bots.connectors.access import Access
from bots.connectors.route import Route
from bots.deadline import Deadline
from bots.fhir_client import FhirClient
from bots.mailer import Mailer
from bots.ports import Clearinghouse, Tools
from bots.receiver import receiver
from bots.settings import Settings
from bots.sweep import Clock
from bots.vault import Vault

THREADS = 32  # deliveries that are answered at the same time
ORPHAN_CHECK_S = 0.5
SWEEP_EVERY_S = 60
_log = logging.getLogger(__name__)
logging.getLogger("apscheduler").setLevel(logging.ERROR)  # it warns of each tick during a sweep


def routes(settings: Settings) -> list[Clearinghouse]:
    """Return the configured routes, in their order."""
    return [
        CLEARINGHOUSES[route.name](
            Access(
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
        )
        for route in settings.routes
    ]


def tools(settings: Settings) -> Tools:
    """Return what bots work with, as the settings say."""
    return Tools(
        fhir=FhirClient(settings.fhir_url),
        clearinghouse=Route(routes(settings)),
        mail=Mailer(settings.smtp, settings.mail_from),
        vault=Vault(settings.payload_keys),
        now=clock.now,
        zone=settings.zone,
        pages=settings.pages_url,
        alert_to=settings.alert_to,
        provider=settings.provider,
    )


def application() -> Flask:
    """Return the receiver for a server process that was given its settings by environment."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    settings = bots_settings.read(bots_settings.environment())
    used = tools(settings)
    if settings.sweep_at is not None:
        _schedule(Clock(used, settings.sweep_at, _log.info))
    return receiver(used, settings.hook_secret, Deadline(settings.timeout_s, THREADS))


def _schedule(clock_of_sweeps: Clock) -> None:
    """Look every minute whether the day's sweep is due; one that runs is not begun twice."""
    scheduler = BackgroundScheduler(timezone="UTC")
    scheduler.add_job(
        clock_of_sweeps.tick, "interval", seconds=SWEEP_EVERY_S, coalesce=True, max_instances=1,
        misfire_grace_time=None, next_run_time=clock.now(),
    )  # fmt: skip
    scheduler.start()


def _end_with(parent: int) -> None:
    """End this worker when the process that started it is gone, however it went."""
    while os.getppid() == parent:
        time.sleep(ORPHAN_CHECK_S)
    os._exit(1)
