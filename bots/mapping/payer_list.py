"""A list of payers as a file, our CSV or JSON or a clearinghouse's JSON, as rows that were checked.

Ids are text, for their leading zeros count: a JSON that has numbers instead is refused.
"""

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from jsonschema import Draft202012Validator

from fhir_profiles import codec, systems
from fhir_profiles.payers import SYSTEMS, Enrolment, Support

_PLAIN = ("name", "aliases", "phone", "support", "valid_from")
REASON_LIMIT = 200  # characters
_MANY = ";"  # between the aliases, and between the supports, of one CSV field
_TEXT = {"type": "string", "minLength": 1, "maxLength": 200}
_TEXTS = {"type": "array", "items": _TEXT}
_OURS = Draft202012Validator({
    "type": "object",
    "required": ["name", "ids"],
    "additionalProperties": False,
    "properties": {
        "name": _TEXT,
        "aliases": _TEXTS,
        "phone": _TEXT,
        "valid_from": _TEXT,
        "ids": {"type": "array", "items": {
            "type": "object",
            "required": ["system", "value"],
            "additionalProperties": False,
            "properties": {
                "system": {"enum": list(SYSTEMS)}, "value": _TEXT, "transactions": _TEXTS,
            },
        }},
        "support": {"type": "array", "items": {
            "type": "object",
            "required": ["transaction", "route", "state"],
            "additionalProperties": False,
            "properties": {
                "transaction": _TEXT, "route": _TEXT, "since": _TEXT,
                "state": {"enum": [one.value for one in Enrolment]},
            },
        }},
    },
})  # fmt: skip
_STEDI = Draft202012Validator({
    "type": "object",
    "required": ["stediId", "displayName", "primaryPayerId"],
    "properties": {
        "stediId": _TEXT, "displayName": _TEXT, "primaryPayerId": _TEXT,
        "aliases": _TEXTS, "names": _TEXTS, "transactionSupport": {"type": "object"},
    },
})  # fmt: skip
_STEDI_TRANSACTIONS = {
    "eligibilityCheck": "270",
    "claimStatus": "276",
    "claimPayment": "835",
    "professionalClaimSubmission": "837P",
    "institutionalClaimSubmission": "837I",
    "dentalClaimSubmission": "837D",
}
_STEDI_STATES = {
    "SUPPORTED": Enrolment.SUPPORTED,
    "NOT_SUPPORTED": Enrolment.NOT_SUPPORTED,
    "ENROLLMENT_REQUIRED": Enrolment.NEEDED,
}


class NotAList(Exception):
    """The file as a whole is no list of payers; the message says what was expected."""


@dataclass(frozen=True, slots=True)
class Id:
    """One id of a payer; no `transactions` means all, `is_alias` one to find it by only."""

    system: str
    value: str
    transactions: tuple[str, ...] = ()
    is_alias: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One payer of the list. `place` is its line in a CSV, its number in a JSON, from 1.

    `wrong` says what is wrong with it, "" if nothing is. What a vendor's list says of `support` is
    what the payer asks for, and not how far this practice is.
    """

    place: int
    name: str = ""
    aliases: tuple[str, ...] = ()
    ids: tuple[Id, ...] = ()
    phone: str = ""
    support: tuple[Support, ...] = ()
    valid_from: date | None = None
    is_vendors: bool = False
    wrong: str = ""


def read(content: bytes, *, is_json: bool) -> list[Row]:
    """Return the rows of a file, each as it is or with what is wrong. Raises NotAList."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise NotAList("expected UTF-8; save the list in that encoding") from error
    rows = list(_json(text) if is_json else _csv(text))
    if not rows:
        raise NotAList("expected at least one payer")
    return rows


def _json(text: str) -> Iterator[Row]:
    try:
        body = codec.decode(text.encode())
    except ValueError as error:
        raise NotAList("expected JSON") from error
    for name, validator, build in (("payers", _OURS, _of_ours), ("items", _STEDI, _of_stedi)):
        listed = body.get(name) if isinstance(body, dict) else None
        if isinstance(listed, list):
            for place, one in enumerate(listed, 1):
                wrong = next(validator.iter_errors(one), None)
                if wrong is None:
                    yield _checked(place, one, build)
                else:
                    yield Row(place, wrong=f"{wrong.json_path}: {wrong.message}"[:REASON_LIMIT])
            return
    raise NotAList('expected {"payers": [...]} or {"items": [...]}')


def _of_ours(place: int, one: dict[str, Any]) -> Row:
    found = [
        Id(SYSTEMS[i["system"]], i["value"].strip(), tuple(i.get("transactions", ())))
        for i in one["ids"]
    ]
    return Row(
        place,
        one["name"].strip(),
        tuple(one.get("aliases", ())),
        tuple(found),
        one.get("phone", ""),
        tuple(Support(**{"since": "", **support}) for support in one.get("support", ())),
        _day(one.get("valid_from", "")),
    )


