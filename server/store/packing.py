"""How the JSON of a version is stored: as it is, or compressed where that pays.

The first byte tells: "{" is JSON as it is, "x" begins zlib's own format, and a digit names the
dictionary with which a short body of a kind that always looks alike was compressed. A dictionary is
never changed, since what was stored with it could not be read any more: a better one gets the next
digit.
"""

import zlib
from functools import cache
from importlib import resources

COMPRESS_ABOVE = 2048
_LEVEL = 1
_AUDIT, _AUDIT_DICTIONARY = b'{"resourceType":"AuditEvent"', b"1"


def packed(body: bytes) -> bytes:
    """Return what to store for a JSON body."""
    if body.startswith(_AUDIT):
        packer = zlib.compressobj(zdict=_dictionary(_AUDIT_DICTIONARY))
        return _AUDIT_DICTIONARY + packer.compress(body) + packer.flush()
    return zlib.compress(body, _LEVEL) if len(body) > COMPRESS_ABOVE else body


def unpacked(stored: bytes) -> bytes:
    """Return the JSON of a stored body."""
    first = stored[:1]
    if first == b"{":
        return stored
    if not first.isdigit():
        return zlib.decompress(stored)
    unpacker = zlib.decompressobj(zdict=_dictionary(first))
    return unpacker.decompress(stored[1:]) + unpacker.flush()


@cache
def _dictionary(digit: bytes) -> bytes:
    name = f"packing-{digit.decode()}.bin"
    return (resources.files("server") / "data" / name).read_bytes()
