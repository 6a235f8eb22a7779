"""What is noted of a request that a clearinghouse received."""

from datetime import UTC, datetime
from typing import Any

from flask import request


def told(route: str, x12: str = "") -> dict[str, Any]:
    """Return the request at hand, raw and with its headers; `x12` where it holds any."""
    return {
        "route": route,
        "path": request.path,
        "received": datetime.now(UTC).isoformat(),
        "headers": dict(request.headers),
        "body": request.get_data(as_text=True),
        "x12": x12,
    }
