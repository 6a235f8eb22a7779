"""The limits that the bench compares with: Flask without work, and bare databases."""

import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import requests

from server import cli
from tests.programs import free_port, wait_for

FLOOR = """
from flask import Flask, Response, request
BODY = %r
def application():
    app = Flask("floor")
    kind = "application/fhir+json; charset=utf-8"
    app.add_url_rule("/fhir/<t>/<i>", "read", lambda t, i: Response(BODY, content_type=kind))
    app.add_url_rule("/fhir/<t>", "search", lambda t: Response(BODY, content_type=kind))
    app.add_url_rule("/healthz", "healthz", lambda: "ok")
    return app
"""


def floor(folder: Path, body: bytes, workers: int) -> tuple["subprocess.Popen[bytes]", int]:
    """Start the limit of reads: Flask that returns the same bytes, on the same web server."""
    (folder / "floor.py").write_text(FLOOR % body, "utf-8")
    port = free_port()
    command = [sys.executable, "-m", "granian", "--interface", "wsgi", "--factory", "--port",
               str(port), "--workers", str(workers), "--blocking-threads", str(cli.THREADS),
               "--no-ws", "floor:application"]  # fmt: skip
    child = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL, start_new_session=True)  # fmt: skip

    def answers() -> bool:
        try:
            return requests.get(f"http://127.0.0.1:{port}/healthz", timeout=2).ok
        except requests.RequestException:
            return False

    wait_for(answers, "the limit answers", 30)
    return child, port


def sqlite_limit(folder: Path) -> float:
    """Return commits a second of a row, its history and six index rows, synchronous=FULL."""
    connection = sqlite3.connect(folder / "limit.db", isolation_level=None)
    for statement in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", *_LIMIT_TABLES):
        connection.execute(statement.replace("{blob}", "BLOB").replace("{end}", " WITHOUT ROWID"))

    def one(number: int) -> None:
        connection.execute("BEGIN IMMEDIATE")
        key = f"{number * 2654435761 % 2**32:032x}"
        connection.execute("INSERT INTO r VALUES (?, 1, ?)", (key, _LIMIT_BODY))
        connection.execute("INSERT INTO h VALUES (?, 1, ?)", (key, _LIMIT_BODY))
        connection.executemany("INSERT INTO ix VALUES (?, ?, ?)", _limit_rows(key))
        connection.execute("COMMIT")

    return _per_second(one)


_LIMIT_TABLES = (
    "CREATE TABLE r (id TEXT PRIMARY KEY, ver INTEGER, body {blob})",
    "CREATE TABLE h (id TEXT, ver INTEGER, body {blob}, PRIMARY KEY (id, ver))",
    "CREATE TABLE ix (p TEXT, v TEXT, id TEXT, PRIMARY KEY (p, v, id)){end}",
)


_LIMIT_BODY = b'{"resourceType":"Coverage","x":"' + b"a" * 980 + b'"}'


def _limit_rows(key: str) -> list[tuple[str, str, str]]:
    names = ("identifier", "beneficiary", "payor", "status", "subscriber", "type")
    return [(name, key[place : place + 16], key) for place, name in enumerate(names)]


def _per_second(work: Callable[[int], None], count: int = 3000) -> float:
    for number in range(count // 10):
        work(number)
    started = time.perf_counter()
    for number in range(count // 10, count):
        work(number)
    return (count - count // 10) / (time.perf_counter() - started)


def postgres_limit(url: str) -> float:
    """Return commits a second of the same rows over four connections, pipelined."""
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in _LIMIT_TABLES:
            connection.execute(statement.replace("{blob}", "BYTEA").replace("{end}", ""))

    def work(place: int) -> None:
        with psycopg.connect(url, prepare_threshold=1) as connection:
            for number in range(place, 3000, 4):
                key = f"{number * 2654435761 % 2**32:032x}"
                with connection.pipeline():
                    connection.execute("INSERT INTO r VALUES (%s, 1, %s)", (key, _LIMIT_BODY))
                    connection.execute("INSERT INTO h VALUES (%s, 1, %s)", (key, _LIMIT_BODY))
                    names, values, keys = zip(*_limit_rows(key), strict=True)
                    connection.execute(
                        "INSERT INTO ix SELECT unnest(%s::text[]), unnest(%s::text[]),"
                        " unnest(%s::text[])", (list(names), list(values), list(keys)),
                    )  # fmt: skip
                connection.commit()

    started = time.perf_counter()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    return 3000 / (time.perf_counter() - started)
