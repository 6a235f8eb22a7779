"""The programs that may call, their tokens, and the assertions that bought one.

Moments are microseconds since 1970.
"""

from dataclasses import dataclass

from server.store.connection import Connection
from server.store.secrets import digest, random_number
from server.store.statements import sql


@dataclass(frozen=True, slots=True)
class Client:
    """A client: its id, its public keys (a JWKS as JSON), and its scopes with blanks between."""

    id: str
    jwks: str
    scopes: str


@dataclass(frozen=True, slots=True)
class Token:
    """What a token stands for, until it expires."""

    client: str
    scopes: str
    expires: int


def put(connection: Connection, client: Client, now: int) -> None:
    """Keep a client, new or changed; tokens that it has had end, as its scopes may be others."""
    connection.execute(sql("put_client"), (client.id, client.jwks, client.scopes, now))
    _changed(connection, client.id)


def remove(connection: Connection, client_id: str) -> None:
    """Forget a client and its tokens; its Subscriptions are sent nothing more."""
    connection.execute(sql("remove_client"), (client_id,))
    _changed(connection, client_id)


def _changed(connection: Connection, client_id: str) -> None:
    connection.execute(sql("remove_tokens"), (client_id,))
    # Subscriptions are read anew with what their clients may do now.
    connection.execute(sql("next_epoch"), (random_number(),))


def named(connection: Connection, client_id: str) -> Client | None:
    """Return the client of this id, None where there is none."""
    row = connection.execute(sql("client"), (client_id,)).fetchone()
    return Client(*row) if row else None


def listed(connection: Connection) -> list[Client]:
    """Return all clients by their ids."""
    return [Client(*row) for row in connection.execute(sql("clients")).fetchall()]


def keep_token(connection: Connection, text: str, token: Token, now: int) -> None:
    """Keep what a token stands for, and forget those that are over."""
    connection.execute(sql("remove_old_tokens"), (now,))
    row = (digest(text), token.client, token.scopes, token.expires)
    connection.execute(sql("insert_token"), row)


def token(connection: Connection, text: str, now: int) -> Token | None:
    """Return what a token stands for, None where it is none of ours or over."""
    row = connection.execute(sql("token"), (digest(text), now)).fetchone()
    return Token(*row) if row else None


def end_token(connection: Connection, text: str, client_id: str) -> None:
    """End a token of this client; nothing happens where it has no such token."""
    connection.execute(sql("remove_token"), (digest(text), client_id))


def take_assertion(
    connection: Connection, client_id: str, jti: str, expires: int, now: int
) -> bool:
    """Tell whether an assertion is new, and remember it until it expires."""
    connection.execute(sql("remove_old_assertions"), (now,))
    row = connection.execute(sql("insert_assertion"), (client_id, jti, expires)).fetchone()
    return row is not None
