"""What a visit of a known price may cost the patient, by what the payer stated of its services.

No element of a 271 says whether the deductible comes before a copay or a share, so the answer is a
range between the ways in which the stated rows can be read. Every way adds up to the cent. What is
not stated never counts as zero: it widens the range, and is named. Amounts are US dollars.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from itertools import product
from operator import attrgetter
from typing import Any

from fhir_profiles import elements, systems
from server.web import lines

Resource = dict[str, Any]
_PRICE = re.compile(r"[0-9]{1,7}(\.[0-9]{1,2})?")
_TOTAL = attrgetter("total")
_CENT, _HUNDRED, _NOTHING = Decimal("0.01"), Decimal(100), Decimal(0)
_COPAY, _COINSURANCE, _DEDUCTIBLE, _OUT_OF_POCKET = "B", "A", "C", "G"  # EB01


@dataclass(frozen=True, slots=True)
class Part:
    """One step of the arithmetic; what a limit takes away is negative."""

    name: str
    amount: Decimal

    def __str__(self) -> str:
        """Return the step as people read it."""
        return f"{self.name} {dollars(self.amount)}"


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to read the payer's rows: its steps, which add up to what the patient pays."""

    parts: tuple[Part, ...]

    @property
    def total(self) -> Decimal:
        """What the patient pays."""
        return sum((part.amount for part in self.parts), _NOTHING)


@dataclass(frozen=True, slots=True)
class Estimate:
    """The least and the most that the patient pays of a price, and what is not known."""

    price: Decimal
    least: Reading
    most: Reading
    open_points: list[str]

    @property
    def amount(self) -> str:
        """The range, or the one amount that all readings give."""
        least, most = self.least.total, self.most.total
        return dollars(most) if least == most else f"{dollars(least)} to {dollars(most)}"

    @property
    def of_price(self) -> str:
        """The price."""
        return dollars(self.price)

    @property
    def ways(self) -> list[tuple[str, str]]:
        """The readings to show: what each comes to, and its steps."""
        named = [("At least", self.least), ("At most", self.most)]
        if self.least.total == self.most.total:
            named = [("Patient pays", self.most)]
        return [
            (f"{name} {dollars(one.total)}", " + ".join(str(part) for part in one.parts))
            for name, one in named
        ]


@dataclass(frozen=True, slots=True)
class Quote:
    """What a person wrote as the price of a visit, and what comes of it."""

    price: str
    is_wrong: bool
    estimate: Estimate | None


def quote(items: list[Resource], asked: Iterable[str], written: str) -> Quote:
    """Return the estimate for a price as it was written, "" where none was."""
    amount = price(written)
    found = estimate(items, asked, amount) if amount else None
    return Quote(written, bool(written) and amount is None, found)


def price(written: str) -> Decimal | None:
    """Return a price as people write it (250, $1,250.00), None where it is none or nothing."""
    plain = written.strip().removeprefix("$").replace(",", "")
    return Decimal(plain) or None if _PRICE.fullmatch(plain) else None


def dollars(amount: Decimal) -> str:
    """Return an amount of dollars, a negative one with its sign in front."""
    return f"{'−' if amount < 0 else ''}${abs(amount):,.2f}"


def estimate(items: list[Resource], asked: Iterable[str], price: Decimal) -> Estimate | None:
    """Return what the patient pays of `price` for the service types `asked`, in network.

    None where the payer stated neither a copay nor a share for them, nor that it excludes them.
    """
    wanted = lines.of_visit(asked)
    terms = list(_terms(items, wanted))
    if not terms:
        if not lines.excluded(items, wanted):
            return None
        whole = Reading((Part("not covered by the plan", price),))
        return Estimate(price, whole, whole, [])
    limit = _least_left(items, _OUT_OF_POCKET, lines.PLAN)
    deductibles, points = _deductibles(items, wanted, price)
    if limit is None:
        points.append("What is left until the out-of-pocket limit is not stated.")
    if any(map(lines.is_unstated, _with_terms(items, wanted))):
        points.append("The payer does not say in which network these amounts hold.")
    named = lines.names(_with_terms(items, wanted))
    if len(named) > 1:
        points.append(f"Stated for {', '.join(named)}: the range covers each of them.")
    readings = [_reading(price, first, term, limit) for first, term in product(deductibles, terms)]
    return Estimate(price, min(readings, key=_TOTAL), max(readings, key=_TOTAL), points)


