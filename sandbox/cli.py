"""inforce-sandbox: serve, seed."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import requests
from flask import Flask, Response
from werkzeug.serving import WSGIRequestHandler, make_server

from sandbox import crd, fixtures
from sandbox.clearinghouse import clearinghouse
from sandbox.control import Control
from sandbox.mail import relay
from sandbox.oauth import Door
from sandbox.payer import EDITIONS, Payer
from sandbox.world import World

DONE, FAILED = 0, 1
TIMEOUT_S = 30.0


def create_app(world: World) -> Flask:
    """Return the sandbox's WSGI application on `world`."""
    app = Flask("sandbox", static_folder=None)
    app.register_blueprint(clearinghouse(world))
    door = Door()
    app.register_blueprint(door.blueprint())
    payers = [Payer(world, prefix, door) for prefix in EDITIONS]
    for payer in payers:
        app.register_blueprint(payer.blueprint())
    app.register_blueprint(crd.services(world, door))
    app.register_blueprint(Control(world, payers, door).blueprint())
    app.add_url_rule("/healthz", "healthz", lambda: Response("ok\n", content_type="text/plain"))
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 failed, 2 wrong use."""
    chosen = _parser().parse_args(arguments)
    code: int = chosen.run(chosen)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="inforce-sandbox",
        description="A clearinghouse, a payer and a mail relay to test against; all synthetic.",
        epilog="example: inforce-sandbox serve --port 8082",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    serve = commands.add_parser(
        "serve",
        help="answer eligibility checks and prior authorizations, and keep mails",
        epilog="example: inforce-sandbox serve --journal received.jsonl",
    )
    serve.add_argument("--host", default="127.0.0.1", help="address to bind (127.0.0.1)")
    serve.add_argument("--port", type=int, default=8082, help="port of the clearinghouse (8082)")
    serve.add_argument("--smtp-port", type=int, default=8025, help="port of the relay (8025)")
    serve.add_argument("--journal", type=Path, help="append what is received to this file")
    serve.set_defaults(run=_serve)
    seed = commands.add_parser(
        "seed",
        help="post the synthetic patients to a FHIR server",
        epilog="example: inforce-sandbox seed http://127.0.0.1:8080/fhir",
    )
    seed.add_argument("fhir_url", help="base URL of the FHIR server")
    seed.set_defaults(run=_seed)
    return parser


class _Quiet(WSGIRequestHandler):
    """Keeps connections open, and writes no line per request: a line could hold a member id."""

    protocol_version = "HTTP/1.1"

    def log_request(self, *_args: object) -> None:
        """Say nothing."""


def _serve(chosen: argparse.Namespace) -> int:
    logging.basicConfig(level=logging.WARNING)
    world = World(journal=chosen.journal)
    mails = relay(world, chosen.host, chosen.smtp_port)
    mails.start()
    app = create_app(world)
    server = make_server(chosen.host, chosen.port, app, threaded=True, request_handler=_Quiet)
    print(
        f"sandbox: clearinghouse on port {chosen.port}, mail relay on port {chosen.smtp_port}",
        file=sys.stderr,
        flush=True,
    )
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        mails.stop()
    return DONE


def _seed(chosen: argparse.Namespace) -> int:
    for bundle in fixtures.seed_bundles():
        answer = requests.post(
            chosen.fhir_url,
            json=bundle,
            timeout=TIMEOUT_S,
            headers={"Content-Type": "application/fhir+json"},
        )
        if not answer.ok:
            print(
                f"inforce-sandbox: the server refused a seed Bundle: HTTP {answer.status_code}",
                file=sys.stderr,
            )
            return FAILED
        print(f"{len(bundle['entry'])} resources stored", file=sys.stderr)
    return DONE


if __name__ == "__main__":
    sys.exit(main())
