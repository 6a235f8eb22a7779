"""The topics as Basic resources, so that clients find them by FHIR.

Source: Subscriptions R5 Backport 1.1, components.html#subscription-topics-in-r4.
"""

from server.interactions import _write
from server.interactions._write import Origin, Writing
from server.interactions.engine import Engine
from server.subscriptions import topics


def install(engine: Engine) -> None:
    """Store each topic of this release, unless it is there as it is."""
    ready = [_write.ready(engine, "Basic", topic) for topic in topics.resources()]

    def work(writing: Writing) -> None:
        for incoming in ready:
            writing.save(incoming, incoming.body["id"], method="PUT")

    _write.transact(engine, Origin(""), work)
