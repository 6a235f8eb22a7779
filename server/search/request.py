"""A query string, read: which conditions a resource must meet, and how to page, sort and include.

Source: FHIR R4 search.html. Values are parsed here once; SQL and in-memory matching share them.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from server import definitions
from server.errors import BadRequest
from server.search import clauses, operands
from server.search.conditions import (
    AnyOf,
    Condition,
    Include,
    Reader,
    SearchRequest,
    SortKey,
    Words,
)
from server.search.parameters import NATIVE, Parameter

COUNT_LIMIT, SORT_LIMIT, PARAMETERS_LIMIT = 1000, 8, 100
_DIGITS = 9
_SORTABLE = frozenset({"token", "reference", "string", "date", "number", "quantity", "uri"})
_SUMMARIES = ("true", "text", "data", "count", "false")
IGNORED = frozenset({"_format", "_pretty", "_totalMethod"})


@dataclass(slots=True)
class _Draft:
    reader: Reader
    types: tuple[str, ...]
    conditions: list[list[Condition]]
    words: list[Words] = field(default_factory=list)
    includes: list[Include] = field(default_factory=list)
    control: dict[str, Any] = field(default_factory=dict)


def parse(
    reader: Reader, types: Sequence[str], pairs: Iterable[tuple[str, str]], address: str = ""
) -> SearchRequest:
    """Read the query `pairs` of a search for `types`.

    Parameters we do not know are listed in `unknown`, as FHIR's lenient handling asks; the caller
    refuses them when the client wants strict handling. Raises BadRequest on a malformed value, an
    unsupported modifier or prefix.
    """
    given = list(pairs)
    if len(given) > PARAMETERS_LIMIT:
        raise BadRequest(f"At most {PARAMETERS_LIMIT} parameters in one search.")
    types = _types(types, given)
    draft = _Draft(reader, tuple(types), [[] for _ in types])
    understood, unknown = [], []
    for key, value in given:
        if value == "" or key in IGNORED:
            continue
        if "\0" in key or "\0" in value:
            raise BadRequest("A value must not hold NUL.", expression=key[:40])
        if _take(draft, key, value):
            understood.append((key, value))
        else:
            unknown.append(key)
    if draft.control.get("summary") == "count":
        draft.control["count"] = 0
    return SearchRequest(
        address or (types[0] if len(types) == 1 else ""),
        tuple(zip(types, map(tuple, draft.conditions), strict=True)),
        words=tuple(draft.words),
        includes=tuple(draft.includes),
        understood=tuple(understood),
        unknown=tuple(unknown),
        **draft.control,
    )


def _types(types: Sequence[str], given: Iterable[tuple[str, str]]) -> Sequence[str]:
    for key, value in given:
        if key == "_type" and value:
            wanted = value.split(",")
            if any(name not in definitions.type_numbers() for name in wanted):
                raise BadRequest("_type names no R4 resource type.", expression="_type")
            types = [name for name in types if name in wanted]
    return types


def _take(draft: _Draft, key: str, value: str) -> bool:
    name, _, modifier = key.partition(":")
    control = _CONTROLS.get(name)
    if control is not None:
        control(draft, modifier, value)
        return True
    found = [clauses.condition(draft.reader, one, key, value, 0) for one in draft.types]
    if draft.types and all(condition is None for condition in found):
        return False
    for conditions, condition in zip(draft.conditions, found, strict=True):
        conditions.append(AnyOf(()) if condition is None else condition)  # never holds
    return True


def _count(draft: _Draft, _modifier: str, value: str) -> None:
    if not (value.isascii() and value.isdecimal()) or len(value) > _DIGITS:
        raise BadRequest("_count must be a whole number.", expression="_count")
    draft.control["count"] = min(int(value), COUNT_LIMIT)


def _sort(draft: _Draft, _modifier: str, value: str) -> None:
    keys = []
    parts = value.split(",")
    if len(parts) > SORT_LIMIT:
        raise BadRequest(f"At most {SORT_LIMIT} keys in _sort.", expression="_sort")
    for part in parts:
        code = part.removeprefix("-")
        parameter = _common(draft, code)
        if code not in NATIVE and (parameter is None or parameter.type not in _SORTABLE):
            raise BadRequest("This cannot be sorted by.", expression=f"_sort={code[:40]}")
        kind = "" if code in NATIVE or parameter is None else clauses.indexed(parameter).kind
        keys.append(SortKey(code, kind, part.startswith("-")))
    draft.control["sort"] = tuple(keys)


def _common(draft: _Draft, code: str) -> Parameter | None:
    found = [draft.reader.parameters.of_type(one).get(code) for one in draft.types]
    return found[0] if len(found) == 1 else None


def read_summary(value: str) -> str:
    """Return the value of _summary. Raises BadRequest where it is none."""
    if value not in _SUMMARIES:
        raise BadRequest(f"_summary takes {', '.join(_SUMMARIES)}.", expression="_summary")
    return value


def read_elements(value: str) -> frozenset[str]:
    """Return the names of the root elements that _elements asks for."""
    return frozenset(part.strip().partition(".")[0] for part in value.split(","))


def _summary(draft: _Draft, _modifier: str, value: str) -> None:
    draft.control["summary"] = read_summary(value)


def _elements(draft: _Draft, _modifier: str, value: str) -> None:
    draft.control["elements"] = read_elements(value)


def _total(draft: _Draft, _modifier: str, value: str) -> None:
    if value not in ("none", "estimate", "accurate"):
        raise BadRequest("_total takes none, estimate or accurate.", expression="_total")
    draft.control["total"] = value != "none"


def _contained(_draft: _Draft, _modifier: str, value: str) -> None:
    if value != "false":
        raise BadRequest("Contained resources are not searched.", expression="_contained")


def _words(draft: _Draft, where: str, value: str) -> None:
    found = (tuple(operands.folded_words(one)) for one in operands.cut(value, ","))
    alternatives = tuple(words for words in found if words)
    if not alternatives:
        raise BadRequest("Expected words.", expression=where)
    draft.words.append(Words(where, alternatives))


def _include(draft: _Draft, modifier: str, value: str, *, reverse: bool) -> None:
    name = "_revinclude" if reverse else "_include"
    if modifier not in ("", "iterate", "recurse"):
        raise BadRequest(f"{name} takes the modifier :iterate only.", expression=name)
    kind, _, rest = value.partition(":")
    code, _, target = rest.partition(":")
    if kind == "*" and code in ("", "*"):
        code = "*"
    elif kind not in definitions.type_numbers():
        raise BadRequest(f"{name} takes Type:parameter or *.", expression=name)
    elif code != "*":
        parameter = draft.reader.parameters.of_type(kind).get(code)
        if parameter is None or parameter.type != "reference":
            raise BadRequest(
                f"{name} names no reference parameter of {kind}.", expression=f"{name}={code[:40]}"
            )
    if target and target not in definitions.type_numbers():
        raise BadRequest(f"{name} names no R4 resource type.", expression=name)
    draft.includes.append(Include(kind, code, target, reverse, bool(modifier)))


_CONTROLS: dict[str, Callable[[_Draft, str, str], None]] = {
    "_count": _count,
    "_sort": _sort,
    "_summary": _summary,
    "_elements": _elements,
    "_total": _total,
    "_contained": _contained,
    "_type": lambda _draft, _modifier, _value: None,
    "_text": lambda draft, _modifier, value: _words(draft, "_text", value),
    "_content": lambda draft, _modifier, value: _words(draft, "_content", value),
    "_include": lambda draft, modifier, value: _include(draft, modifier, value, reverse=False),
    "_revinclude": lambda draft, modifier, value: _include(draft, modifier, value, reverse=True),
}
