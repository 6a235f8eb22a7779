"""What attempts at deliveries came to: their outcomes and AuditEvents, in one transaction."""

import logging
from collections.abc import Sequence

from server.errors import log_fault
from server.interactions import _write, subscription_state
from server.interactions._write import Origin, Writing
from server.interactions.engine import Engine
from server.store import deliveries
from server.subscriptions import audit, delivery
from server.subscriptions.dispatch import Ended
from server.subscriptions.hook import ERROR

_log = logging.getLogger(__name__)


def record(engine: Engine, ended: Sequence[Ended]) -> None:
    """Make the end of attempts last; a Subscription whose every attempt failed goes into error."""
    outcomes = [outcome for one in ended for outcome in one.outcomes]
    notes = [
        _write.ready(engine, "AuditEvent", audit.audit_event(one.attempt, engine.base))
        for one in ended
    ]

    def work(writing: Writing) -> None:
        deliveries.settle(writing.connection, outcomes)
        for note in notes:
            writing.note(note)

    _write.transact(engine, Origin(""), work, fresh=True)
    for one in ended:
        if one.attempt.state == "dead":
            _log.error("delivery given up: %s, attempt %d", one.attempt.uid, one.attempt.number)
    for subscription in {one.attempt.subscription for one in ended if _is_exhausted(one)}:
        try:
            _fail(engine, subscription)
        except Exception as error:  # noqa: BLE001 what is recorded must not be recorded again
            log_fault(_log, f"Subscription/{subscription} is not in error yet", error)


def _is_exhausted(one: Ended) -> bool:
    return one.attempt.state == "dead" and one.attempt.reason == delivery.EXHAUSTED


def _fail(engine: Engine, subscription: str) -> None:
    with engine.database.read() as connection:
        hook = engine.hooks.named(connection, subscription)
    if hook is not None and hook.is_live(engine.now()):
        text = "Every attempt at a delivery failed. Mend the endpoint, then store status requested."
        subscription_state.move(engine, hook, ERROR, text)
