"""The static statements of queries.sql, by name."""

from functools import cache
from importlib import resources


@cache
def _all() -> dict[str, str]:
    text = resources.files("server.store").joinpath("queries.sql").read_text("utf-8")
    blocks = (block.split("\n", 1) for block in text.split("-- name: ")[1:])
    return {name.strip(): body.strip().rstrip(";") for name, body in blocks}


def sql(name: str) -> str:
    """Return the statement called `name`. Raises KeyError if queries.sql has none."""
    return _all()[name]
