"""A payer's CDS Hooks services: found by GET /cds-services, called with a signed JWT.

Source: CDS Hooks 2.0, #discovery and #trusting-cds-clients; Da Vinci CRD 2.2.1.
"""

import time
from http import HTTPStatus
from typing import Any

from bots.connectors import wire
from bots.connectors.backend_services import BackendServices
from bots.connectors.wire import Reply, Wire
from bots.ports import Failure, Submission
from fhir_profiles import codec

_JSON = {"Content-Type": "application/json", "Accept": "application/json"}


class CdsHooks:
    """Calls services of whatever payer the address is of."""

    def __init__(self, client_id: str = "", key: str = "") -> None:
        """Keep a pool of connections; with a key (a private JWK as JSON) sign each call."""
        self._wire = Wire()
        self._door = BackendServices(client_id, key, self._wire)

    def call(self, address: str, body: dict[str, Any], *, timeout_s: float) -> Submission:
        """Call the service of the body's hook; a payer without one is a failure."""
        limit = time.monotonic() + timeout_s
        base = f"{address.rstrip('/')}/cds-services"
        listed = self._wire.call("GET", base, limit=limit, headers=_JSON)
        if isinstance(listed, Failure):
            return Submission(failure=wire.of_payer(listed))
        service = _service(listed, str(body["hook"]))
        if not service:
            text = f"The payer has no CDS service for {body['hook']}."
            return Submission(failure=Failure("not-supported", text, again=False))
        url = f"{base}/{service}"
        headers = {**_JSON, **self._door.signature(url)}
        reply = self._wire.call("POST", url, limit=limit, headers=headers, data=codec.encode(body))
        if isinstance(reply, Failure):
            return Submission(failure=wire.of_payer(reply))
        if reply.status != HTTPStatus.OK or not reply.is_whole:
            return Submission(reply.content, failure=wire.of_payer(wire.refused(reply)))
        return Submission(reply.content, answer=wire.payload(reply.content))


def _service(listed: Reply, hook: str) -> str:
    found = (wire.payload(listed.content) or {}).get("services")
    services = found if isinstance(found, list) else []
    named = (one for one in services if isinstance(one, dict) and one.get("hook") == hook)
    return next((str(one["id"]) for one in named if one.get("id")), "")
