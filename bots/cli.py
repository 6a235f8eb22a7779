"""inforce-bots: serve, register, run, sweep, probe, import-payers, payload, reparse."""

import argparse
import getpass
import json
import re
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import TypeAlias

from granian import Granian
from granian.constants import Interfaces
from granian.log import LogLevels
from tqdm import tqdm

from bots import app, exchanges, payer_import, prior_auth_report, sweep
from bots import settings as bots_settings
from bots.connectors import backend_services
from bots.errors import NeverRetry, RetryLater
from bots.exchanges import NotKept, Reading
from bots.mapping import payer_list
from bots.mapping.payer_list import NotAList
from bots.payer_import import Import, Outcome
from bots.ports import Clearinghouse, Fhir, Finding
from bots.registry import BOTS, BY_NAME, subscription
from bots.settings import SettingRefused, Settings
from fhir_profiles import codec, elements, prior_auth, systems

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001
PORT_LIMIT, PROBE_S, STOP_LIMIT_S = 65535, 15.0, 90
DONE, FAILED, WRONG_USE = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 failed, 2 wrong use."""
    chosen = _parser().parse_args(arguments)
    try:
        hooks, payloads = getattr(chosen, "hooks", True), getattr(chosen, "payloads", False)
        environment = bots_settings.environment()
        settings = bots_settings.read(environment, hooks=hooks, payloads=payloads)
        code: int = chosen.run(chosen, settings)
    except SettingRefused as error:
        print(f"inforce-bots: {error}", file=sys.stderr)
        return WRONG_USE
    except (RetryLater, NeverRetry, NotKept) as error:
        print(f"inforce-bots: {error}", file=sys.stderr)
        return FAILED
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="inforce-bots",
        description="Bots that ask payers, called by Subscriptions of a FHIR R4 server.",
        epilog="example: inforce-bots register && inforce-bots serve --port 8081",
    )
    version = f"inforce-bots {metadata.version('inforce')}"
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    serve = commands.add_parser(
        "serve",
        help="receive deliveries and run bots",
        epilog="example: inforce-bots serve --port 8081",
    )
    serve.add_argument("--host", default="127.0.0.1", help="address to bind (127.0.0.1)")
    serve.add_argument("--port", type=_port, default=8081, help="port to bind (8081)")
    serve.set_defaults(run=_serve)
    register = commands.add_parser(
        "register",
        help="PUT our Subscriptions to the FHIR server",
        epilog="example: inforce-bots register --json",
    )
    register.add_argument(
        "--header",
        action="store_true",
        help="send the secret by channel.header, for servers that do not sign",
    )
    register.add_argument("--json", action="store_true", help="print the result as JSON")
    register.set_defaults(run=_register)
    run = commands.add_parser(
        "run",
        help="run one bot on one stored resource, now",
        epilog="example: inforce-bots run check-eligibility CoverageEligibilityRequest/42",
    )
    run.add_argument("bot", choices=sorted(BY_NAME), help="the bot's name")
    run.add_argument("address", help="Type/id of the resource it should handle")
    run.set_defaults(run=_run)
    _add_exchanges(commands)
    _add_sweep(commands)
    _add_report(commands)
    _add_probe(commands)
    _add_jwks(commands)
    _add_import(commands)
    return parser


def _add_exchanges(commands: Commands) -> None:
    shown = commands.add_parser(
        "payload",
        help="print what a payer sent under a trace number; that it was read is recorded",
        epilog="example: inforce-bots payload 0C1F5B7AB1D2BC9196FE08E6DAB06544",
    )
    shown.add_argument("trace", help="the trace number of the check")
    shown.add_argument("--sent", action="store_true", help="print the 270 that was sent instead")
    shown.set_defaults(run=_payload, hooks=False, payloads=True)
    again = commands.add_parser(
        "reparse",
        help="read every kept answer again, and tell what would be stored otherwise now",
        epilog="example: inforce-bots reparse, and then inforce-bots reparse --write",
    )
    again.add_argument("--write", action="store_true", help="store what is read otherwise")
    again.add_argument("--json", action="store_true", help="print the result as JSON")
    again.set_defaults(run=_reparse, hooks=False, payloads=True)


def _add_jwks(commands: Commands) -> None:
    keys = commands.add_parser(
        "jwks",
        help="print the public key that payers know us by, as a JSON Web Key Set",
        epilog="example: inforce-bots jwks --new > key.json, for INFORCE_BOTS_PAS_KEY",
    )
    keys.add_argument(
        "--fhir", action="store_true", help="print the one that the FHIR server knows us by"
    )
    keys.add_argument("--new", action="store_true", help="print a new private key instead")
    keys.set_defaults(run=_jwks, hooks=False)


def _add_sweep(commands: Commands) -> None:
    swept = commands.add_parser(
        "sweep",
        help="check every appointment of tomorrow, or of a day, as the day's sweep does",
        epilog="example: inforce-bots sweep --day 2026-12-01",
    )
    swept.add_argument("--day", type=date.fromisoformat, help="the day of the visits, YYYY-MM-DD")
    swept.add_argument("--json", action="store_true", help="print the result as JSON")
    swept.set_defaults(run=_sweep, hooks=False)


def _add_report(commands: Commands) -> None:
    reported = commands.add_parser(
        "prior-auth-report",
        help="sum up how payers decided in a period, as a MeasureReport",
        epilog="example: inforce-bots prior-auth-report --from 2026-01-01 --to 2026-12-31",
    )
    for name, what in (("from", "first"), ("to", "last")):
        reported.add_argument(
            f"--{name}", dest=what, required=True, type=date.fromisoformat,
            help=f"the {what} day, YYYY-MM-DD",
        )  # fmt: skip
    reported.add_argument("--json", action="store_true", help="print the MeasureReport")
    reported.set_defaults(run=_report, hooks=False)


def _add_probe(commands: Commands) -> None:
    probed = commands.add_parser(
        "probe",
        help="tell whether a route works, and what to do if not; no payer is asked",
        epilog="example: inforce-bots probe stedi",
    )
    probed.add_argument("route", help="its name in INFORCE_BOTS_ROUTES")
    probed.add_argument("--json", action="store_true", help="print the result as JSON")
    probed.set_defaults(run=_probe, hooks=False)


def _add_import(commands: Commands) -> None:
    imported = commands.add_parser(
        "import-payers",
        help="bring a list of payers into the directory; the same list again changes nothing",
        epilog="example: inforce-bots import-payers payers.csv --rehearse",
    )
    imported.add_argument("file", type=Path, help="a list of payers, .csv or .json")
    imported.add_argument(
        "--rehearse", action="store_true", help="tell what would come of it, and write nothing"
    )
    imported.add_argument("--json", action="store_true", help="print every line as JSON")
    imported.set_defaults(run=_import, hooks=False)


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= PORT_LIMIT:
        raise argparse.ArgumentTypeError(f"expected a port from 1 to {PORT_LIMIT}")
    return int(text)


def _serve(chosen: argparse.Namespace, _settings: Settings) -> int:
    with socket.socket(socket.AF_INET6 if ":" in chosen.host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((chosen.host, chosen.port))
        except OSError:
            text = f"inforce-bots: port {chosen.port} is in use; choose another with --port"
            print(text, file=sys.stderr)
            return FAILED
    print(f"inforce-bots: receiving on http://{chosen.host}:{chosen.port}", file=sys.stderr)
    Granian(
        "bots.app:application",
        factory=True,
        address=chosen.host,
        port=chosen.port,
        interface=Interfaces.WSGI,
        blocking_threads=app.THREADS,
        respawn_failed_workers=True,
        log_level=LogLevels.error,
        websockets=False,
        workers_kill_timeout=STOP_LIMIT_S,
    ).serve()
    return DONE


def _register(chosen: argparse.Namespace, settings: Settings) -> int:
    fhir = app.tools(settings).fhir
    rows = []
    for bot in BOTS:
        wish = subscription(
            bot,
            hooks_url=settings.public_url,
            secret=settings.hook_secret,
            header=chosen.header,
            timeout_s=settings.timeout_s,
        )
        stored = fhir.put(wish)
        rows.append({"bot": bot.name, "criteria": bot.criteria, "status": stored["status"]})
    if chosen.json:
        print(json.dumps(rows))
    else:
        for row in rows:
            print(f"{row['bot']:22} {row['status']:10} {row['criteria']}")
    return DONE


def _run(chosen: argparse.Namespace, settings: Settings) -> int:
    bot = BY_NAME[chosen.bot]
    wanted = bot.criteria.partition("?")[0]
    if not re.fullmatch(rf"{wanted}/[A-Za-z0-9.\-]{{1,64}}", chosen.address):
        print(
            f"inforce-bots: {bot.name} handles {wanted}/id, not {chosen.address}", file=sys.stderr
        )
        return WRONG_USE
    tools = app.tools(settings)
    (resource,) = tools.fhir.read_all([chosen.address])
    if resource is None:
        print(f"inforce-bots: the FHIR server has no {chosen.address}", file=sys.stderr)
        return FAILED
    bot.handle(resource, tools)
    print(f"{chosen.bot}: done")
    return DONE


def _payload(chosen: argparse.Namespace, settings: Settings) -> int:
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # who reads the start only ends us, as usual
    for content in exchanges.shown(
        app.tools(settings), chosen.trace, who=getpass.getuser(), sent=chosen.sent
    ):
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.write(b"\n")
    return DONE


def _jwks(chosen: argparse.Namespace, settings: Settings) -> int:
    if chosen.new:
        print(json.dumps(backend_services.new_key()))
        return DONE
    name = "INFORCE_BOTS_FHIR_KEY" if chosen.fhir else "INFORCE_BOTS_PAS_KEY"
    key = settings.fhir_key if chosen.fhir else settings.pas_key
    if not key:
        text = f"{name} is not set; inforce-bots jwks --new prints a key for it"
        print(f"inforce-bots: {text}", file=sys.stderr)
        return WRONG_USE
    print(json.dumps(backend_services.public(key)))
    return DONE


def _probe(chosen: argparse.Namespace, settings: Settings) -> int:
    named = {one.name: one for one in app.routes(settings)}
    route = named.get(chosen.route)
    if route is None:
        text = f"{chosen.route} is not configured; INFORCE_BOTS_ROUTES has {', '.join(named)}"
        print(f"inforce-bots: {text}", file=sys.stderr)
        return WRONG_USE
    found = [Finding("configured", works=True), *route.probe(timeout_s=PROBE_S)]
    found.append(_payers(app.tools(settings).fhir, route))
    if chosen.json:
        print(json.dumps([{"what": f.what, "works": f.works, "text": f.text} for f in found]))
    else:
        for one in found:
            print(f"{'ok  ' if one.works else 'FAIL'} {one.what:12} {one.text}".rstrip())
    return DONE if all(one.works for one in found) else FAILED


def _payers(fhir: Fhir, route: Clearinghouse) -> Finding:
    """Return how many payers have an id that the route knows, its own or a plain one."""
    listed = ",".join(f"{system}|" for system in (*route.payer_systems, systems.PAYER_ID))
    count = len(fhir.search("Organization", [("identifier", listed), ("_count", "200")]))
    text = f"{count} on the FHIR server have an id for it"
    return Finding("payers", works=count > 0, text=text)


def _sweep(chosen: argparse.Namespace, settings: Settings) -> int:
    tools = app.tools(settings)
    day = chosen.day or sweep.tomorrow(tools)
    tally = sweep.run(tools, day, lambda found: tqdm(found, unit=" appointments", disable=None))
    told = {"day": str(day), "appointments": tally.appointments, "coverages": tally.coverages,
            "verified": tally.verified, "states": dict(sorted(tally.states.items()))}  # fmt: skip
    if chosen.json:
        print(json.dumps(told))
    else:
        print(f"{day}: {tally.appointments} appointments, {tally.verified} of {tally.coverages} "
              "coverages verified")  # fmt: skip
        for state, count in sorted(tally.states.items()):
            print(f"  {state:18} {count}")
    return DONE


def _report(chosen: argparse.Namespace, settings: Settings) -> int:
    if chosen.last < chosen.first:
        print("inforce-bots: --to: expected a day that is not before --from", file=sys.stderr)
        return WRONG_USE
    made = prior_auth_report.run(app.tools(settings), chosen.first, chosen.last)
    if chosen.json:
        print(codec.encode(made).decode())
        return DONE
    print(f"{chosen.first} to {chosen.last}, MeasureReport/{made['id']}")
    for group in made["group"]:
        name = elements.code(group["code"], prior_auth.METRIC)
        of, *counted = (one["count"] for one in group["population"])
        score = group.get("measureScore", {})
        told = f"{counted[0]} of {of}" if counted else f"{score.get('value', 'unknown')}"
        print(f"  {name:28} {told}{' h' if 'unit' in score else ''}")
    return DONE


def _import(chosen: argparse.Namespace, settings: Settings) -> int:
    try:
        content = chosen.file.read_bytes()
        rows = payer_list.read(content, is_json=chosen.file.suffix.lower() == ".json")
    except (OSError, NotAList) as error:
        print(f"inforce-bots: {chosen.file}: {error}", file=sys.stderr)
        return WRONG_USE
    run = Import(app.tools(settings), is_rehearsal=chosen.rehearse)
    lines = list(run.run(rows, lambda found: tqdm(found, unit=" payers", disable=None)))
    if chosen.json:
        print(json.dumps([asdict(line) for line in lines]))
    else:
        for line in lines:
            if line.outcome is Outcome.REFUSED:
                print(f"{line.place}: {line.name or 'no name'}: {line.reason}")
        told = ", ".join(f"{count} {name}" for name, count in payer_import.counts(lines).items())
        print(f"{told}{' (nothing was written)' if chosen.rehearse else ''}")
    return FAILED if any(line.outcome is Outcome.REFUSED for line in lines) else DONE


def _reparse(chosen: argparse.Namespace, settings: Settings) -> int:
    tools = app.tools(settings)
    rows: list[tuple[Reading, bool]] = [
        (one, chosen.write and exchanges.store(tools, one))
        for one in tqdm(exchanges.read_again(tools), unit=" answers", disable=None)
        if one.differs or one.problem
    ]
    if chosen.json:
        print(json.dumps([
            {"response": one.address, "differs": one.differs, "problem": one.problem,
             "stored": stored}
            for one, stored in rows
        ]))  # fmt: skip
    else:
        for one, _ in rows:
            print(f"{one.address}: {one.problem or ', '.join(one.differs)}")
        count = sum(stored if chosen.write else bool(one.differs) for one, stored in rows)
        print(f"{count} answers {'stored anew' if chosen.write else 'would be stored otherwise'}")
    missed = any(chosen.write and one.differs and not stored for one, stored in rows)
    return FAILED if missed or any(one.problem for one, _ in rows) else DONE


if __name__ == "__main__":
    sys.exit(main())
