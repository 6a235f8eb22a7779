"""An assertion by which a program proves that it is a client: a JWT, signed by its private key.

Source: SMART App Launch 2.2, client-confidential-asymmetric.html; RFC 7523 section 3.
"""

import base64
import json
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from server.search.values import micros
from server.store import clients
from server.store.clients import Client
from server.store.connection import Connection

ALGORITHMS = ("ES384", "RS384")
RSA_BITS = 2048
LIFE_LIMIT_S = 300
CLIENT_ID = re.compile(r"[A-Za-z0-9._\-]{1,64}")
_NO_CLIENT = "iss is no client that is registered here."
_JTI = re.compile(r"[!-~]{1,256}")


class AssertionRefused(Exception):
    """The assertion proves nothing; the message tells why, and holds nothing of it."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What an assertion proves: which client made it, its jti, and until when it is good (s)."""

    client_id: str
    jti: str
    expires: int


def proof(connection: Connection, text: str, audiences: Collection[str], now: datetime) -> Proof:
    """Return what an assertion for one of these audiences proves. Raises AssertionRefused."""
    from joserfc.errors import JoseError  # noqa: PLC0415 100 ms that an open server does not need
    from joserfc.jws import extract_compact  # noqa: PLC0415

    try:
        unproven = extract_compact(text.encode())
        claims = json.loads(unproven.payload)
        header = unproven.headers()
    except (JoseError, ValueError, TypeError) as error:
        raise AssertionRefused("client_assertion is no JWT.") from error
    client_id = claims.get("iss") if isinstance(claims, dict) else None
    client = None
    if isinstance(client_id, str) and CLIENT_ID.fullmatch(client_id):
        client = clients.named(connection, client_id)
    if client is None:
        raise AssertionRefused(_NO_CLIENT)
    _check_signature(text, header, client.jwks)
    return Proof(client.id, *_checked(claims, client.id, audiences, now.timestamp()))


def taken(connection: Connection, proof: Proof, now: datetime) -> Client:
    """Return the client of a proof, which is good once. `connection` is of a write transaction.

    Raises AssertionRefused.
    """
    client = clients.named(connection, proof.client_id)
    if client is None:
        raise AssertionRefused(_NO_CLIENT)
    until = proof.expires * 1_000_000
    if not clients.take_assertion(connection, client.id, proof.jti, until, micros(now)):
        raise AssertionRefused("jti was used before: make an assertion for each request.")
    return client


def key_problems(jwks: Any) -> list[str]:
    """Return what keeps a JWKS from being the public keys of a client, nothing where it is one."""
    from joserfc.errors import JoseError  # noqa: PLC0415
    from joserfc.jwk import KeySet  # noqa: PLC0415

    try:
        keys = KeySet.import_key_set(jwks).keys
    except (JoseError, ValueError, KeyError, TypeError, AttributeError):
        return ['expected a JWKS: {"keys": [...]}']  # fmt: skip
    problems = []
    if len({one.get("kid") or "" for one in jwks["keys"]} - {""}) < len(keys):
        problems.append("each key needs a kid of its own")
    if any(key.is_private for key in keys):
        problems.append("a private key is its client's alone: send the public one")
    if not all(_is_strong(key.as_dict()) for key in keys):
        problems.append(f"expected keys for ES384 (P-384) or RS384 ({RSA_BITS} bits at least)")
    return problems


def _is_strong(key: Mapping[str, Any]) -> bool:
    """Tell whether a key is of an algorithm of SMART, and no weaker than RFC 7518 asks (3.3)."""
    if key["kty"] == "RSA":
        modulus = base64.urlsafe_b64decode(key["n"] + "==")
        return int.from_bytes(modulus).bit_length() >= RSA_BITS
    return (key["kty"], key.get("crv")) == ("EC", "P-384")


def _check_signature(text: str, header: Mapping[str, Any], jwks: str) -> None:
    from joserfc import jwt  # noqa: PLC0415
    from joserfc.errors import JoseError  # noqa: PLC0415
    from joserfc.jwk import KeySet  # noqa: PLC0415

    keys = [key for key in KeySet.import_key_set(json.loads(jwks)).keys
            if key.as_dict().get("kid") == header.get("kid")]  # fmt: skip
    if len(keys) != 1:
        raise AssertionRefused("kid names none of the client's keys.")
    try:
        jwt.decode(text, keys[0], algorithms=list(ALGORITHMS))
    except (JoseError, ValueError, TypeError) as error:
        listed = " or ".join(ALGORITHMS)
        raise AssertionRefused(f"Expected a signature by the client's key, {listed}.") from error


def _checked(
    claims: Mapping[str, Any], client_id: str, audiences: Collection[str], now: float
) -> tuple[str, int]:
    """Return jti and exp of claims that are in order."""
    audience, jti, expires = claims.get("aud"), claims.get("jti"), claims.get("exp")
    meant = audience if isinstance(audience, list) else [audience]
    if claims.get("nbf") is not None and not _is_past(claims["nbf"], now):
        raise AssertionRefused("nbf must not be ahead.")
    if claims.get("sub") != client_id:
        raise AssertionRefused("sub must be the client's id, as iss is.")
    if not any(one in audiences for one in meant if isinstance(one, str)):
        raise AssertionRefused("aud must be the address that the assertion is sent to.")
    if not isinstance(expires, int | float) or not now < expires <= now + LIFE_LIMIT_S:
        raise AssertionRefused(f"exp must be at most {LIFE_LIMIT_S} s ahead, and not be over.")
    if not isinstance(jti, str) or not _JTI.fullmatch(jti):
        raise AssertionRefused("Expected a jti of 1 to 256 printed ASCII characters.")
    return jti, math.ceil(expires)


def _is_past(moment: Any, now: float) -> bool:
    return isinstance(moment, int | float) and moment <= now
