"""Seals what went to a payer and what came back: whoever reads the FHIR server does not read it.

Each payload is a JSON Web Encryption in compact form (RFC 7516), by `dir` and A256GCM. The header's
`kid` names the key, so that several can be in use: the first seals, all open.
"""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

if TYPE_CHECKING:
    from joserfc.jwk import KeySet

KEY_BYTES, KID_LENGTH = 32, 16
CONTENT_TYPE = "application/jose"
_ALGORITHMS = ("dir", "A256GCM")
_PURPOSE = b"inforce payload at rest"


class Sealed(Exception):
    """A payload that none of our keys opens, or that was changed."""


class Vault:
    """Seals and opens with keys that are made of secret texts."""

    def __init__(self, secrets: Sequence[str]) -> None:
        """Take the texts; at least one is needed, the newest first."""
        self._secrets = tuple(secrets)

    def seal(self, payload: bytes, content_type: str) -> bytes:
        """Return `payload` sealed by the newest key; its content type goes along, unsealed."""
        from joserfc import jwe  # noqa: PLC0415 100 ms that most starts do not need

        newest = self._keys.keys[0]
        header = {"alg": "dir", "enc": "A256GCM", "kid": newest.kid, "cty": content_type}
        return jwe.encrypt_compact(header, payload, newest, algorithms=_ALGORITHMS).encode()

    def open(self, sealed: bytes) -> bytes:
        """Return what was sealed. Raises Sealed where no key of ours fits, or it was changed."""
        from joserfc import jwe  # noqa: PLC0415
        from joserfc.errors import JoseError  # noqa: PLC0415

        try:
            opened = jwe.decrypt_compact(sealed, self._keys, algorithms=_ALGORITHMS)
        except (JoseError, ValueError) as error:
            raise Sealed(f"none of our keys opens the payload: {type(error).__name__}") from error
        return bytes(opened.plaintext or b"")

    @cached_property
    def _keys(self) -> "KeySet":
        from joserfc.jwk import KeySet, OctKey  # noqa: PLC0415

        keys = map(_key, self._secrets)
        return KeySet([OctKey.import_key(key, {"kid": _kid(key)}) for key in keys])


def _key(secret: str) -> bytes:
    derive = HKDF(algorithm=hashes.SHA256(), length=KEY_BYTES, salt=None, info=_PURPOSE)
    return derive.derive(secret.encode())


def _kid(key: bytes) -> str:
    return hashlib.sha256(b"kid" + key).hexdigest()[:KID_LENGTH]