def _of_stedi(place: int, one: dict[str, Any]) -> Row:
    """Return a payer of Stedi's payer network: its `aliases` are ids, its `names` are names."""
    own, primary = one["stediId"], one["primaryPayerId"]
    found = [Id(systems.STEDI_PAYER, own), Id(systems.PAYER_ID, primary)]
    others = [alias for alias in one.get("aliases", ()) if alias not in (own, primary)]
    found += [Id(systems.PAYER_ID, alias, is_alias=True) for alias in others]
    told = one.get("transactionSupport", {})
    support = [
        Support(code, "stedi", _STEDI_STATES[told[name]].value)
        for name, code in _STEDI_TRANSACTIONS.items()
        if told.get(name) in _STEDI_STATES
    ]
    names = tuple(name for name in one.get("names", ()) if name != one["displayName"])
    return Row(
        place,
        one["displayName"].strip(),
        names,
        tuple(found),
        support=tuple(support),
        is_vendors=True,
    )


def _csv(text: str) -> Iterator[Row]:
    reader = csv.DictReader(io.StringIO(text), strict=True)
    try:
        heads = [_head(head) for head in reader.fieldnames or []]
    except csv.Error as error:
        raise NotAList(f"the line of heads is no CSV: {error}") from error
    twice = next((head for head in heads if heads.count(head) > 1), None)
    if twice is not None:
        raise NotAList(f"the column {twice!r} stands twice")
    for head in heads:
        if head not in _PLAIN and head.partition(":")[0] not in SYSTEMS:
            known = ", ".join([*_PLAIN, *SYSTEMS])
            raise NotAList(f"expected the columns {known}, not {head!r}")
    if "name" not in heads:
        raise NotAList("expected a column called name")
    reader.fieldnames = heads
    try:
        for one in reader:
            yield _checked(reader.line_num, one, _of_line)
    except csv.Error as error:
        raise NotAList(f"line {reader.line_num} is no CSV: {error}") from error


def _of_line(line: int, one: dict[Any, Any]) -> Row:
    if None in one or None in one.values():
        raise ValueError("expected as many fields as there are columns")
    fields = {name: value.strip() for name, value in one.items()}
    found = [
        Id(SYSTEMS[head.partition(":")[0]], value, _transactions(head))
        for head, value in fields.items()
        if head not in _PLAIN and value
    ]
    return Row(
        line,
        fields["name"],
        tuple(_parts(fields.get("aliases", ""))),
        tuple(found),
        fields.get("phone", ""),
        tuple(_support(part) for part in _parts(fields.get("support", ""))),
        _day(fields.get("valid_from", "")),
    )


def _head(text: str) -> str:
    """Return the head of a column without the blanks around it and its transaction."""
    return ":".join(part.strip() for part in text.split(":"))


def _transactions(head: str) -> tuple[str, ...]:
    code = head.partition(":")[2]
    return (code,) if code else ()


def _support(text: str) -> Support:
    """Return what `270:stedi=live` says. Raises ValueError for anything else."""
    way, _, state = (part.strip() for part in text.partition("="))
    transaction, _, route = (part.strip() for part in way.partition(":"))
    if not (transaction and route) or state not in set(Enrolment):
        states = ", ".join(Enrolment)
        raise ValueError(f"support: expected TRANSACTION:ROUTE=STATE, STATE one of {states}")
    return Support(transaction, route, state)


def _checked(place: int, one: Any, build: Callable[[int, Any], Row]) -> Row:
    """Return the row that `build` makes, or the one that says what is wrong."""
    try:
        row = build(place, one)
    except ValueError as error:
        return Row(place, wrong=str(error))
    return replace(row, wrong=_lack(row))


def _lack(row: Row) -> str:
    """Return what is wrong with a row as a whole, "" if nothing is."""
    sent = [(one.system, one.transactions) for one in row.ids if not one.is_alias]
    codes = [code for one in row.ids for code in one.transactions]
    codes += [one.transaction for one in row.support]
    if not row.name:
        return "name: expected a name"
    if not row.ids:
        return "expected an id under at least one system"
    if len(sent) != len(set(sent)):
        return "expected one id for a system and a transaction"
    if any(re.search(r"\s", code) for code in codes):
        return "expected transactions without blanks, such as 270"
    return next((f"since: {p}" for p in map(_day_problem, row.support) if p), "")


def _day_problem(support: Support) -> str:
    try:
        _day(support.since)
    except ValueError:
        return "expected a date as YYYY-MM-DD"
    return ""


def _parts(text: str) -> Iterable[str]:
    return (part.strip() for part in text.split(_MANY) if part.strip())


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        raise ValueError("expected a date as YYYY-MM-DD") from error
