"""inforce client and inforce token: the programs that may call a server with INFORCE_AUTH=smart."""

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from server import clock
from server import settings as server_settings
from server.access import scopes
from server.access.scopes import ScopeRefused
from server.search.values import micros
from server.smart import assertion, authorization
from server.smart.authorization import OAuthRefused
from server.store import clients
from server.store.clients import Client
from server.store.connection import Connection
from server.store.database import Database

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001
DONE = 0
MINUTES_LIMIT = 24 * 60


class ClientRefused(Exception):
    """What was to be done with a client cannot be; the message tells the next step."""


def add(commands: Commands) -> None:
    """Add both commands to those of inforce."""
    client = commands.add_parser(
        "client",
        help="register programs that may call, see them, and remove them",
        epilog="example: inforce client list",
    )
    actions = client.add_subparsers(required=True, metavar="ACTION")
    put = actions.add_parser(
        "add",
        help="register a program, or change its keys and scopes; its tokens end",
        epilog="example: inforce client add ehr --jwks ehr.jwks.json --scope system/Coverage.crus",
    )
    put.add_argument("id", type=_id, help="the id it will call itself by")
    put.add_argument("--jwks", type=Path, required=True, help="a file with its public keys")
    put.add_argument("--scope", required=True, help="what it may do, such as 'system/Coverage.rs'")
    put.set_defaults(run=_add)
    narrowed = actions.add_parser(
        "scope",
        help="change what a program may do, from now on; its tokens end",
        epilog="example: inforce client scope ehr 'system/Coverage.rs system/Patient.r'",
    )
    narrowed.add_argument("id", type=_id, help="the program's id")
    narrowed.add_argument("scope", help="all that it may do")
    narrowed.set_defaults(run=_scope)
    shown = actions.add_parser(
        "list", help="print ids and scopes", epilog="example: inforce client list --json"
    )
    shown.add_argument("--json", action="store_true", help="print the result as JSON")
    shown.set_defaults(run=_list)
    gone = actions.add_parser(
        "remove",
        help="forget a program; its tokens end, and its Subscriptions are sent nothing more",
        epilog="example: inforce client remove ehr",
    )
    gone.add_argument("id", type=_id, help="the program's id")
    gone.set_defaults(run=_remove)
    _add_token(commands)


def _add_token(commands: Commands) -> None:
    token = commands.add_parser(
        "token",
        help="print a token of a registered program, to try things by hand",
        epilog='example: curl -H "Authorization: Bearer $(inforce token ehr)" '
        "http://127.0.0.1:8080/fhir/Coverage",
    )
    token.add_argument("id", type=_id, help="the program's id")
    token.add_argument("--scope", default="system/*.cruds", help="no more than this (all it has)")
    token.add_argument(
        "--minutes", type=_minutes, default=5, help=f"how long it is good, to {MINUTES_LIMIT} (5)"
    )
    token.set_defaults(run=_token)


def _id(text: str) -> str:
    if not assertion.CLIENT_ID.fullmatch(text):
        raise argparse.ArgumentTypeError("expected 1 to 64 letters, digits, '.', '-' or '_'")
    return text


def _minutes(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= MINUTES_LIMIT:
        raise argparse.ArgumentTypeError(f"expected 1 to {MINUTES_LIMIT}")
    return int(text)


def _add(chosen: argparse.Namespace) -> int:
    client = Client(chosen.id, _jwks(chosen.jwks), _checked(chosen.scope))
    with _writing() as connection:
        _put(connection, client)
    return DONE


def _scope(chosen: argparse.Namespace) -> int:
    scope = _checked(chosen.scope)
    with _writing() as connection:
        _put(connection, replace(_named(connection, chosen.id), scopes=scope))
    return DONE


def _put(connection: Connection, client: Client) -> None:
    clients.put(connection, client, micros(clock.now()))
    print(f"{client.id} may {client.scopes}")


def _list(chosen: argparse.Namespace) -> int:
    with _writing() as connection:
        found = clients.listed(connection)
    if chosen.json:
        print(json.dumps([{"id": one.id, "scopes": one.scopes} for one in found]))
    elif not found:
        print("no program may call; inforce client add --help", file=sys.stderr)
    else:
        print("\n".join(f"{one.id}  {one.scopes}" for one in found))
    return DONE


def _remove(chosen: argparse.Namespace) -> int:
    with _writing() as connection:
        clients.remove(connection, _named(connection, chosen.id).id)
    print(f"{chosen.id} may not call any more")
    return DONE


def _token(chosen: argparse.Namespace) -> int:
    scope, life_s = _checked(chosen.scope), chosen.minutes * 60
    try:
        with _writing() as connection:
            client = _named(connection, chosen.id)
            text, _ = authorization.give(connection, client, scope, micros(clock.now()), life_s)
    except OAuthRefused as error:
        raise ClientRefused(error.text) from error
    print(text)
    return DONE


@contextmanager
def _writing() -> Iterator[Connection]:
    """Give the database of the settings, in a write transaction."""
    database = Database(server_settings.read(server_settings.environment()).database)
    try:
        with database.write() as connection:
            yield connection
    finally:
        database.close()


def _named(connection: Connection, client_id: str) -> Client:
    client = clients.named(connection, client_id)
    if client is None:
        raise ClientRefused("there is no such program; inforce client list tells which there are")
    return client


def _checked(text: str) -> str:
    try:
        return str(scopes.checked(text))
    except ScopeRefused as error:
        raise ClientRefused(f"--scope: {error}") from error


def _jwks(path: Path) -> str:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ClientRefused(f"--jwks: cannot read {path} as JSON") from error
    problems = assertion.key_problems(found)
    if problems:
        raise ClientRefused(f"--jwks: {'; '.join(problems)}")
    return json.dumps(found)
