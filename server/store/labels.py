"""The profiles, tags and security labels that stored resources carry."""

from typing import Any

from server import definitions
from server.store.connection import Connection

_LABELS = (("_profile", "profile"), ("_security", "security"), ("_tag", "tag"))
LIMIT = 1000


def in_use(connection: Connection, type_name: str) -> dict[str, Any]:
    """Return them as a Meta: of one type, or with "" of all; at most LIMIT of each."""
    found: dict[str, Any] = {}
    for code, element in _LABELS:
        where, args = "a.code = ?", [code]
        if type_name:
            where += " AND a.type = ?"
            args.append(definitions.type_numbers()[type_name])  # type: ignore[arg-type]
        if element == "profile":
            text = (
                "SELECT DISTINCT i.v FROM param a JOIN ix_uri i ON i.p = a.p"  # noqa: S608 fixed parts
                f" WHERE {where} ORDER BY i.v LIMIT ?"
            )
            values: list[Any] = [row[0] for row in connection.execute(text, [*args, LIMIT])]
        else:
            text = (
                "SELECT DISTINCT s.url, i.v FROM param a JOIN ix_token i ON i.p = a.p"  # noqa: S608 fixed parts
                f" JOIN code_system s ON s.sys = i.sys WHERE {where} ORDER BY s.url, i.v LIMIT ?"
            )
            values = [
                {"system": url, "code": code} if url else {"code": code}
                for url, code in connection.execute(text, [*args, LIMIT])
            ]
        if values:
            found[element] = values
    return found
