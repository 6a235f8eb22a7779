"""inforce: serve, demo, migrate, doctor."""

import argparse
import secrets
import sys
from collections.abc import Sequence
from importlib import metadata

from granian import Granian
from granian.constants import Interfaces
from granian.log import LogLevels

from server import demo
from server import settings as server_settings
from server.settings import SettingRefused
from server.store.database import Database, DatabaseRefused

THREADS, PORT_LIMIT = 16, 65535
DONE, FAILED, WRONG_USE = 0, 1, 2
SECRETS = ("INFORCE_BOTS_HOOK_SECRET", "INFORCE_SECRET_KEY", "INFORCE_PAYLOAD_KEY")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 failed, 2 wrong use."""
    chosen = _parser().parse_args(arguments)
    try:
        code: int = chosen.run(chosen)
    except (SettingRefused, DatabaseRefused) as error:
        print(f"inforce: {error}", file=sys.stderr)
        return WRONG_USE
    except demo.DemoFailed as error:
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
    migrate = commands.add_parser(
        "migrate", help="bring the database schema up to date", epilog="example: inforce migrate"
    )
    migrate.set_defaults(run=_migrate)
    doctor = commands.add_parser(
        "doctor",
        help="check the settings, or print new secrets",
        epilog="example: inforce doctor --generate",
    )
    doctor.add_argument("--generate", action="store_true", help="print new random secrets")
    doctor.set_defaults(run=_doctor)
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= PORT_LIMIT:
        raise argparse.ArgumentTypeError(f"expected a port from 1 to {PORT_LIMIT}")
    return int(text)


def _serve(chosen: argparse.Namespace) -> int:
    overrides = {"INFORCE_DATABASE": chosen.database} if chosen.database else {}
    settings = server_settings.read(server_settings.environment() | overrides)
    server_settings.check_exposure(settings, chosen.host)
    demo.check_free(chosen.host, chosen.port)
    Database(settings.database).close()  # migrate once, before any worker starts
    server_settings.hand_down(overrides)
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
    ).serve()
    return DONE


def _migrate(_chosen: argparse.Namespace) -> int:
    settings = server_settings.read(server_settings.environment())
    Database(settings.database).close()
    print("the database schema is up to date")
    return DONE


def _doctor(chosen: argparse.Namespace) -> int:
    if chosen.generate:
        for name in SECRETS:
            print(f"{name}={secrets.token_urlsafe(32)}")
        return DONE
    settings = server_settings.read(server_settings.environment())
    server_settings.check_exposure(settings, server_settings.LOOPBACK[0])
    Database(settings.database).close()
    print("settings: ok\ndatabase: ok")
    return DONE


if __name__ == "__main__":
    sys.exit(main())
