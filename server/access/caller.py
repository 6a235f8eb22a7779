"""Who asks, and what it may do."""

from collections.abc import Iterable
from dataclasses import dataclass

from server.access.scopes import ALL, Scopes
from server.errors import Forbidden


@dataclass(frozen=True, slots=True)
class Caller:
    """A client by its id; "" for the server itself, and for everybody where it is open."""

    client: str = ""
    scopes: Scopes = ALL

    def demand(self, permissions: Iterable[str], expression: str = "") -> None:
        """Raise Forbidden, naming what is lacking, unless all the permissions are there."""
        lacking = self.scopes.lacking(permissions)
        if lacking:
            listed = " ".join(f"system/{one}" for one in lacking)
            text = f"The token's scopes do not hold {listed}."
            raise Forbidden(text, expression=expression)


ANYBODY = Caller()