def _deductibles(
    items: list[Resource], wanted: list[str], price: Decimal
) -> tuple[list[Decimal], list[str]]:
    """Return what the deductible may take first, and what is not stated about it.

    One that is stated for the service itself applies to it; the plan's may or may not.
    """
    own = _least_left(items, _DEDUCTIBLE, wanted)
    if own is not None:
        return [own], []
    left = _least_left(items, _DEDUCTIBLE, lines.PLAN)
    if left is None:
        text = "What is left of the deductible is not stated: it may take the whole price."
        return [_NOTHING, price], [text]
    text = "Whether the deductible applies to this service is not stated."
    return [_NOTHING, left], [text] if left else []


def _with_terms(items: list[Resource], wanted: list[str]) -> Iterator[Resource]:
    for kind in (_COPAY, _COINSURANCE):
        yield from lines.in_network(items, kind, wanted)


_Term = tuple[Decimal | None, Decimal | None]  # a copay, a share as a fraction


def _terms(items: list[Resource], wanted: list[str]) -> Iterator[_Term]:
    """Yield the copays and shares stated for the services, alone, and together where both are."""
    copays = [v for i in lines.in_network(items, _COPAY, wanted) if (v := _allowed(i)) is not None]
    found = lines.in_network(items, _COINSURANCE, wanted)
    shares = [s for i in found if (s := _share(i)) is not None]
    yield from ((copay, None) for copay in copays)
    yield from ((None, share) for share in shares)
    yield from product(copays, shares)


def _reading(price: Decimal, first: Decimal, term: _Term, limit: Decimal | None) -> Reading:
    """Return what the patient pays where the deductible takes `first`, then the term applies."""
    parts = []
    taken = min(first, price)
    if taken:
        parts.append(Part("deductible", taken))
    rest = price - taken
    copay, share = term
    if copay is not None and rest:
        parts.append(Part("copay", min(copay, rest)))
        rest -= min(copay, rest)
    if share is not None and rest:
        percent = (share * _HUNDRED).normalize()
        part = (rest * share).quantize(_CENT, ROUND_HALF_UP)
        parts.append(Part(f"coinsurance ({percent:f}% of {dollars(rest)})", part))
    over = sum((part.amount for part in parts), _NOTHING) - (price if limit is None else limit)
    if over > 0:
        parts.append(Part("beyond the out-of-pocket limit", -over))
    return Reading(tuple(parts) or (Part("nothing", _NOTHING),))


def _least_left(items: list[Resource], kind: str, services: Collection[str]) -> Decimal | None:
    """Return the least that is left of a limit, individual or family, None if nothing is stated.

    Whichever is reached first ends it.
    """
    found = lines.in_network(items, kind, services)
    return min((v for i in found if (v := _left(i)) is not None), default=None)


def _left(item: Resource) -> Decimal | None:
    left = elements.extension_value(item, systems.EXT_REMAINING)
    amount = _dollars(left)
    if amount is None and _allowed(item) == 0:
        return _NOTHING  # of a limit of zero nothing can be left
    return amount


def _allowed(item: Resource) -> Decimal | None:
    return _dollars(item["benefit"][0].get("allowedMoney"))


def _share(item: Resource) -> Decimal | None:
    value = elements.extension_value(item, systems.EXT_PERCENT)
    return Decimal(value) if value is not None and 0 <= value <= 1 else None


def _dollars(money: Any) -> Decimal | None:
    if not isinstance(money, dict) or money.get("currency") != "USD" or "value" not in money:
        return None
    return Decimal(money["value"]) if money["value"] >= 0 else None
