"""What an operand asks of the columns of an index table, as SQL with bound arguments."""

from collections.abc import Callable
from typing import Any, Protocol

from server import definitions
from server.search.ranges import COMPARISONS, Asked

Sql = tuple[str, list[Any]]
NEVER = "1 = 0"


class Numbers(Protocol):
    """The numbers under which the store keeps parameters and systems; 0 if there is none yet."""

    def parameter(self, resource_type: str, code: str) -> int:
        """Return the number of a parameter of a type."""
        ...

    def system(self, url: str) -> int:
        """Return the number of a code system or base URL."""
        ...


def _range(kind: str) -> Callable[[Numbers, str, tuple[Any, ...]], Sql]:
    def test(_numbers: Numbers, _modifier: str, operand: tuple[Any, ...]) -> Sql:
        compared = COMPARISONS[kind][operand[0]]
        return compared.sql, compared.bound(Asked(*operand[1:4]))

    return test


def _token(numbers: Numbers, _modifier: str, operand: tuple[Any, ...]) -> Sql:
    system, code = operand
    tests, args = [], []
    if code is not None:
        tests.append("v = ?")
        args.append(code)
    if system is not None:
        tests.append("sys = ?")
        args.append(numbers.system(system))
    return " AND ".join(tests) or "1 = 1", args


def _reference(numbers: Numbers, _modifier: str, operand: tuple[Any, ...]) -> Sql:
    base, kind, fhir_id, given = operand
    own = numbers.system("")
    if kind is None:
        return "tid = ? AND url_id = ?", [fhir_id, own]
    number = definitions.type_numbers().get(kind, 0)
    text, args = "tid = ? AND ttype = ? AND url_id = ?", [fhir_id, number, numbers.system(base)]
    if "://" not in given:
        return text, args
    # It may be a canonical as well. The list lets the index find both.
    both = f"tid IN (?, ?) AND (({text}) OR (tid = ? AND ttype = 0 AND url_id = ?))"
    return both, [fhir_id, given, *args, given, own]


def _string(_numbers: Numbers, modifier: str, operand: tuple[Any, ...]) -> Sql:
    text, given = operand
    if modifier == "exact":
        return "v = ? AND raw = ?", [text, given]
    if modifier == "contains":
        return "v LIKE ? ESCAPE '!'", [f"%{_literal(text)}%"]
    return "v >= ? AND v < ?", [text, text + "\U0010ffff"]


def _literal(text: str) -> str:
    return text.replace("!", "!!").replace("%", "!%").replace("_", "!_")


def _uri(_numbers: Numbers, modifier: str, operand: tuple[Any, ...]) -> Sql:
    value = operand[0]
    if modifier == "below":  # itself, and whatever follows it after a slash; "0" comes after "/"
        return "v = ? OR (v >= ? AND v < ?)", [value, f"{value}/", f"{value}0"]
    if modifier == "above":
        parts = value.split("/")
        above = ["/".join(parts[:end]) for end in range(3, len(parts) + 1)] or [value]
        return f"v IN ({', '.join('?' * len(above))})", above
    return "v = ?", [value]


def _quantity(numbers: Numbers, modifier: str, operand: tuple[Any, ...]) -> Sql:
    test, args = _range("quantity")(numbers, modifier, operand)
    system, unit = (*operand[4:], None, None)[:2]
    if system is not None:
        test += " AND sys = ?"
        args.append(numbers.system(system))
    if unit is not None:
        test += " AND code = ?"
        args.append(unit)
    return test, args


TESTS: dict[str, Callable[[Numbers, str, tuple[Any, ...]], Sql]] = {
    "token": _token,
    "reference": _reference,
    "string": _string,
    "date": _range("date"),
    "quantity": _quantity,
    "uri": _uri,
}


def composite_columns(kind: str, test: str) -> str:
    """Return a test with the names that its columns have in ix_composite."""
    if kind == "reference":
        test = test.replace("url_id", "sys").replace("tid =", "v =")
    if kind == "quantity":
        test = test.replace("code =", "v =")
    return f"({test})"
