"""What every interaction works with, put together once by the composition root."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from server.interactions.cursor import Seal
from server.interactions.prepared import Prepared
from server.registry import Registry
from server.store.database import Database
from server.subscriptions.dispatch import Dispatch
from server.subscriptions.endpoints import Policy
from server.subscriptions.events import Hooks


@dataclass(frozen=True, slots=True)
class Engine:
    """The store, the compiled Subscriptions and searches, and the outside facts in use.

    `base` is our FHIR base URL; `policy` says where Subscriptions may go; `chain_limit` how many
    deliveries may follow from one another.
    """

    database: Database
    hooks: Hooks
    registry: Registry
    seal: Seal
    prepared: Prepared
    base: str
    policy: Policy
    dispatch: Dispatch
    chain_limit: int
    now: Callable[[], datetime]
    new_id: Callable[[], str]
