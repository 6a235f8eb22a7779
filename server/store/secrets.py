"""Keys that a database keeps for itself, made at random when they are first asked for."""

import os
import secrets

from server.store.connection import Connection
from server.store.statements import sql

KEY_BYTES = 32


def named(connection: Connection, name: str) -> bytes:
    """Return the key of this name: KEY_BYTES bytes, the same for every process."""
    row = connection.execute(sql("secret_named"), (name,)).fetchone()
    if row is None:
        connection.execute(sql("insert_secret"), (name, random(KEY_BYTES)))
        row = connection.execute(sql("secret_named"), (name,)).fetchone()
    return bytes(row[0])


def random(length: int) -> bytes:
    """Return that many random bytes from the operating system."""
    return os.urandom(length)


def random_number() -> int:
    """Return a number from 1 that no other call will return, for all that chance can tell."""
    return secrets.randbelow(2**62) + 1
