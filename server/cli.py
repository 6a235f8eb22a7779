"""inforce: serve, worker, demo, migrate, reindex, load, client, token, doctor."""

import argparse
import dataclasses
import json
import logging
import os
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import TypeAlias

from granian import Granian
from granian.constants import Interfaces
from granian.log import LogLevels
from tqdm import tqdm

from server import app, cli_clients, demo
from server import settings as server_settings
from server.access import people
from server.access.people import Provider
from server.app import engine_alone
from server.cli_clients import ClientRefused
from server.interactions import load as loading
from server.interactions import reindex as reindexing
from server.interactions.engine import Engine
from server.settings import SettingRefused, Settings
from server.store import clients
from server.store.database import Database, DatabaseRefused

THREADS, PORT_LIMIT, NICE, STOP_LIMIT_S = 8, 65535, 5, 30
DONE, FAILED, WRONG_USE = 0, 1, 2
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001
SECRETS = ("INFORCE_BOTS_HOOK_SECRET", "INFORCE_SECRET_KEY", "INFORCE_PAYLOAD_KEY")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 failed, 2 wrong use."""
    chosen = _parser().parse_args(arguments)
    try:
        code: int = chosen.run(chosen)
    except (SettingRefused, DatabaseRefused) as error:
        print(f"inforce: {error}", file=sys.stderr)
        return WRONG_USE
    except (demo.DemoFailed, loading.NotLoadable, ClientRefused) as error:
        print(f"inforce: {error}", file=sys.stderr)
        return FAILED
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="inforce",
        description="A FHIR R4 server that knows whether insurance is in force.",
        epilog="example: inforce demo",
    )
    version = f"inforce {metadata.version('inforce')}"
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_serve(commands)
    _add_demo(commands)
    _add_database(commands)
    cli_clients.add(commands)
    doctor = commands.add_parser(
        "doctor",
        help="check the settings, or print new secrets",
        epilog="example: inforce doctor --generate",
    )
    doctor.add_argument("--generate", action="store_true", help="print new random secrets")
    doctor.set_defaults(run=_doctor)
    return parser


def _add_serve(commands: Commands) -> None:
    serve = commands.add_parser(
        "serve",
        help="serve FHIR under /fhir and the pages under /",
        epilog="example: INFORCE_AUTH=open inforce serve --port 8080",
    )
    serve.add_argument("--host", default="127.0.0.1", help="address to bind (127.0.0.1)")
    serve.add_argument("--port", type=_port, default=8080, help="port to bind (8080)")
    serve.add_argument("--database", help="database URL (INFORCE_DATABASE)")
    serve.add_argument("--workers", type=int, default=1, help="server processes (1)")
    serve.set_defaults(run=_serve)
    worker = commands.add_parser(
        "worker",
        help="deliver the events of a database; on PostgreSQL as many processes as wanted",
        epilog="example: INFORCE_DATABASE=postgresql://… INFORCE_AUTH=open inforce worker",
    )
    worker.add_argument("--database", help="database URL (INFORCE_DATABASE)")
    worker.add_argument("--beside", type=int, default=0, help=argparse.SUPPRESS)
    worker.set_defaults(run=_worker)


def _add_demo(commands: Commands) -> None:
    show = commands.add_parser(
        "demo",
        help="run everything on this machine with synthetic patients",
        epilog="example: inforce demo --once",
    )
    show.add_argument("--port", type=_port, default=8080, help="port of the server (8080)")
    show.add_argument("--once", action="store_true", help="end when one check is stored")
    show.add_argument(
        "--empty",
        action="store_true",
        help="no synthetic patients, and keep the data in INFORCE_DATABASE",
    )
    show.set_defaults(
        run=lambda chosen: demo.run(port=chosen.port, once=chosen.once, empty=chosen.empty)
    )


def _add_database(commands: Commands) -> None:
    migrate = commands.add_parser(
        "migrate", help="bring the database schema up to date", epilog="example: inforce migrate"
    )
    migrate.set_defaults(run=_migrate)
    reindex = commands.add_parser(
        "reindex",
        help="index every resource anew, while a server may be running",
        epilog="example: inforce reindex",
    )
    reindex.set_defaults(run=_reindex)
    load = commands.add_parser(
        "load",
        help="store the resources of files: Bundles and NDJSON, also gzipped",
        epilog="example: inforce load patients.ndjson.gz coverages.json",
    )
    load.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a .json or .ndjson file")
    load.add_argument("--json", action="store_true", help="print the result as JSON")
    load.set_defaults(run=_load)


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= PORT_LIMIT:
        raise argparse.ArgumentTypeError(f"expected a port from 1 to {PORT_LIMIT}")
    return int(text)


def _serve(chosen: argparse.Namespace) -> int:
    overrides = {"INFORCE_DATABASE": chosen.database} if chosen.database else {}
    settings = server_settings.read(server_settings.environment() | overrides)
    server_settings.check_exposure(settings, chosen.host)
    demo.check_free(chosen.host, chosen.port)
    _prepare(settings)
    beside = chosen.workers > 1 and _delivers_apart(settings)
    if beside:
        # Measured: deliveries in one of several server processes halve what it can take in.
        overrides["INFORCE_DELIVERY"] = "workers"
        threading.Thread(target=_keep_worker, args=(overrides,), daemon=True).start()
    server_settings.hand_down(overrides)
    _tell_access(settings)
    print(f"inforce: serving on http://{chosen.host}:{chosen.port}", file=sys.stderr)
    Granian(
        "server.app:application",
        factory=True,
        address=chosen.host,
        port=chosen.port,
        interface=Interfaces.WSGI,
        workers=chosen.workers,
        blocking_threads=THREADS,
        log_level=LogLevels.error,
        websockets=False,
        workers_kill_timeout=STOP_LIMIT_S,
    ).serve()
    return DONE


def _delivers_apart(settings: Settings) -> bool:
    return settings.delivery == "server" and not settings.database.startswith("postgres")


def _keep_worker(overrides: dict[str, str]) -> None:
    """Run a worker beside the server processes, and another whenever it ends."""
    command = [sys.executable, "-m", "server", "worker", "--beside", str(os.getpid())]
    while True:
        subprocess.run(command, check=False, env=server_settings.environment() | overrides)  # noqa: S603 ourselves
        threading.Event().wait(1.0)


def _worker(chosen: argparse.Namespace) -> int:
    overrides = {"INFORCE_DATABASE": chosen.database} if chosen.database else {}
    settings = server_settings.read(server_settings.environment() | overrides)
    logging.basicConfig(level=logging.INFO, format=app.LOG_FORMAT)
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    if chosen.beside:
        os.nice(NICE)  # who writes goes first; what is delivered waits in the log meanwhile
    with app.worker(settings):
        if not chosen.beside:
            print("inforce: delivering", file=sys.stderr)
        while not over.wait(1.0):
            if chosen.beside and os.getppid() != chosen.beside:
                break
    return DONE


def _tell_access(settings: Settings) -> None:
    """Say what to do where nobody can come in yet."""
    database = Database(settings.database)
    with database.read() as connection:
        is_shut = not settings.is_open and not clients.listed(connection)
    database.close()
    if is_shut:
        text = "no program may call yet: inforce client add --help, or INFORCE_AUTH=open to try"
        print(f"inforce: {text}", file=sys.stderr)


def _prepare(settings: Settings) -> None:
    """Bring schema and index up to date once, before any worker starts."""
    with engine_alone(settings) as engine:
        if reindexing.is_due(engine):
            _run_reindex(engine)


def _run_reindex(engine: Engine) -> reindexing.Reindexed:
    with tqdm(desc="indexing", unit=" resources", disable=None) as bar:

        def show(done: int, whole: int) -> None:
            bar.total = whole
            bar.update(done - bar.n)

        return reindexing.reindex(engine, show)


def _migrate(_chosen: argparse.Namespace) -> int:
    _prepare(server_settings.read(server_settings.environment()))
    print("the database schema is up to date")
    return DONE


def _reindex(_chosen: argparse.Namespace) -> int:
    with engine_alone(server_settings.read(server_settings.environment())) as engine:
        done = _run_reindex(engine)
    print(f"{done.looked_at} resources indexed, {done.changed} of them anew")
    return DONE


def _load(chosen: argparse.Namespace) -> int:
    for path in chosen.files:
        if not path.is_file():
            raise loading.NotLoadable(f"{path}: no such file")
    whole = sum(path.stat().st_size for path in chosen.files)
    total = loading.Loaded()
    with (
        engine_alone(server_settings.read(server_settings.environment())) as engine,
        tqdm(total=whole, desc="loading", unit="B", unit_scale=True, disable=None) as bar,
    ):
        for path in chosen.files:
            found = loading.load(engine, path, heard=bar.update, refused=_tell_refused)
            total.stored += found.stored
            total.skipped += found.skipped
            total.refused += found.refused
    if chosen.json:
        print(json.dumps(dataclasses.asdict(total)))
    else:
        print(f"{total.stored} stored, {total.refused} refused, {total.skipped} loaded before")
    return FAILED if total.refused else DONE


def _tell_refused(one: loading.Refused) -> None:
    tqdm.write(f"refused {one.place}: {'; '.join(one.reasons)}", file=sys.stderr)


def _doctor(chosen: argparse.Namespace) -> int:
    if chosen.generate:
        for name in SECRETS:
            print(f"{name}={secrets.token_urlsafe(32)}")
        return DONE
    settings = server_settings.read(server_settings.environment())
    server_settings.check_exposure(settings, people.LOOPBACK[0])
    _tell_access(settings)
    print("settings: ok\ndatabase: ok")
    return DONE if settings.provider is None else _ask_provider(settings.provider)


def _ask_provider(provider: Provider) -> int:
    """Say whether people can be sent to the OpenID provider."""
    from server.web.provider import OpenId, ProviderUnusable  # noqa: PLC0415 60 ms and more

    try:
        OpenId(provider, "").begin(anew=False)
    except ProviderUnusable as error:
        print(f"inforce: INFORCE_SIGN_IN_ISSUER: {provider.issuer}: {error}", file=sys.stderr)
        return FAILED
    print("sign-in: ok")
    return DONE


if __name__ == "__main__":
    sys.exit(main())
