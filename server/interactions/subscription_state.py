"""The status of a Subscription as the server itself moves it: active, error, off.

Source: FHIR R4 subscription.html#status. Clients ask for `requested` or `off`; the rest is ours.
"""

from typing import Any

from fhir_profiles import codec
from server.interactions import _write
from server.interactions._write import Origin, Writing
from server.interactions.engine import Engine
from server.subscriptions.criteria import REDACTED
from server.subscriptions.hook import Hook


def move(engine: Engine, hook: Hook, status: str, error: str = "") -> bool:
    """Store a Subscription with another status, unless it has changed since `hook` was read."""

    def work(writing: Writing) -> bool:
        there = writing.current("Subscription", hook.id)
        if there is None or there.body is None or there.version != hook.version:
            return False
        body: dict[str, Any] = codec.decode(there.body)
        body.pop("error", None)
        body["status"] = status
        if error:
            body["error"] = error
        incoming = _write.ready(engine, "Subscription", body, secret=REDACTED)
        writing.save(incoming, hook.id, method="PUT")
        return True

    return _write.transact(engine, Origin(engine.new_id()), work)
