"""The only place where the server reads the time or makes an id."""

import time
import uuid
from datetime import UTC, datetime


def now() -> datetime:
    """Return the present moment, aware, UTC."""
    return datetime.now(UTC)  # noqa: TID251 this is the door


def new_id() -> str:
    """Return a new id, 36 characters, that sorts by the time it was made (RFC 9562, version 7)."""
    stamp = time.time_ns() // 1_000_000  # noqa: TID251 this is the door
    noise = uuid.uuid4().int & ((1 << 74) - 1)  # noqa: TID251 this is the door
    high = (stamp << 16) | (7 << 12) | (noise >> 62)
    low = (2 << 62) | (noise & ((1 << 62) - 1))
    return str(uuid.UUID(int=(high << 64) | low))
