"""Page links: the state of a search or history, sealed, so that no value of it stands in a URL."""

import base64
import binascii
import zlib
from typing import Any

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from server.errors import BadRequest
from server.store import secrets
from server.store.database import Database

PARAMETER = "_cursor"
_NONCE = 12
_LENGTH_LIMIT = 64 * 1024


class Seal:
    """Seals and opens page links with the database's own key, the same in every process."""

    def __init__(self, database: Database) -> None:
        """Take the key from the database, which makes one when it is first asked."""
        with database.write() as connection:
            self._cipher = AESGCM(secrets.named(connection, "page-links"))

    def close(self, state: list[Any]) -> str:
        """Return `state` (JSON values) as text for a URL."""
        nonce = secrets.random(_NONCE)
        sealed = nonce + self._cipher.encrypt(nonce, zlib.compress(msgspec.json.encode(state)), b"")
        return base64.urlsafe_b64encode(sealed).decode().rstrip("=")

    def open(self, text: str) -> list[Any]:
        """Return the state of a page link. Raises BadRequest if it is not one of ours."""
        try:
            sealed = base64.b64decode(
                text[:_LENGTH_LIMIT] + "=" * (-len(text) % 4), altchars=b"-_", validate=True
            )
            packed = self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], b"")
        except (binascii.Error, ValueError, InvalidTag) as error:
            message = "The page link is damaged; start the search anew."
            raise BadRequest(message, expression=PARAMETER) from error
        state: list[Any] = msgspec.json.decode(zlib.decompress(packed))
        return state
