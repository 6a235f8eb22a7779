"""FHIRPath, compiled once: the invariants of a type, and the criteria of Subscriptions.

Source: FHIR R4 fhirpath.html, FHIRPath N1. The engine is imported when an expression is first
asked for: most starts need none.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

Rule = Callable[[Any, dict[str, Any]], bool]
# A client's pattern, or steps without end, could hold up every writer: not in criteria.
_COSTLY = frozenset({"matches", "replaceMatches", "repeat", "descendants"})
LENGTH_LIMIT = 1000
VARIABLES = frozenset({"previous", "current", "resource", "context", "ucum", "sct", "loinc"})


class Unusable(Exception):
    """An expression that can never be reckoned; the message says why."""


@cache
def holds(place: str, expression: str) -> Rule:
    """Return the test whether `expression` is true of a value of the type or element `place`.

    The test takes the value and the variables: `resource` and `rootResource`. What is empty is not
    true; what the engine cannot reckon is not held against the value.
    """
    from fhirpathpy import compile as compile_path  # noqa: PLC0415 100 ms that few starts need
    from fhirpathpy.engine.nodes import ResourceNode  # noqa: PLC0415
    from fhirpathpy.models import models  # noqa: PLC0415

    run = compile_path(expression, models["r4"], _options({}))

    def rule(value: Any, variables: dict[str, Any]) -> bool:
        is_resource = isinstance(value, dict) and "resourceType" in value
        there = value if is_resource else ResourceNode.create_node(value, place)  # type: ignore[no-untyped-call]
        try:
            return list(run(there, variables)) == [True]
        except Exception:  # noqa: BLE001 the engine raises as it likes where it is not complete
            return True

    return rule


@cache
def criterion(expression: str) -> Callable[[Any, Any], bool]:
    """Return the test whether a change from one version to another meets `expression`.

    It takes the version before and the version after, None where there is none; they are
    `%previous` and `%current`, empty then. `=` and `!=` tell empty from a value: a member id that
    was just entered has changed, which plain FHIRPath would leave open. What the engine cannot
    reckon of one change is taken as met: an event too many harms less than one that is lost.
    Raises Unusable where the expression could never work.
    """
    from fhirpathpy import compile as compile_path  # noqa: PLC0415
    from fhirpathpy.models import models  # noqa: PLC0415

    _look_through(expression)
    both = {2: ["Any", "Any"]}
    run = compile_path(
        expression,
        models["r4"],
        _options(
            {
                "=": {"fn": _same, "arity": both},
                "!=": {"fn": lambda left, right: not _same(left, right), "arity": both},
            }
        ),
    )

    def rule(previous: Any, current: Any) -> bool:
        variables = {"previous": previous or [], "current": current or []}
        try:
            return list(run(current or previous, variables)) == [True]
        except Exception:  # noqa: BLE001 as above
            return True

    return rule


@cache
def elements_of(expression: str) -> frozenset[str]:
    """Return the elements that an expression reads right of `%previous` and `%current`."""
    from fhirpathpy.parser import parse  # noqa: PLC0415

    return frozenset(_elements(parse(expression)))  # type: ignore[no-untyped-call]


def _elements(node: dict[str, Any]) -> Iterator[str]:
    children = node.get("children", [])
    if node.get("type") == "InvocationExpression":
        left, right = children
        if left.get("text") in ("%previous", "%current") and right["type"] == "MemberInvocation":
            yield right["children"][0]["text"].strip("`")
    for child in children:
        yield from _elements(child)


def _options(more: Mapping[str, Any]) -> dict[str, Any]:
    matches = {"fn": _matches, "arity": {1: ["String"]}, "nullable_input": True}
    # Without a function of ours, trace() would print what it is given.
    return {
        "traceFn": lambda _value, _label: None,
        "userInvocationTable": {"matches": matches, **more},
    }


def _matches(values: list[Any], pattern: str) -> bool | list[Any]:
    """Match whole texts, as the standard's expressions mean it; the engine would take a part."""
    return re.fullmatch(pattern, str(values[0])) is not None if values else []


def _same(left: list[Any], right: list[Any]) -> bool:
    from fhirpathpy.engine.util import get_data  # noqa: PLC0415

    return left == [get_data(value) for value in right]  # type: ignore[no-untyped-call]


def _look_through(expression: str) -> None:
    """Raise Unusable where an expression has a fault that no data could mend."""
    from fhirpathpy.engine.invocations import invocation_registry  # noqa: PLC0415
    from fhirpathpy.parser import parse  # noqa: PLC0415

    if len(expression) > LENGTH_LIMIT:
        raise Unusable(f"Expected at most {LENGTH_LIMIT} characters of FHIRPath.")
    _check_syntax(expression)
    for kind, name in _named(parse(expression)):  # type: ignore[no-untyped-call]
        if kind == "ExternalConstant" and name not in VARIABLES:
            raise Unusable(f"%{name[:40]} is not known: expected %previous or %current.")
        if kind == "Functn" and name not in invocation_registry:
            raise Unusable(f"There is no FHIRPath function {name[:40]!r}.")
        if kind == "Functn" and name in _COSTLY:
            raise Unusable(f"{name}() takes too long for every write: compare with = or in.")


def _check_syntax(expression: str) -> None:
    """Raise Unusable unless the whole text is an expression; the engine's parser mends it."""
    from antlr4 import CommonTokenStream, InputStream  # noqa: PLC0415
    from antlr4.error.ErrorListener import ErrorListener  # noqa: PLC0415
    from fhirpathpy.parser.generated.FHIRPathLexer import FHIRPathLexer  # noqa: PLC0415
    from fhirpathpy.parser.generated.FHIRPathParser import FHIRPathParser  # noqa: PLC0415

    class Refuse(ErrorListener):  # type: ignore[misc]
        def syntaxError(self, *where: Any) -> None:  # noqa: N802 the library's name
            _recognizer, _symbol, line, column, *_ = where
            raise Unusable(f"The FHIRPath breaks off at line {line}, character {column + 1}.")

    lexer = FHIRPathLexer(InputStream(expression))
    parser = FHIRPathParser(CommonTokenStream(lexer))
    for part in (lexer, parser):
        part.removeErrorListeners()
        part.addErrorListener(Refuse())
    parser.entireExpression()  # type: ignore[no-untyped-call]


def _named(node: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each function and each %variable of a parsed expression."""
    children = node.get("children", [])
    if node.get("type") in ("Functn", "ExternalConstant") and children:
        yield node["type"], children[0].get("text", "").strip("`'")
    for child in children:
        yield from _named(child)
