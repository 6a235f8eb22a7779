"""An answer in JSON, as every clearinghouse and payer here gives it."""

import json
from typing import Any

from flask import Response

JSON = "application/json"


def reply(body: dict[str, Any], status: int = 200) -> Response:
    """Return a body as the answer to a call."""
    return Response(json.dumps(body), status, content_type=JSON)
