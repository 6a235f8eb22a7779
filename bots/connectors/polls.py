"""Asking after what a clearinghouse has taken, until it is finished or the time is up."""

import time
from collections.abc import Callable
from http import HTTPStatus
from itertools import chain, repeat

from bots.connectors import wire
from bots.connectors.wire import Reply
from bots.ports import Failure

PAUSES_S = (0.5, 1.0, 2.0, 3.0)  # and then every LAST_S
LAST_S = 5.0


def until(
    ask: Callable[[], Reply | Failure], is_running: Callable[[Reply], bool], limit: float
) -> Reply | Failure:
    """Return the reply that ends it; the failure that nothing came by `limit` (monotonic).

    One call that is not delivered, or that the clearinghouse has no time for, ends nothing: it is
    the payer's answer that is waited for.
    """
    for pause_s in chain(PAUSES_S, repeat(LAST_S)):
        if time.monotonic() + pause_s > limit:
            return wire.no_answer()
        time.sleep(pause_s)
        reply = ask()
        if isinstance(reply, Failure):
            if reply.code == "not-delivered":
                continue
            return reply
        passes = reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        if passes or reply.status == HTTPStatus.TOO_MANY_REQUESTS:
            continue
        if reply.status >= HTTPStatus.BAD_REQUEST or not is_running(reply):
            return reply
    raise AssertionError("the polls never end")
