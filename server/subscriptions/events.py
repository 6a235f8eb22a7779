"""Which Subscriptions a write concerns: matched inside its transaction, against compiled hooks."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from fhir_profiles import codec
from server.registry import Registry
from server.search.index import Row
from server.search.match import matches
from server.search.values import micros
from server.store import deliveries
from server.store.connection import Connection
from server.subscriptions import criteria
from server.subscriptions.criteria import Hook

EVENTS = 0  # the guard of numbering; those of resource types have their numbers, from 1


@dataclass(frozen=True, slots=True)
class Event:
    """One new version of a resource. `rows` are its index rows, or the last ones if deleted."""

    type: str
    id: str
    interaction: str
    rid: int
    vrid: int
    moment: datetime
    rows: frozenset[Row]
    trace: str


class Hooks:
    """The compiled Subscriptions, read anew when any of them changes, in whichever process."""

    def __init__(self, base: str, registry: Registry) -> None:
        """Know none yet; `base` is our FHIR base URL."""
        self._base = base
        self._registry = registry
        # Both in one, so that threads need no lock: who waits for the database may hold none.
        self._kept: tuple[tuple[int, int], dict[int, Hook]] = ((-1, -1), {})

    def by_row(self, connection: Connection) -> dict[int, Hook]:
        """Return every Subscription that is not deleted, by its resource row."""
        return self.at(connection, deliveries.epochs(connection))

    def at(self, connection: Connection, epochs: tuple[int, int]) -> dict[int, Hook]:
        """Return the same at epochs that were read already."""
        known, hooks = self._kept
        if epochs != known:
            found = deliveries.subscriptions(connection)
            parameters = self._registry.at(connection, epochs[1])
            hooks = {
                rid: criteria.hook(rid, codec.decode(body), secret, self._base, parameters)
                for rid, body, secret in found
            }
            self._kept = epochs, hooks
        return hooks


def concerned(hooks: Iterable[Hook], event: Event) -> list[int]:
    """Return the rows of the Subscriptions that `event` concerns."""
    return [hook.rid for hook in hooks if _concerns(hook, event)]


def record(
    connection: Connection, found: Iterable[tuple[int, Event]], new_id: Callable[[], str]
) -> None:
    """Add a delivery for each Subscription (its row) and event, at the end of a transaction.

    Two that number events would wait for each other otherwise: by one guard all events are
    numbered, and who has it waits for no row of a resource any more.
    """
    connection.guard(EVENTS)
    for subscription, event in found:
        deliveries.add(
            connection,
            subscription=subscription,
            rid=event.rid,
            vrid=event.vrid,
            uid=new_id(),
            trace=event.trace,
            due_at=micros(event.moment),
        )


def _concerns(hook: Hook, event: Event) -> bool:
    if hook.request.type != event.type or event.interaction not in hook.interactions:
        return False
    if not hook.is_live(event.moment):
        return False
    return matches(hook.request, event.id, micros(event.moment), event.rows)
