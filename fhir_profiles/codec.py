"""JSON as FHIR needs it: decimals keep every digit, in both directions.

Source: FHIR R4 json.html#primitive (precision of decimals is significant).
"""

import json
from decimal import Decimal
from typing import Any

import msgspec

KEY_TWICE, HOLDS_NUL = "an object names a key twice", "a text holds NUL"
_DECODER = msgspec.json.Decoder(float_hook=Decimal)
_ENCODER = msgspec.json.Encoder(decimal_format="number")
_SORTED = msgspec.json.Encoder(decimal_format="number", order="sorted")


def decode(body: bytes | str) -> Any:
    """Return the JSON value in `body`; numbers with a fraction or exponent are Decimal.

    Raises ValueError where `body` is not UTF-8 JSON, or is nested deeper than the parser goes.
    """
    try:
        return _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(str(error)) from error
    except RecursionError as error:
        message = "nested too deeply"
        raise ValueError(message) from error


def decode_strict(body: bytes) -> Any:
    """Return the JSON value in `body` as decode does, but neither a key twice nor NUL in a text.

    Raises ValueError there, beside the reasons of decode.
    """
    value = decode(body)
    again = encode(value)
    has_escapes = b"\\" in body and b"\\u" in body
    if has_escapes and b"\\u0000" in again.replace(b"\\\\", b""):
        raise ValueError(HOLDS_NUL)
    # A repeated key is lost with its colon. Only an escape may stand for a colon in a text; where
    # there is one, which is rare, the text is read again, slowly and with certainty.
    if has_escapes or body.count(b":") != again.count(b":"):
        json.loads(body, object_pairs_hook=_once)
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(KEY_TWICE)
    return found


def encode(value: Any) -> bytes:
    """Return `value` as compact UTF-8 JSON; a Decimal is written with the digits it has."""
    return _ENCODER.encode(value)


def raw(body: bytes) -> msgspec.Raw:
    """Return JSON that is ready, to stand as it is inside a value that is encoded."""
    return msgspec.Raw(body)


def is_same(left: bytes, right: bytes) -> bool:
    """Tell whether two JSON texts say the same: members in any order, digits exactly alike."""
    return left == right or _SORTED.encode(decode(left)) == _SORTED.encode(decode(right))
