"""How bodies are stored: every one comes back byte for byte, also those of earlier releases."""

import base64

import pytest

from fhir_profiles import codec
from server.store.packing import packed, unpacked
from server.subscriptions import audit
from server.subscriptions.audit import Attempt
from server.subscriptions.delivery import Answer

SMALL = 300  # bytes, for about 1,500 of an AuditEvent
# An AuditEvent as the first release stored it: its dictionary must never change.
STORED = "MXi7Mvc8CCOi9kzLLCouwVmF1qJUBrUAVf8aPw=="
SAID = b'{"resourceType":"AuditEvent","id":"first","meta":{"versionId":"1"},"action":"C"}'


def event(words: str) -> bytes:
    attempt = Attempt(
        subscription="s", endpoint="https://hooks.clinic.example/x", kind=audit.HEARTBEAT, uid="u",
        number=1, trace="t", dues=(), answer=Answer(200, told=words, took_ms=3), state="done",
        at=1_800_000_000_000_000,
    )  # fmt: skip
    return codec.encode(audit.audit_event(attempt, "https://fhir.clinic.example/fhir"))


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"resourceType":"Patient"}',
        b'{"resourceType":"Patient","text":"' + b"x" * 5000 + b'"}',
        b'{"resourceType":"AuditEvent"}',
        b'{"resourceType":"AuditEvent","text":"' + "é€".encode() * 5000 + b'"}',
        event("ok"),
    ],
)
def test_a_body_comes_back_as_it_was(body: bytes) -> None:
    """Short and long ones, with a dictionary and without."""
    assert body == unpacked(packed(body))


def test_an_audit_event_takes_little() -> None:
    """There is one for every attempt at a delivery."""
    assert len(packed(event("done"))) < SMALL


def test_what_was_stored_stays_readable() -> None:
    """The dictionary is that of the first release."""
    assert SAID == unpacked(base64.b64decode(STORED))
