"""Invariants in FHIRPath, compiled once (FHIR R4 fhirpath.html).

The engine is imported when the first one is asked: only $validate and claimed profiles need it.
"""

import re
from collections.abc import Callable
from functools import cache
from typing import Any

Rule = Callable[[Any, dict[str, Any]], bool]


@cache
def holds(place: str, expression: str) -> Rule:
    """Return the test whether `expression` is true of a value of the type or element `place`.

    The test takes the value and the variables: `resource` and `rootResource`. What is empty is not
    true; what the engine cannot reckon is not held against the value.
    """
    from fhirpathpy import compile as compile_path  # noqa: PLC0415 100 ms that few starts need
    from fhirpathpy.engine.nodes import ResourceNode  # noqa: PLC0415
    from fhirpathpy.models import models  # noqa: PLC0415

    matches = {"fn": _matches, "arity": {1: ["String"]}, "nullable_input": True}
    # Without a function of ours, trace() would print what it is given.
    options = {"traceFn": lambda _value, _label: None, "userInvocationTable": {"matches": matches}}
    run = compile_path(expression, models["r4"], options)

    def rule(value: Any, variables: dict[str, Any]) -> bool:
        is_resource = isinstance(value, dict) and "resourceType" in value
        there = value if is_resource else ResourceNode.create_node(value, place)  # type: ignore[no-untyped-call]
        try:
            return list(run(there, variables)) == [True]
        except Exception:  # noqa: BLE001 the engine raises as it likes where it is not complete
            return True

    return rule


def _matches(values: list[Any], pattern: str) -> bool | list[Any]:
    """Match whole texts, as the standard's expressions mean it; the engine would take a part."""
    return re.fullmatch(pattern, str(values[0])) is not None if values else []
