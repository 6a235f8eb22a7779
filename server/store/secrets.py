"""Keys that a database keeps for itself, and what it keeps of those that others have."""

import hashlib
import os
import secrets

from server.store.connection import Connection
from server.store.statements import sql

KEY_BYTES = 32


def named(connection: Connection, name: str) -> bytes:
    """Return the key of this name: KEY_BYTES bytes at random, the same for every process."""
    row = connection.execute(sql("secret_named"), (name,)).fetchone()
    if row is None:
        connection.execute(sql("insert_secret"), (name, random(KEY_BYTES)))
        row = connection.execute(sql("secret_named"), (name,)).fetchone()
    return bytes(row[0])


def digest(text: str) -> str:
    """Return what is kept of a token or of a session: its SHA-256 in hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def random(length: int) -> bytes:
    """Return that many random bytes from the operating system."""
    return os.urandom(length)


def random_number() -> int:
    """Return a number from 1 that no other call will return, for all that chance can tell."""
    return secrets.randbelow(2**62) + 1
