"""How SQLite goes about a page (SRC-29)."""

from pathlib import Path
from urllib.parse import parse_qsl

import pytest

from server.interactions import search
from server.interactions.search import Numbers, Scope
from server.search.query import Query
from server.store.database import Database
from tests import samples
from tests.engines import engine, put


@pytest.mark.req("SRC-29")
@pytest.mark.parametrize(
    "query",
    [
        "_count=20",
        "identifier=urn:a|1",
        "status=active",
        "beneficiary=Patient/pat",
        "_sort=_lastUpdated",
        "_sort=-_lastUpdated",
        "_id=c&beneficiary=Patient/pat",
    ],
)
def test_a_page_is_read_in_the_order_of_an_index(tmp_path: Path, query: str) -> None:
    """Nothing is sorted or scanned: a page among thousands costs what one among millions does."""
    made = engine(Database(f"sqlite:///{tmp_path / 'x.db'}"))
    put(made, samples.coverage("c", identifier=[{"system": "urn:a", "value": "1"}]), "c")
    with made.database.read() as connection:
        scope = Scope(("Coverage",))
        wanted = search.read(made, connection, scope, parse_qsl(query), strict=True)
        sql, args = Query(wanted, Numbers(connection, made.database.names), 1).page(None, 21)
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", args).fetchall()]
    made.database.close()

    assert [] == [step for step in plan if "ORDER BY" in step or step.startswith("SCAN")], plan
