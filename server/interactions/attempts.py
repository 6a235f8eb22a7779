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
MAY_NOT_READ = (
    "The client that stored it may not read what it tells of. What happened meanwhile waits: "
    "give the client the scope, then store status requested with it."
)
_TEXTS = {
    delivery.EXHAUSTED: (
        "Every attempt at a delivery failed. Mend the endpoint, then store status requested."
    ),
    delivery.FORBIDDEN: MAY_NOT_READ,
}


def record(engine: Engine, ended: Sequence[Ended]) -> None:
    """Make the end of attempts last.

    A Subscription whose every attempt failed, or that may not be sent anything, goes into error.
    """
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
    failed = {one.attempt.subscription: one.attempt.reason for one in ended if _fails(one)}
    for subscription, reason in failed.items():
        try:
            _fail(engine, subscription, _TEXTS[reason])
        except Exception as error:  # noqa: BLE001 what is recorded must not be recorded again
            log_fault(_log, f"Subscription/{subscription} is not in error yet", error)


def _fails(one: Ended) -> bool:
    return one.attempt.reason in _TEXTS


def _fail(engine: Engine, subscription: str, text: str) -> None:
    with engine.database.read() as connection:
        hook = engine.hooks.named(connection, subscription)
    if hook is not None and hook.is_live(engine.now()):
        subscription_state.move(engine, hook, ERROR, text)
