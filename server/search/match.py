"""The same SearchRequest against one resource in memory: what Subscription criteria need.

It must agree with query.py on every clause; a property test holds the two together. Conditions
that lead to other resources cannot be answered from one: `is_local` tells.
"""

from collections.abc import Callable, Iterable

from server.search.conditions import AnyOf, Clause, Condition, SearchRequest
from server.search.index import Row
from server.search.ranges import DATE, NUMBER, Asked, Stored

Values = dict[str, list[Row]]


def is_local(request: SearchRequest) -> bool:
    """Tell whether one resource alone can answer, at any time.

    That is: no chain, no _has, no full text, no distance, and no date that is near to now.
    """
    conditions = [one for _, found in request.branches for one in found]
    return not request.words and all(_is_local(one) for one in conditions)


def _is_local(condition: Condition) -> bool:
    if isinstance(condition, AnyOf):
        return all(map(_is_local, condition.conditions))
    if not isinstance(condition, Clause) or condition.kind in ("near", "special"):
        return False
    parts = condition.operands
    if condition.kind == "composite":
        parts = tuple(part for operand in parts for part in operand)
    return condition.kind not in ("date", "composite") or all(part[0] != "ap" for part in parts)


def matches(request: SearchRequest, fhir_id: str, updated: int, rows: Iterable[Row]) -> bool:
    """Tell whether a resource of the searched type meets every condition; see values_of."""
    return meets(request, values_of(fhir_id, updated, rows))


def values_of(fhir_id: str, updated: int, rows: Iterable[Row]) -> Values:
    """Return what a resource can be searched by: the rest of its index rows, by parameter.

    `rows` are its index rows (index.extract); `updated` is meta.lastUpdated in microseconds.
    """
    by_parameter: Values = {"_id": [(fhir_id,)], "_lastUpdated": [(updated, updated)]}
    for row in rows:
        by_parameter.setdefault(row[1], []).append(row[2:])
    return by_parameter


def meets(request: SearchRequest, values: Values) -> bool:
    """Tell whether a resource of the searched type, given by its values, meets every condition."""
    return all(_holds(one, values) for one in request.branches[0][1])


def keys_of(request: SearchRequest) -> tuple[str, frozenset[str]] | None:
    """Return a parameter and values of it, one of which every match has; None where there is none.

    So that of many requests only those are looked at whose values a resource has.
    """
    for condition in request.branches[0][1]:
        if not isinstance(condition, Clause) or condition.modifier:
            continue
        found = _keys(condition)
        if found and None not in found:
            return condition.code, frozenset(str(key) for key in found)
    return None


def keys_in(code: str, values: Values) -> set[str]:
    """Return the values of a parameter as keys_of names them."""
    place = 0 if code == "_id" else -1
    return {str(value[place]) for value in values.get(code, ()) if value}


def _keys(condition: Clause) -> list[str | None]:
    if condition.kind == "token":
        return [code for _, code in condition.operands]
    if condition.kind == "reference":
        # A stored reference is known by its id, one that is no Type/id by its whole text.
        return [key for _, _, fhir_id, given in condition.operands for key in (fhir_id, given)]
    return []


def _holds(condition: Condition, by_parameter: Values) -> bool:
    if isinstance(condition, AnyOf):
        return any(_holds(one, by_parameter) for one in condition.conditions)
    if not isinstance(condition, Clause):
        raise TypeError("only a local condition can be matched in memory")
    values = by_parameter.get(condition.code, [])
    if condition.modifier == "missing":
        return bool(condition.operands[0][0]) == (not values)
    if condition.code == "_id":
        return any(code == values[0][0] for _, code in condition.operands)
    if condition.kind == "composite":
        return any(_composite(condition.parts, o, values) for o in condition.operands)
    test = _TESTS[condition.kind]
    found = any(test(condition.modifier, o, value) for o in condition.operands for value in values)
    return not found if condition.modifier == "not" else found


def _composite(parts: tuple[str, ...], operand: Row, values: list[Row]) -> bool:
    elements: dict[int, set[int]] = {}
    for element, place, row in values:
        if _TESTS[parts[place]]("", operand[place], row[1:]):
            elements.setdefault(element, set()).add(place)
    return any(len(met) == len(parts) for met in elements.values())


def _token(_modifier: str, operand: Row, value: Row) -> bool:
    system, code = operand
    return (system is None or system == value[0]) and (code is None or code == value[1])


def _reference(_modifier: str, operand: Row, value: Row) -> bool:
    base, kind, fhir_id, given = operand
    if kind is None:
        return bool(fhir_id == value[2] and value[0] == "")
    return value in ((base, kind, fhir_id), ("", "", given))


def _string(modifier: str, operand: Row, value: Row) -> bool:
    if modifier == "exact":
        return bool(operand[1] == value[1])
    wanted, text = operand[0], value[0]
    if modifier == "contains":
        return wanted in text
    return bool(text.startswith(wanted))


def _date(_modifier: str, operand: Row, value: Row) -> bool:
    return DATE[operand[0]].holds(Stored(*value), Asked(*operand[1:]))


def _quantity(_modifier: str, operand: Row, value: Row) -> bool:
    system, unit = (*operand[4:], None, None)[:2]
    units = (system is None or system == value[2]) and (unit is None or unit == value[3])
    return units and NUMBER[operand[0]].holds(Stored(*value[:2]), Asked(*operand[1:4]))


def _uri(modifier: str, operand: Row, value: Row) -> bool:
    wanted, there = operand[0], value[0]
    if modifier == "below":
        return bool(there == wanted or there.startswith(f"{wanted}/"))
    if modifier == "above":
        least = "/".join(wanted.split("/")[:3])
        return bool(
            wanted == there or (wanted.startswith(f"{there}/") and len(there) >= len(least))
        )
    return bool(wanted == there)


_TESTS: dict[str, Callable[[str, Row, Row], bool]] = {
    "token": _token,
    "reference": _reference,
    "string": _string,
    "date": _date,
    "quantity": _quantity,
    "uri": _uri,
}
