"""Several routes as one: the first in order that can answer does (X12 270/271 failover rules).

Only what never reached the payer goes to the next route: transport failures, and AAA 42 or 80.
A payer's word on the data is the same by every route, so it ends the search. What did not even
leave is tried once more by the same route; a route that keeps failing for a payer is left alone.
What the payer directory says goes first: its order, and which routes may not be used yet.
"""

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from bots.connectors.breaker import Breaker
from bots.connectors.pace import Full, Pace
from bots.domain.eligibility import Answer, Inquiry
from bots.domain.verdict import may_be_asked_again
from bots.ports import Clearinghouse, Exchange, Failure, Finding
from fhir_profiles.payers import Enrolment

_NEXT_ROUTE = frozenset(
    {"not-delivered", "route-failed", "throttled", "credentials", "payer-not-on-route",
     "no-answer", "route-paused", "enrolment-needed", "enrolment-pending"}
)  # fmt: skip
_TROUBLE = frozenset({"not-delivered", "route-failed", "no-answer"})  # nobody answered
# What the payer directory says of a route that may not be used.
_CLOSED: dict[str, Failure] = {
    Enrolment.NOT_SUPPORTED: Failure(
        "payer-not-on-route", "The payer cannot be asked by this route.",
        again=False, supported=False,
    ),
    Enrolment.NEEDED: Failure(
        "enrolment-needed", "The payer takes questions only from who is enrolled.", again=False
    ),
    Enrolment.PENDING: Failure(
        "enrolment-pending", "The enrolment with the payer is not complete yet.", again=False
    ),
}  # fmt: skip
LEAST_S = 0.1
PATIENCE = 0.25  # the share of its time that a question may wait for its turn
WHOLE = 2  # a check by all routes takes at most so many times the time of one


class Route:
    """Clearinghouses in order of preference; knows none of them."""

    name = "route"

    def __init__(
        self,
        clearinghouses: Sequence[Clearinghouse],
        now: Callable[[], float] = time.monotonic,
        pace: Pace | None = None,
        longest_s: float = 65.0,
    ) -> None:
        """Keep the order; without a `pace` nothing is limited. Raises ValueError for no route.

        However long a question may take, it is over after `longest_s`.
        """
        if not clearinghouses:
            raise ValueError("expected at least one clearinghouse")
        self._clearinghouses = tuple(clearinghouses)
        self._breaker = Breaker(now)
        self._pace = pace or Pace({}, 0, now)
        self._now = now
        self._longest_s = longest_s
        self._pause = threading.Event()  # never set: it only waits
        systems = [s for one in clearinghouses for s in one.payer_systems]
        self.payer_systems = tuple(dict.fromkeys(systems))

    def check(self, inquiry: Inquiry, *, timeout_s: float) -> Exchange:
        """Return the first exchange that settles the question, else the most hopeful failure."""
        limit = self._now() + min(timeout_s * WHOLE, self._longest_s)
        ids = [inquiry.payer_id, *(value for _, value in inquiry.route_payer_ids)]
        payer = next((one for one in ids if one), "")
        keys = (f"payer {payer}", f"provider {inquiry.provider_npi}")
        try:
            with self._pace.turn(keys, background=inquiry.background, wait_s=timeout_s * PATIENCE):
                return self._by_routes(inquiry, timeout_s, limit)
        except Full as error:
            return Exchange(self._ordered(inquiry)[0].name, failure=_throttled(error))

    def _by_routes(self, inquiry: Inquiry, timeout_s: float, limit: float) -> Exchange:
        failed: list[Exchange] = []
        for clearinghouse in self._ordered(inquiry):
            left_s = min(timeout_s, limit - self._now())
            if left_s <= 0 and failed:
                break
            exchange = self._asked(clearinghouse, inquiry, max(left_s, LEAST_S))
            if not _failed(exchange, _NEXT_ROUTE):
                return replace(exchange, earlier=tuple(failed))
            failed.append(exchange)
        answers = [e for e in failed if e.answer is not None]
        hopeful = [e for e in failed if e.failure is not None and e.failure.again]
        supported = [e for e in failed if e.failure is not None and e.failure.supported]
        best = (answers or hopeful or supported or failed)[0]
        return replace(best, earlier=tuple(one for one in failed if one is not best))

    def _ordered(self, inquiry: Inquiry) -> list[Clearinghouse]:
        """Return the routes as the directory prefers them for this payer, then the others."""
        preferred = [name for name, _ in inquiry.routes]
        last = len(preferred)
        return sorted(
            self._clearinghouses,
            key=lambda one: preferred.index(one.name) if one.name in preferred else last,
        )

    def _asked(self, one: Clearinghouse, inquiry: Inquiry, timeout_s: float) -> Exchange:
        closed = _CLOSED.get(dict(inquiry.routes).get(one.name, ""))
        if closed is not None:
            return Exchange(one.name, failure=closed)
        payer = inquiry.at(one.payer_systems[0]).payer_id
        wait_s = self._breaker.wait_s(one.name, payer)
        if wait_s > 0:
            text = "This route has failed for this payer again and again: it is left alone."
            paused = Failure("route-paused", text, again=True, after_s=math.ceil(wait_s))
            return Exchange(one.name, failure=paused)
        limit = self._now() + timeout_s
        exchange = self._sent(one, inquiry, limit)
        is_undelivered = exchange.failure is not None and exchange.failure.code == "not-delivered"
        if is_undelivered and self._now() < limit:
            exchange = self._sent(one, inquiry, limit)
        self._breaker.heard(one.name, payer, failed=_failed(exchange, _TROUBLE))
        return replace(exchange, payer_id=payer if exchange.sent else "")

    def _sent(self, one: Clearinghouse, inquiry: Inquiry, limit: float) -> Exchange:
        """Return what came of one question, sent when it is its turn on the route."""
        try:
            wait_s = self._pace.slot_s(one.name, within_s=(limit - self._now()) * PATIENCE)
        except Full as error:
            return Exchange(one.name, failure=_throttled(error))
        self._pause.wait(wait_s)
        return one.check(inquiry, timeout_s=max(limit - self._now(), LEAST_S))

    def probe(self, *, timeout_s: float) -> list[Finding]:
        """Return what each route shows, each finding with its route's name."""
        return [
            replace(found, what=f"{one.name}: {found.what}")
            for one in self._clearinghouses
            for found in one.probe(timeout_s=timeout_s)
        ]

    def reread(self, route: str, sent: bytes, received: bytes) -> tuple[Inquiry, Answer] | None:
        """Return what the route of that name reads in the bytes, None where there is no answer."""
        known = (one for one in self._clearinghouses if one.name == route)
        return next((one.reread(route, sent, received) for one in known), None)


def _throttled(error: Full) -> Failure:
    text = f"Too many at once: {error}."
    return Failure("throttled", text, again=True, after_s=math.ceil(error.after_s))


def _failed(exchange: Exchange, codes: frozenset[str]) -> bool:
    """Tell whether it failed in one of these ways, or the payer behind the route is down."""
    if exchange.failure is not None:
        return exchange.failure.code in codes
    return exchange.answer is not None and may_be_asked_again(exchange.answer)
