"""The composition root of the server: settings -> store -> dispatcher -> doors."""

import gc
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from server import clock
from server import settings as server_settings
from server.errors import FhirError
from server.interactions._write import instant
from server.interactions.cursor import Seal
from server.interactions.engine import Engine
from server.interactions.jobs import Worker
from server.interactions.prepared import Prepared
from server.operations import JOBS
from server.registry import Registry
from server.rest import blueprint, direct
from server.search.values import micros
from server.settings import Settings
from server.store import deliveries
from server.store.database import Database
from server.subscriptions.delivery import Sender
from server.subscriptions.events import Hooks
from server.subscriptions.threads import THREADS, Dispatcher
from server.web import pages

ORPHAN_CHECK_S = 0.5
GC_THRESHOLDS = (20_000, 10, 10)
_CLOSERS = "inforce.closers"


def create_app(settings: Settings) -> Flask:
    """Return the WSGI application, its dispatcher running."""
    database = Database(settings.database)
    registry = Registry()
    hooks = Hooks(settings.fhir_base, registry)
    sender = Sender(connections=THREADS, allow_private=settings.allow_private_hooks)
    dispatcher = Dispatcher(database, hooks, sender, clock.now)
    engine = make_engine(settings, database, hooks, registry, dispatcher.wake)
    app = Flask("server", static_folder=None, template_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.body_limit_bytes
    app.extensions[blueprint.ENGINE] = engine
    started = instant(micros(clock.now()))
    app.extensions[blueprint.STATEMENT] = blueprint.statement(engine.base, started)
    worker = Worker(engine, JOBS)
    app.extensions[_CLOSERS] = (worker.stop, dispatcher.stop, database.close)
    app.register_blueprint(blueprint.fhir_api(settings.cors_origins))
    app.register_blueprint(pages.pages(engine, settings.zone))
    app.add_url_rule("/healthz", "healthz", lambda: Response("ok\n", content_type="text/plain"))
    app.add_url_rule("/readyz", "readyz", lambda: _ready(database))
    app.wsgi_app = direct.answer_first(  # type: ignore[assignment, method-assign]
        engine, app.wsgi_app, settings.body_limit_bytes
    )
    app.register_error_handler(FhirError, _refuse)
    app.register_error_handler(HTTPException, _refuse_http)
    app.register_error_handler(Exception, _refuse_surprise)
    app.register_error_handler(RecursionError, blueprint.refuse_depth)
    dispatcher.start()
    worker.start()
    return app


def make_engine(
    settings: Settings,
    database: Database,
    hooks: Hooks,
    registry: Registry,
    wake: Callable[[], None],
) -> Engine:
    """Return the engine that interactions work with; `wake` hears of committed events."""
    return Engine(
        database=database,
        hooks=hooks,
        registry=registry,
        seal=Seal(database),
        prepared=Prepared(),
        base=settings.fhir_base,
        allow_private_hooks=settings.allow_private_hooks,
        now=clock.now,
        new_id=clock.new_id,
        wake=wake,
    )


@contextmanager
def engine_alone(settings: Settings) -> Iterator[Engine]:
    """Give an engine without the programs around it: a running server delivers its events."""
    database = Database(settings.database)
    registry = Registry()
    try:
        hooks = Hooks(settings.fhir_base, registry)
        yield make_engine(settings, database, hooks, registry, lambda: None)
    finally:
        database.close()


def close(app: Flask) -> None:
    """End what create_app started: the dispatcher first, then the connections."""
    for closer in app.extensions[_CLOSERS]:
        closer()


def application() -> Flask:
    """Return the application for a server process that was given its settings by environment."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    app = create_app(server_settings.read(server_settings.environment()))
    # Measured: 8 % of a write's time. What was made so far stays, and requests leave few cycles.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    return app


def _is_page() -> bool:
    """Tell whether a person asks: everything that is not FHIR is a page."""
    return not request.path.startswith("/fhir")


def _refuse(error: FhirError) -> Response:
    return pages.refuse(error.status) if _is_page() else blueprint.refuse(error)


def _refuse_http(error: HTTPException) -> Response:
    return pages.refuse(error.code or 500) if _is_page() else blueprint.refuse_http(error)


def _refuse_surprise(error: Exception) -> Response:
    answer = blueprint.refuse_surprise(error)
    return pages.refuse(answer.status_code) if _is_page() else answer


def _end_with(parent: int) -> None:
    """End this worker when the process that started it is gone, however it went."""
    while os.getppid() == parent:
        time.sleep(ORPHAN_CHECK_S)
    os._exit(1)


def _ready(database: Database) -> Response:
    with database.read() as connection:
        waiting, dead = deliveries.counts(connection)
    text = f"database ok\ndeliveries waiting: {waiting}\ndeliveries given up: {dead}\n"
    return Response(text, content_type="text/plain")
