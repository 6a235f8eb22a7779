"""The public keys of a client: what is taken at registration (SEC-02; RFC 7518 3.3, 3.4)."""

import base64
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc.jwk import ECKey, OctKey, RSAKey

from server.smart import assertion

GOOD = ECKey.generate_key("P-384", {"kid": "a"}).as_dict(private=False)
PRIVATE = ECKey.generate_key("P-384", {"kid": "b"}).as_dict(private=True)
LONG = RSAKey.generate_key(2048, {"kid": "d"}).as_dict(private=False)
MODULUS = rsa.generate_private_key(65537, 1024).public_key().public_numbers().n.to_bytes(128)  # noqa: S505 to be refused
SHORT = {**LONG, "kid": "c", "n": base64.urlsafe_b64encode(MODULUS).decode().rstrip("=")}
SMALL = ECKey.generate_key("P-256", {"kid": "e"}).as_dict(private=False)
SHARED = OctKey.generate_key(256, {"kid": "f"}).as_dict()
STRENGTH = "expected keys for ES384 (P-384) or RS384 (2048 bits at least)"
KID = "each key needs a kid of its own"


@pytest.mark.req("SEC-02")
@pytest.mark.filterwarnings("ignore:Key size")  # the library's own word on SHORT
@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ([GOOD, LONG], []),
        ([SMALL], [STRENGTH]),
        ([SHORT], [STRENGTH]),
        ([PRIVATE], ["a private key is its client's alone: send the public one"]),
        ([GOOD, {**LONG, "kid": "a"}], [KID]),
        ([{name: value for name, value in GOOD.items() if name != "kid"}], [KID]),
    ],
)
def test_weak_and_doubled_keys_are_refused(keys: list[dict[str, Any]], told: list[str]) -> None:
    """Each with what was expected, none with the key."""
    assert told == assertion.key_problems({"keys": keys})


@pytest.mark.parametrize(
    "jwks", [{}, [], None, "x", {"keys": []}, {"keys": [{"kty": "EC"}]}, {"keys": 7}]
)
def test_what_is_no_jwks_is_refused(jwks: Any) -> None:
    """Whatever it is."""
    assert ['expected a JWKS: {"keys": [...]}'] == assertion.key_problems(jwks)


def test_a_shared_secret_is_no_key_of_a_client() -> None:
    """SMART has no symmetric keys here."""
    assert STRENGTH in assertion.key_problems({"keys": [SHARED]})
