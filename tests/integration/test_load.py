"""`inforce load` and `inforce reindex`: files into the store, and the index put right."""

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from server import cli
from server.interactions import load, search
from server.interactions.engine import Engine
from server.interactions.load import Refused
from server.interactions.reindex import reindex
from server.store import resources
from server.store.database import Database
from tests import engines, samples


@pytest.fixture
def engine(new_database: Callable[[], str]) -> Iterator[Engine]:
    made = engines.engine(Database(new_database()))
    yield made
    made.database.close()


def loaded(engine: Engine, path: Path) -> tuple[load.Loaded, list[Refused], int]:
    """Load a file; return the counts, what was refused, and the bytes heard of."""
    refused: list[Refused] = []
    heard: list[int] = []
    found = load.load(engine, path, heard=heard.append, refused=refused.append)
    return found, refused, sum(heard)


def total(engine: Engine, kind: str) -> int | None:
    return search.search(engine, kind, [("_count", "0")]).total


def lines(count: int) -> str:
    return "".join(json.dumps(samples.patient(f"n{n}")) + "\n" for n in range(count))


def test_ndjson(engine: Engine, tmp_path: Path) -> None:
    """Each line is stored or told with its place and reason, never with its content."""
    path = tmp_path / "p.ndjson"
    wrong = json.dumps({**samples.patient("bad"), "gender": "SECRET"})
    path.write_text(f"{lines(250)}{wrong}\nnot json\n[]\n" + json.dumps(samples.payer("o")) + "\n")

    found, refused, heard = loaded(engine, path)
    assert (251, 3) == (found.stored, found.refused)
    assert ["p.ndjson:251", "p.ndjson:252", "p.ndjson:253"] == [one.place for one in refused]
    assert "Patient.gender" in refused[0].reasons[0]
    assert "SECRET" not in str(refused)
    assert (250, 1) == (total(engine, "Patient"), total(engine, "Organization"))
    assert path.stat().st_size == heard


def test_a_file_is_loaded_once(engine: Engine, tmp_path: Path) -> None:
    """The second time nothing is stored; what broke off goes on where it was."""
    path = tmp_path / "p.ndjson"
    path.write_text(lines(250))
    broken = engines.engine(engine.database)
    calls: list[int] = []

    def stop(_bytes: int) -> None:
        calls.append(1)
        if len(calls) == 160:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load.load(broken, path, heard=stop, refused=lambda _one: None)
    assert 100 == total(engine, "Patient")
    rest, _, _ = loaded(engine, path)
    again, _, _ = loaded(engine, path)
    assert (150, 100) == (rest.stored, rest.skipped)
    assert (0, 250) == (again.stored, again.skipped)
    with engine.database.read() as connection:
        current = resources.current(connection, "Patient", "n0")
    assert current is not None
    assert 1 == current.version


def test_bundles_and_gzip(engine: Engine, tmp_path: Path) -> None:
    """A collection's entries, a transaction as a whole, a file over many lines, gzip."""
    collection = {"resourceType": "Bundle", "type": "collection", "entry": [
        {"resource": samples.patient("a")}, {"resource": samples.patient("b", gender="x")},
        {"fullUrl": "urn:x"}]}  # fmt: skip
    entry = {"resource": samples.patient("c"), "request": {"method": "PUT", "url": "Patient/c"}}
    transaction = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
    one, two = tmp_path / "one.json.gz", tmp_path / "two.json"
    one.write_bytes(gzip.compress(json.dumps(collection, indent=2).encode()))
    two.write_text(json.dumps(transaction, indent=2))

    found, refused, _ = loaded(engine, one)
    assert (1, 2) == (found.stored, found.refused)
    assert refused[0].place.endswith("entry[1]")
    assert 1 == loaded(engine, two)[0].stored
    assert 2 == total(engine, "Patient")


def test_damaged_files(engine: Engine, tmp_path: Path) -> None:
    """A cut gzip is told; a file that is no JSON is one refused item."""
    cut, text = tmp_path / "cut.gz", tmp_path / "text.json"
    cut.write_bytes(gzip.compress(lines(500).encode())[:-20])
    text.write_text("hello\n")

    with pytest.raises(load.NotLoadable, match="damaged"):
        loaded(engine, cut)
    assert 1 == loaded(engine, text)[0].refused


def test_the_commands(
    new_database: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """0 when all is stored, 1 when something was refused, and the reason on stderr."""
    good, bad = tmp_path / "good.ndjson", tmp_path / "bad.ndjson"
    good.write_text(lines(3))
    bad.write_text(json.dumps({**samples.patient("x"), "gender": "y"}) + "\n")
    monkeypatch.setenv("INFORCE_DATABASE", new_database())

    assert 0 == cli.main(["load", str(good), "--json"])
    assert {"stored": 3, "skipped": 0, "refused": 0} == json.loads(capsys.readouterr().out)
    assert 1 == cli.main(["load", str(bad)])
    assert "bad.ndjson:1: Patient.gender" in capsys.readouterr().err
    assert 1 == cli.main(["load", str(tmp_path / "none.json")])
    assert 0 == cli.main(["reindex"])
    assert "3 resources indexed, 0 of them anew" in capsys.readouterr().out


def test_reindex_puts_right_what_is_wrong(engine: Engine) -> None:
    """Rows that are missing come back, rows that should not be there go."""
    engines.put(engine, samples.patient("a"), "a")
    engines.put(engine, samples.patient("b"), "b")
    with engine.database.write() as connection:
        connection.execute("DELETE FROM ix_string")
        connection.execute("UPDATE ix_date SET lo = lo - 1")
    assert 0 == search.search(engine, "Patient", [("family", "rivera")]).total

    done = reindex(engine, lambda _done, _whole: None)
    assert (2, 2) == (done.looked_at, done.changed)
    assert 2 == search.search(engine, "Patient", [("family", "rivera")]).total
    assert 0 == reindex(engine, lambda _done, _whole: None).changed
