"""Benefit rows put together: limits with what was used of them and what is left.

A payer sends the limit, the used part and the rest as rows of their own, sometimes under another
network or without the plan name. They are paired here by fixed steps, and what does not fit stays
apart and flagged: nothing is summed, guessed or dropped.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import chain, combinations
from typing import Any

from msgspec import structs

from bots.domain.eligibility import BEGINS_AND_ENDS, RANGES, Benefit

PAIRED_KINDS = frozenset({"A", "B", "C", "F", "G", "J", "K", "Y"})
USED, REMAINING, LIFETIME_LEFT, LIFETIME = "24", "29", "33", "32"
_STATEMENTS = frozenset({"28", "30", "31"})
_EXCEEDED = "30"
_QUANTITY_USED = "99"  # EB09
_NEAR = Decimal("0.01")
_COINSURANCE, _LIMITATION = "A", "F"
_WHOLE = re.compile(r"\d{1,9}(\.\d{1,2})?")
_ANY = frozenset({"W", ""})  # EB12 of what is not of one network alone
_PLAN_NUMBERS = frozenset({"18", "6P", "N6"})  # REF01
# DTP01 of the days for which a row holds; others tell what happened when.
_PERIODS = frozenset({"193", "194", "472", *RANGES, *chain.from_iterable(BEGINS_AND_ENDS)})
ROWS_LIMIT = 60


@dataclass(slots=True)
class Item:
    """One limit or share of the patient, ready to show.

    `row` is the row it comes from (the base, or the accumulator where no base was found); `used`
    and `remaining` are in the row's unit. `derived` names what was computed here.
    """

    row: Benefit
    allowed: Decimal | None
    used: Decimal | None = None
    remaining: Decimal | None = None
    implied_total: Decimal | None = None
    derived: str = ""
    tier: tuple[str, ...] = ()
    flags: list[str] = field(default_factory=list)
    rows: list[Benefit] = field(default_factory=list)


@dataclass(slots=True)
class _Bundle:
    """Accumulator rows that belong together: a used one, a remaining one, or both.

    `twins` are rows that say the same once more.
    """

    rows: list[Benefit]
    tier: tuple[str, ...]
    twins: list[Benefit] = field(default_factory=list)

    def part(self, *roles: str) -> Decimal | None:
        return next((value(r) for r in self.rows if role(r) in roles), None)

    @property
    def used(self) -> Decimal | None:
        return self.part(USED)

    @property
    def remaining(self) -> Decimal | None:
        return self.part(REMAINING, LIFETIME_LEFT)

    @property
    def network(self) -> str:
        return self.rows[0].network

    @property
    def says(self) -> set[tuple[Any, ...]]:
        return {
            (role(r), value(r), r.network, _plan(r), r.period, self.tier, r.auth_raw)
            for r in self.rows
        }

    @property
    def plan(self) -> "_Plan":
        return _plan(self.rows[0])


def pair(benefits: tuple[Benefit, ...]) -> list[Item]:
    """Return the items of all rows of the kinds that have amounts, in the payer's order.

    Beyond ROWS_LIMIT rows of one group nothing is paired: no payer sends so many, and pairing
    takes time by the square of them.
    """
    benefits = tuple(map(_stated, benefits))
    units = _units(benefits)
    groups: dict[Any, list[Benefit]] = {}
    for benefit in benefits:
        if benefit.kind in PAIRED_KINDS:
            groups.setdefault(_group(benefit, units), []).append(benefit)
    items: list[Item] = []
    for rows in groups.values():
        items += _paired(rows) if len(rows) <= ROWS_LIMIT else _unpaired(rows)
    return sorted(items, key=lambda item: (item.row.index, item.row.repeat))


def value(row: Benefit) -> Decimal | None:
    """Return the number of a row, whichever element holds it: EB07, EB10 or EB08."""
    if row.amount is not None:
        return row.amount
    return row.quantity if row.quantity is not None else row.percent


def role(row: Benefit) -> str:
    """Return "" for a base row, else the period code that makes it an accumulator or statement."""
    if row.quantity_unit == _QUANTITY_USED:
        return USED
    return row.period if row.period in {USED, REMAINING, LIFETIME_LEFT} | _STATEMENTS else ""


def _stated(row: Benefit) -> Benefit:
    """Return a row with the number that it means, where that does not stand where it should.

    A coinsurance of $0 beside a percentage is that percentage; a limitation without a number has
    that of its only HSD.
    """
    if row.kind == _COINSURANCE and row.amount == 0 and row.percent:
        return structs.replace(row, amount=None)
    if row.kind == _LIMITATION and value(row) is None and len(row.deliveries) == 1:
        (one,) = row.deliveries
        if one.qualifier and _WHOLE.fullmatch(one.quantity):
            return structs.replace(row, quantity=Decimal(one.quantity), quantity_unit=one.qualifier)
    return row


_Plan = tuple[str, str, frozenset[str]]


def _plan(row: Benefit) -> _Plan:
    """Return what tells plans apart: insurance type, name, and numbers of plan or network."""
    numbers = frozenset(i.value for i in row.identifiers if i.qualifier in _PLAN_NUMBERS)
    return row.insurance_type, row.plan_name, numbers


def _agree(one: _Plan, other: _Plan) -> bool:
    """Tell whether two rows may be of the same plan: what one does not say, the other may."""
    return all(a == b or not a or not b for a, b in zip(one, other, strict=True))


_Units = dict[tuple[str, str | None, str], list[str]]


def _group(row: Benefit, units: _Units) -> tuple[Any, ...]:
    """Return what rows must share to be about the same limit."""
    return (
        row.kind,
        row.service_type,
        row.level,
        row.procedure,
        frozenset(row.places),
        row.entities,
        tuple(one for one in row.dates if one.qualifier in _PERIODS),
        _unit(row, units),
    )


def _units(benefits: tuple[Benefit, ...]) -> _Units:
    """Return the units that rows of the same kind, type and level count in, in their order."""
    found: _Units = {}
    for b in benefits:
        if value(b) is not None and b.quantity_unit != _QUANTITY_USED:
            found.setdefault((b.kind, b.service_type, b.level), []).append(_plain_unit(b))
    return found


def _unit(row: Benefit, units: _Units) -> str:
    """Return what a row counts in; a row that does not say counts in what its fellows do."""
    if row.quantity_unit == _QUANTITY_USED or value(row) is None:
        fellows = units.get((row.kind, row.service_type, row.level), [])
        counts = row.quantity is not None
        fitting = (unit for unit in fellows if not counts or unit not in ("money", "percent"))
        return next(fitting, row.quantity_unit)
    return _plain_unit(row)


def _plain_unit(row: Benefit) -> str:
    if row.amount is not None:
        return "money"
    return row.quantity_unit if row.quantity is not None else "percent"


def _unpaired(rows: list[Benefit]) -> Iterator[Item]:
    yield from (Item(row, value(row), flags=["too-many-rows"], rows=[row]) for row in rows)


def _paired(rows: list[Benefit]) -> Iterator[Item]:
    common = set.intersection(*(set(row.messages) for row in rows))
    tiers = {id(row): tuple(m for m in row.messages if m not in common) for row in rows}
    bases = _bases([r for r in rows if not role(r)], tiers)
    bundles = _bundles([r for r in rows if role(r) in (USED, REMAINING, LIFETIME_LEFT)], tiers)
    alone = []
    for bundle in bundles:
        fitting, mismatch = _fitting(bundle, bases)
        for item in fitting:
            _attach(item, bundle)
        if not fitting:
            alone.append(_alone(bundle, mismatch=mismatch))
    stated = [_statement(row, bases) for row in rows if role(row) in _STATEMENTS]
    yield from (_completed(item) for item in (*bases, *alone, *stated))


def _bases(rows: list[Benefit], tiers: dict[int, tuple[str, ...]]) -> list[Item]:
    items: list[Item] = []
    seen: dict[Any, Item] = {}
    for row in rows:
        kind = (row.network, row.period, tiers[id(row)])
        twin = seen.get((kind, value(row), row.auth_raw, _plan(row)))
        if twin is not None:
            twin.rows.append(row)
            continue
        item = Item(row, value(row), tier=tiers[id(row)], rows=[row])
        rival = next(
            (
                i for (other, amount, _, plan), i in seen.items()
                if other == kind and amount != value(row) and _agree(plan, _plan(row))
            ), None,
        )  # fmt: skip
        if rival is not None:
            item.flags.append("ambiguous-base")
            rival.flags.append("ambiguous-base")
        seen[kind, value(row), row.auth_raw, _plan(row)] = item
        items.append(item)
    return items


def _bundles(rows: list[Benefit], tiers: dict[int, tuple[str, ...]]) -> list[_Bundle]:
    bundles: list[_Bundle] = []
    for row in rows:
        last = bundles[-1] if bundles else None
        if last is not None and _continues(last, row, tiers[id(row)]):
            last.rows.append(row)
        else:
            bundles.append(_Bundle([row], tiers[id(row)]))
    return _once(bundles)


def _once(bundles: list[_Bundle]) -> list[_Bundle]:
    """Return the bundles without those that only say once more what another one says."""
    kept: list[_Bundle] = []
    for bundle in bundles:
        first = next((one for one in kept if bundle.says <= one.says), None)
        if first is None:
            kept.append(bundle)
        else:
            first.twins += bundle.rows
    return kept


def _continues(bundle: _Bundle, row: Benefit, tier: tuple[str, ...]) -> bool:
    first = bundle.rows[0]
    apart = {role(first), role(row)}
    same = (first.network, bundle.plan, bundle.tier) == (row.network, _plan(row), tier)
    follows = row.index == first.index + 1
    return len(bundle.rows) == 1 and follows and len(apart) > 1 and USED in apart and same


def _fitting(bundle: _Bundle, bases: list[Item]) -> tuple[list[Item], bool]:
    """Return the bases that a bundle belongs to, and whether only arithmetic kept it apart."""
    near = [i for i in bases if _same_plan(bundle, i, bases) and _lifetimes_agree(bundle, i, bases)]
    exact = [i for i in near if _plan(i.row) == bundle.plan]
    near = exact or [i for i in near if i.row.insurance_type == bundle.plan[0]] or near
    equal = [i for i in near if i.row.network == bundle.network]
    spread = bundle.network in _ANY
    near = equal or [i for i in near if spread or i.row.network in _ANY]
    fitting = [i for i in near if _adds_up(bundle, i)]
    plans = {_plan(i.row) for i in fitting}
    if any(not _agree(*pair) for pair in combinations(plans, 2)):
        fitting = []  # of which of the plans it is, the payer does not say
    elif not spread:
        fitting = fitting[:1]
    return fitting, bool(near) and not fitting


def _same_plan(bundle: _Bundle, item: Item, bases: list[Item]) -> bool:
    if not _agree(bundle.plan, _plan(item.row)):
        return False
    key = (item.row.network, _plan(item.row))
    only = sum(1 for i in bases if (i.row.network, _plan(i.row)) == key) == 1
    return bundle.tier == item.tier or only


def _lifetimes_agree(bundle: _Bundle, item: Item, bases: list[Item]) -> bool:
    lifetime = item.row.period == LIFETIME
    if any(role(row) == LIFETIME_LEFT for row in bundle.rows):
        return lifetime
    return not lifetime or all(i.row.period == LIFETIME for i in bases)


def _adds_up(bundle: _Bundle, item: Item) -> bool:
    left, used, allowed = bundle.remaining, bundle.used, item.allowed
    if used is not None and item.used is not None:
        return False
    if left is None:
        return True
    if item.remaining is not None or allowed is None or left > allowed:
        return False
    return used is None or abs(allowed - used - left) <= _NEAR


def _attach(item: Item, bundle: _Bundle) -> None:
    item.used = bundle.used if bundle.used is not None else item.used
    item.remaining = bundle.remaining if bundle.remaining is not None else item.remaining
    item.rows.extend([*bundle.rows, *bundle.twins])


def _alone(bundle: _Bundle, *, mismatch: bool) -> Item:
    total = None
    if bundle.used is not None and bundle.remaining is not None:
        total = bundle.used + bundle.remaining
    flag = "accumulator-mismatch" if mismatch else "accumulator-without-base"
    return Item(
        bundle.rows[0],
        None,
        bundle.used,
        bundle.remaining,
        total,
        tier=bundle.tier,
        flags=[flag],
        rows=[*bundle.rows, *bundle.twins],
    )


def _statement(row: Benefit, items: list[Item]) -> Item:
    """Return the item of "outlier", "exceeded" or "not exceeded", and mark limits it exhausts."""
    if role(row) == _EXCEEDED:
        for item in items:
            is_here = item.row.network == row.network or {item.row.network, row.network} & _ANY
            if is_here and item.allowed is not None:
                item.flags.append("exhausted")
                item.remaining = Decimal(0) if item.remaining is None else item.remaining
    return Item(row, value(row), rows=[row])


def _completed(item: Item) -> Item:
    """Compute the one value of three that the payer left out, and say that it was computed."""
    if item.allowed is None or role(item.row):
        return item
    if item.used is None and item.remaining is not None and item.remaining >= 0:
        item.used, item.derived = item.allowed - item.remaining, "used = allowed - remaining"
    elif item.remaining is None and item.used is not None:
        item.remaining = max(Decimal(0), item.allowed - item.used)
        item.derived = "remaining = allowed - used"
        if item.used > item.allowed:
            item.flags.append("used-above-allowed")
    elif (
        item.used is not None
        and item.remaining is not None
        and abs(item.allowed - item.used - item.remaining) > _NEAR
    ):
        item.flags.append("accumulator-conflict")
    return item
