"""The composition root of the server: settings -> store -> dispatcher -> doors."""

import gc
import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from server import clock
from server import settings as server_settings
from server.access.people import EVERYBODY
from server.errors import FhirError
from server.interactions import attempts, retention, topic_resources
from server.interactions.cursor import Seal
from server.interactions.engine import Engine
from server.interactions.jobs import Worker
from server.interactions.prepared import Prepared
from server.interactions.signals import Signals
from server.operations import JOBS
from server.registry import Registry
from server.rest import blueprint, direct, door
from server.schedule import Schedule, Tick
from server.search.values import instant, micros
from server.settings import Settings
from server.smart import authorization
from server.store import deliveries
from server.store.database import Database
from server.subscriptions.dispatch import Dispatch, Post
from server.subscriptions.events import Hooks
from server.subscriptions.sender import Sender
from server.subscriptions.threads import Threads
from server.web import pages, site

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"
ORPHAN_CHECK_S = 0.5
CONNECTIONS = 64  # kept open per host that is delivered to
RETENTION_EVERY_S = 3600
GC_THRESHOLDS = (20_000, 10, 10)
_CLOSERS = "inforce.closers"


def create_app(settings: Settings) -> Flask:
    """Return the WSGI application, its dispatcher running."""
    engine, deliver, sender = _parts(settings, is_worker=settings.delivery == "server")
    database = engine.database
    topic_resources.install(engine)
    app = Flask("server", static_folder=None, template_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.body_limit_bytes
    app.extensions[blueprint.ENGINE] = engine
    started = instant(micros(clock.now()))
    token_url = "" if settings.is_open else settings.public_url + authorization.TOKEN
    app.extensions[blueprint.STATEMENT] = blueprint.statement(engine.base, started, token_url)
    background = Worker(engine, JOBS)
    signals = Signals(engine, sender, is_open=settings.is_open)
    schedule = Schedule(engine, _ticks(settings))
    app.extensions[_CLOSERS] = (
        schedule.stop, background.stop, signals.stop, deliver.stop, sender.close, database.close,
    )  # fmt: skip
    app.register_blueprint(blueprint.fhir_api(settings.cors_origins))
    who = _who(app, engine, settings)
    shown = pages.pages(
        engine, settings.zone, who, settings.public_url, skip_review=settings.skip_review
    )
    app.add_url_rule("/healthz", "healthz", lambda: Response("ok\n", content_type="text/plain"))
    app.add_url_rule("/readyz", "readyz", lambda: _ready(database))
    limit = settings.body_limit_bytes
    answering = direct.answer_first(engine, app.wsgi_app, limit)
    if not settings.is_open:
        answering = door.guard(engine, answering, limit)
        app.register_blueprint(authorization.server(engine, settings.public_url))
    app.wsgi_app = answering  # type: ignore[assignment, method-assign]
    app.register_blueprint(shown)
    app.register_error_handler(FhirError, _refuse)
    app.register_error_handler(HTTPException, _refuse_http)
    app.register_error_handler(Exception, _refuse_surprise)
    app.register_error_handler(RecursionError, blueprint.refuse_depth)
    deliver.start(partial(attempts.record, engine))
    background.start()
    signals.start()
    schedule.start()
    return app


@contextmanager
def engine_alone(settings: Settings) -> Iterator[Engine]:
    """Give an engine without the programs around it: a running server delivers its events."""
    engine, _, sender = _parts(settings, is_worker=False)
    try:
        yield engine
    finally:
        sender.close()
        engine.database.close()


@contextmanager
def worker(settings: Settings) -> Iterator[None]:
    """Deliver the events of a database, beside a server or in its place."""
    engine, deliver, sender = _parts(settings, is_worker=True)
    deliver.start(partial(attempts.record, engine))
    try:
        yield
    finally:
        deliver.stop()
        sender.close()
        engine.database.close()


def _parts(settings: Settings, *, is_worker: bool) -> tuple[Engine, Dispatch, Sender]:
    """Return an engine with what delivers its events, put together and not started."""
    database, registry = Database(settings.database), Registry()
    hooks = Hooks(settings.fhir_base, registry)
    sender = Sender(connections=CONNECTIONS, policy=settings.policy)
    post = Post(database, hooks, sender, settings.fhir_base, clock.now, settings.is_open)
    deliver = dispatcher(post, is_worker=is_worker)
    engine = Engine(
        database=database,
        hooks=hooks,
        registry=registry,
        seal=Seal(database),
        prepared=Prepared(),
        base=settings.fhir_base,
        policy=settings.policy,
        dispatch=deliver,
        chain_limit=settings.chain_limit,
        now=clock.now,
        new_id=clock.new_id,
    )
    return engine, deliver, sender


def dispatcher(post: Post, *, is_worker: bool) -> Dispatch:
    """Return the engine of deliveries for a database; `is_worker` tells whether it delivers."""
    if not post.database.address:
        return Threads(post, is_worker=is_worker)
    from server.subscriptions.procrastinate import Procrastinate  # noqa: PLC0415 200 ms

    return Procrastinate(post, is_worker=is_worker)


def _ticks(settings: Settings) -> tuple[Tick, ...]:
    return (Tick(retention.KIND, RETENTION_EVERY_S, {"audit_days": settings.audit_days}),)


def close(app: Flask) -> None:
    """End what create_app started: the dispatcher first, then the connections."""
    for closer in app.extensions[_CLOSERS]:
        closer()


def application() -> Flask:
    """Return the application for a server process that was given its settings by environment."""
    # Until it serves, whoever ends the program ends this process at once: it would not hear of it.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    app = create_app(server_settings.read(server_settings.environment()))
    # Measured: 8 % of a write's time. What was made so far stays, and requests leave few cycles.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    return app


def _who(app: Flask, engine: Engine, settings: Settings) -> site.Who:
    """Return what tells who looks at our pages."""
    if settings.is_open:
        return lambda: EVERYBODY
    if settings.provider is None:
        return lambda: None
    from server.web import sign_in  # noqa: PLC0415 60 ms and more

    given = settings.provider, settings.public_url, settings.session_keys
    return sign_in.install(app, engine, *given)


def _is_page() -> bool:
    """Tell whether a person asks: everything that is not FHIR is a page."""
    return not request.path.startswith("/fhir")


def _refuse(error: FhirError) -> Response:
    return site.refuse(error.status) if _is_page() else blueprint.refuse(error)


def _refuse_http(error: HTTPException) -> Response:
    return site.refuse(error.code or 500) if _is_page() else blueprint.refuse_http(error)


def _refuse_surprise(error: Exception) -> Response:
    answer = blueprint.refuse_surprise(error)
    return site.refuse(answer.status_code) if _is_page() else answer


def _end_with(parent: int) -> None:
    """End this worker when the process that started it is gone, however it went."""
    while os.getppid() == parent:
        time.sleep(ORPHAN_CHECK_S)
    os._exit(1)


def _ready(database: Database) -> Response:
    with database.read() as connection:
        waiting, dead, held = deliveries.counts(connection)
    text = (
        f"database ok\ndeliveries waiting: {waiting}\ndeliveries given up: {dead}\n"
        f"deliveries held: {held}\n"
    )
    return Response(text, content_type="text/plain")
