"""The same SearchRequest against one resource in memory: what Subscription criteria need.

It must agree with query.py on every clause; a property test holds the two together.
"""

from collections.abc import Callable, Iterable

from server.search.index import Row
from server.search.request import Clause, SearchRequest


def matches(request: SearchRequest, fhir_id: str, updated: int, rows: Iterable[Row]) -> bool:
    """Tell whether a resource meets every clause.

    `rows` are its index rows (index.extract); `updated` is meta.lastUpdated in microseconds.
    """
    by_parameter: dict[str, list[Row]] = {"_id": [(fhir_id,)], "_lastUpdated": [(updated, updated)]}
    for _, code, *rest in rows:
        by_parameter.setdefault(code, []).append(tuple(rest))
    return all(_holds(clause, by_parameter.get(clause.code, [])) for clause in request.clauses)


def _holds(clause: Clause, values: list[Row]) -> bool:
    if clause.modifier == "missing":
        return bool(clause.operands[0][0]) == (not values)
    if clause.code == "_id":
        return any(code == values[0][0] for _, code in clause.operands)
    test = _TESTS[clause.kind]
    found = any(test(clause.modifier, o, value) for o in clause.operands for value in values)
    return not found if clause.modifier == "not" else found


def _token(_modifier: str, operand: Row, value: Row) -> bool:
    system, code = operand
    return (system is None or system == value[0]) and (code is None or code == value[1])


def _reference(_modifier: str, operand: Row, value: Row) -> bool:
    base, kind, fhir_id = operand
    if kind is None:
        return bool(fhir_id == value[2])
    return (base, kind, fhir_id) == value


def _string(modifier: str, operand: Row, value: Row) -> bool:
    if modifier == "exact":
        return bool(operand[1] == value[1])
    wanted, text = operand[0], value[0]
    if modifier == "contains":
        return wanted in text
    return bool(text.startswith(wanted))


def _range(_modifier: str, operand: Row, value: Row) -> bool:
    prefix, low, high = operand[:3]
    within = value[0] >= low and value[1] <= high
    return bool(
        {
            "eq": within,
            "ne": not within,
            "gt": value[1] > high,
            "lt": value[0] < low,
            "ge": value[1] >= low,
            "le": value[0] <= high,
            "sa": value[0] > high,
            "eb": value[1] < low,
        }[prefix]
    )


def _quantity(modifier: str, operand: Row, value: Row) -> bool:
    _, _, _, system, unit = operand
    units = (system is None or system == value[2]) and (unit is None or unit == value[3])
    return units and _range(modifier, operand, value)


_TESTS: dict[str, Callable[[str, Row, Row], bool]] = {
    "token": _token,
    "reference": _reference,
    "string": _string,
    "date": _range,
    "quantity": _quantity,
    "uri": lambda _modifier, operand, value: bool(operand[0] == value[0]),
}
