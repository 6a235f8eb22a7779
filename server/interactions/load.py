"""Loads files of resources: NDJSON and Bundles, gzipped or not, going on where it was broken off.

Each batch of resources commits together with how far the file is, so that each is loaded once,
whatever ends the process. A transaction or batch Bundle commits by itself, just before that. A
resource with an id keeps it; one without gets a new one.
"""

import gzip
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from fhir_profiles import codec
from server.errors import BadRequest, FhirError
from server.interactions import _write, bundle, update
from server.interactions._write import Incoming, Origin, Saved, Writing
from server.interactions.engine import Engine
from server.store import deliveries, progress

BATCH = 100
LINE_LIMIT = 16 * 1024 * 1024
_GZIP = b"\x1f\x8b"
TRACE = "load"
ORIGIN = Origin(TRACE, priority=deliveries.BATCH)  # what waits at a desk goes first


@dataclass(frozen=True, slots=True)
class Refused:
    """A resource that was not stored: its place in the file, and why. Never its content."""

    place: str
    reasons: tuple[str, ...]


@dataclass(slots=True)
class Loaded:
    """What became of a file: stored resources, and places skipped since they were loaded before."""

    stored: int = 0
    skipped: int = 0
    refused: int = 0


class NotLoadable(Exception):
    """The file cannot be read as resources; the message says why."""


def load(
    engine: Engine,
    path: Path,
    *,
    heard: Callable[[int], object],
    refused: Callable[[Refused], None],
) -> Loaded:
    """Store the resources of one file.

    `heard` is called with the bytes of the file that were read since the last call, `refused` with
    each resource that is not valid. Raises NotLoadable where the file is no JSON of resources.
    """
    source = _source(path)
    with engine.database.read() as connection:
        done = progress.done(connection, source)
    loaded = Loaded(skipped=done)
    batch: list[tuple[str, Any]] = []
    place = 0
    for where, item in _items(path, heard):
        place += 1
        if place <= done:
            continue
        if _is_interaction(item):
            _store(engine, batch, (source, place - 1), loaded, refused)
            batch = []
            _run(engine, (where, item), (source, place), loaded, refused)
            continue
        batch.append((where, item))
        if len(batch) == BATCH:
            _store(engine, batch, (source, place), loaded, refused)
            batch = []
    if batch:
        _store(engine, batch, (source, place), loaded, refused)
    return loaded


def _source(path: Path) -> str:
    """Return what names this very file: its path, size and time of change."""
    found = path.stat()
    return f"{path.resolve()}|{found.st_size}|{found.st_mtime_ns}"


def _items(path: Path, heard: Callable[[int], object]) -> Iterator[tuple[str, Any]]:
    """Yield (place, resource or error) of a file, in order.

    A transaction or batch is one item; the entries of any other Bundle are items of their own.
    """
    with path.open("rb") as raw:
        read = 0
        is_gzip = raw.peek(len(_GZIP))[: len(_GZIP)] == _GZIP
        file = cast("IO[bytes]", gzip.GzipFile(fileobj=raw) if is_gzip else raw)
        try:
            for number, line in enumerate(_lines(file, path), start=1):
                heard(raw.tell() - read)
                read = raw.tell()
                yield from _parsed(line, f"{path.name}:{number}")
        except (gzip.BadGzipFile, EOFError) as error:
            raise NotLoadable(f"{path}: the file is damaged: {error}") from error


def _lines(file: IO[bytes], path: Path) -> Iterator[bytes]:
    """Yield the lines of NDJSON, or the whole of a file that holds one JSON value over many."""
    first, second = file.readline(LINE_LIMIT), file.readline(LINE_LIMIT)
    if not _is_json(first) and not _is_json(second):
        yield first + second + file.read()
        return
    lines = itertools.chain((first, second), iter(lambda: file.readline(LINE_LIMIT), b""))
    for line in lines:
        if len(line) == LINE_LIMIT:
            raise NotLoadable(f"{path}: a line is longer than {LINE_LIMIT} bytes")
        if line.strip():
            yield line


def _is_json(line: bytes) -> bool:
    try:
        codec.decode(line)
    except ValueError:
        return False
    return True


def _parsed(line: bytes, place: str) -> Iterator[tuple[str, Any]]:
    try:
        value = codec.decode_strict(line)
    except (ValueError, RecursionError):
        yield place, BadRequest("The line is not JSON of one resource.")
        return
    is_bundle = isinstance(value, dict) and value.get("resourceType") == "Bundle"
    if not is_bundle or _is_interaction(value) or not isinstance(value.get("entry"), list):
        yield place, value
        return
    for number, entry in enumerate(value["entry"]):
        resource = entry.get("resource") if isinstance(entry, dict) else None
        yield f"{place} entry[{number}]", resource


def _store(
    engine: Engine,
    batch: list[tuple[str, Any]],
    mark: tuple[str, int],
    loaded: Loaded,
    refused: Callable[[Refused], None],
) -> None:
    """Store a batch in one transaction, with how far the file is then."""
    ready: list[Incoming] = []
    for place, item in batch:
        try:
            ready.append(_checked(engine, item))
        except FhirError as error:
            loaded.refused += 1
            refused(Refused(place, _reasons(error)))

    def work(writing: Writing) -> None:
        for incoming in ready:
            fhir_id = incoming.body.get("id") or engine.new_id()
            writing.save(incoming, fhir_id, method="PUT")
        progress.keep(writing.connection, *mark)

    _write.transact(engine, ORIGIN, work)
    loaded.stored += len(ready)


def _run(
    engine: Engine,
    item: tuple[str, Any],
    mark: tuple[str, int],
    loaded: Loaded,
    refused: Callable[[Refused], None],
) -> None:
    """Run a transaction or batch, and note that it was."""
    place, body = item
    try:
        _, results = bundle.run(engine, body, origin=ORIGIN)
        loaded.stored += sum(isinstance(one, Saved) for one in results)
        _refused_entries(results, place, loaded, refused)
    except FhirError as error:
        loaded.refused += 1
        refused(Refused(place, _reasons(error)))
    with engine.database.write() as connection:
        progress.keep(connection, *mark)


def _is_interaction(item: Any) -> bool:
    """Tell whether an item is a transaction or batch, to be run and not to be stored."""
    return (
        isinstance(item, dict)
        and item.get("resourceType") == "Bundle"
        and item.get("type") in ("transaction", "batch")
    )


def _checked(engine: Engine, item: Any) -> Incoming:
    if isinstance(item, FhirError):
        raise item
    if not isinstance(item, dict) or not isinstance(item.get("resourceType"), str):
        raise BadRequest("Expected a resource.", expression="resourceType")
    if "id" in item:
        return update.checked(engine, item["resourceType"], str(item["id"]), item)
    return _write.check(engine, item["resourceType"], item)


def _refused_entries(
    results: list[bundle.Result],
    place: str,
    loaded: Loaded,
    refused: Callable[[Refused], None],
) -> None:
    for number, result in enumerate(results):
        if isinstance(result, FhirError):
            loaded.refused += 1
            refused(Refused(f"{place} entry[{number}]", _reasons(result)))


def _reasons(error: FhirError) -> tuple[str, ...]:
    return tuple(f"{i.expression}: {i.text}" if i.expression else i.text for i in error.issues)
