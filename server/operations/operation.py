"""What an operation is: its name, what it may be called on, and what it answers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from server.interactions.engine import Engine


@dataclass(frozen=True, slots=True)
class Operation:
    """One $operation called by POST on a type, with or without an id.

    `run` gets the engine, the type name, the id ("" on the type) and the parsed body, and returns
    a resource. `definition` is the canonical URL of its OperationDefinition.
    """

    name: str
    definition: str
    run: Callable[[Engine, str, str, Any], dict[str, Any]]
