"""Resources that are removed for good, with all their versions and index rows."""

from server import definitions
from server.store.connection import Connection
from server.store.database import Names
from server.store.index_rows import TABLES
from server.store.statements import sql


def audits(connection: Connection, names: Names, system: str, before: int, limit: int) -> int:
    """Remove AuditEvents with a subtype of `system`, stored before a moment; return how many.

    At most `limit` in one call, the oldest first; `before` is microseconds since 1970.
    """
    number = definitions.type_numbers()["AuditEvent"]
    parameter = names.find(connection, number, "subtype")
    code_system = names.find(connection, 0, system)
    rows = connection.execute(
        sql("old_audits"), (number, before, parameter, code_system, limit)
    ).fetchall()
    found = [row[0] for row in rows]
    if found:
        marks = ", ".join("?" * len(found))
        for table in (*TABLES, "version", "resource"):
            connection.execute(f"DELETE FROM {table} WHERE rid IN ({marks})", found)  # noqa: S608
    return len(found)
