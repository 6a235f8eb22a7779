"""Where a vendor's reading of a 271 says something else than the 271 itself."""

from collections.abc import Iterable
from decimal import Decimal

from bots.domain.eligibility import Answer, Benefit

Fact = tuple[str | None, Decimal | None, Decimal | None, Decimal | None]
FLAG = "vendor-differs"


def between(told: Answer, source: Answer) -> tuple[str, ...]:
    """Return a flag for each kind of benefit (EB01) whose rows `told` and `source` do not share.

    Only what every shape can carry is compared: kind, service type, amount, percent and quantity.
    """
    left, right = _facts(told.benefits), _facts(source.benefits)
    kinds = sorted(left.keys() | right.keys())
    return tuple(f"{FLAG}:{kind}" for kind in kinds if left.get(kind) != right.get(kind))


def _facts(rows: Iterable[Benefit]) -> dict[str, set[Fact]]:
    found: dict[str, set[Fact]] = {}
    for row in rows:
        fact = (row.service_type, row.amount, row.percent, row.quantity)
        found.setdefault(row.kind, set()).add(fact)
    return found
