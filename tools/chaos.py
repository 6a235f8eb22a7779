"""Kill -9 programs at random under load, and see that every event is delivered, once or again.

`make chaos` does so on both engines and prints what came of it; with `--write` it also puts that
into docs/reliability.md. Expected is what the server's own history says: each version of each
resource came, first in order, and all copies of one have one delivery id. Loopback only.
"""

import argparse
import os
import platform
import random  # noqa: TID251 the moments are to be random, and the seed is printed
import sys
import tempfile
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import requests

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tests import databases, samples
from tests.programs import Programs, wait_for

MARK = "<!-- chaos -->"
KILLS, POSTERS, KEYS = 200, 3, 12
PAUSE_S = 0.4  # at most, between a start and the next kill
SETTLE_LIMIT_S = 300


@dataclass(frozen=True, slots=True)
class Found:
    """What came of one run."""

    kills: Counter[str]
    events: int
    lost: int
    disordered: int
    again: int
    other_ids: int


def main() -> None:
    """Run and print; exit 1 where an event was lost, out of order, or had two ids."""
    parser = argparse.ArgumentParser(description=__doc__, epilog="example: make chaos ARGS=--write")
    parser.add_argument("--write", action="store_true", help="write docs/reliability.md")
    parser.add_argument("--kills", type=int, default=KILLS, help=f"kills per engine ({KILLS})")
    parser.add_argument("--seed", type=int, default=None, help="seed of the random moments")
    chosen = parser.parse_args()
    seed = chosen.seed if chosen.seed is not None else random.SystemRandom().randrange(10**6)
    lines = [
        _machine(seed),
        "",
        "| engine | killed | events | lost | out of order | delivered again | with another id |",
        "|---|---|---|---|---|---|---|",
    ]
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, found in _runs(Path(folder), chosen.kills, seed):
            killed = ", ".join(f"{count} {who}" for who, count in sorted(found.kills.items()))
            lines.append(
                f"| {name} | {killed} | {found.events} | {found.lost} | {found.disordered} "
                f"| {found.again} | {found.other_ids} |"
            )
            bad += found.lost + found.disordered + found.other_ids
    print("\n".join(lines))
    if chosen.write:
        page = ROOT / "docs" / "reliability.md"
        head = page.read_text("utf-8").split(MARK, maxsplit=1)[0]
        page.write_text(head + MARK + "\n\n" + "\n".join(lines) + "\n", "utf-8")
    sys.exit(1 if bad else 0)


def _machine(seed: int) -> str:
    return (
        f"Measured {datetime.now(UTC):%Y-%m-%d} on {os.cpu_count()} cores, "  # noqa: TID251
        f"{platform.system()}, Python {platform.python_version()}, seed {seed}."
    )


def _runs(folder: Path, kills: int, seed: int) -> Iterator[tuple[str, Found]]:
    yield (
        "threads, SQLite",
        _run(folder / "sqlite", "", ("server", "receiver", "bots"), kills, seed),
    )
    with databases.postgres(folder / "postgres", durable=True) as server:
        url = databases.new("postgresql", folder, server)
        victims = ("server", "receiver", "bots", "worker-1")
        yield "Procrastinate, PostgreSQL", _run(folder / "pg", url, victims, kills, seed)


def _run(folder: Path, database: str, victims: tuple[str, ...], kills: int, seed: int) -> Found:
    folder.mkdir()
    settings = {"INFORCE_DELIVERY": "workers"} if database else {}
    programs = Programs(folder, database, settings)
    workers = ("worker-1", "worker-2") if database else ()
    choose, over = random.Random(seed), threading.Event()  # noqa: S311 no secret
    killed: Counter[str] = Counter()
    try:
        programs.start("receiver", "sandbox", "server", "bots", *workers)
        programs.register()
        for resource in (samples.clinic(), samples.payer(), samples.patient()):
            programs.put(resource)
        body = samples.subscription(f"{programs.receiver}/ok", "Coverage")
        programs.put({**body, "id": "chaos"})
        posters = [threading.Thread(target=_post, args=(programs, n, over)) for n in range(POSTERS)]
        for poster in posters:
            poster.start()
        for _ in range(kills):
            victim = choose.choice(victims)
            over.wait(choose.uniform(0, PAUSE_S))
            programs.kill(victim)
            programs.start(victim)
            killed[victim] += 1
        over.set()
        for poster in posters:
            poster.join()
        wait_for(lambda: _is_quiet(programs), "nothing waits", SETTLE_LIMIT_S)
        return _compared(programs, killed)
    finally:
        over.set()
        programs.stop()


def _post(programs: Programs, poster: int, over: threading.Event) -> None:
    """Write versions of a poster's own resources, each again until it is acknowledged."""
    number = 0
    while not over.is_set():
        number += 1
        key = f"chaos-{poster}-{number % KEYS}"
        body = samples.coverage(key, dependent=str(number))
        while not _is_taken(programs, body):
            threading.Event().wait(0.05)
        over.wait(0.05)


def _is_taken(programs: Programs, body: dict[str, object]) -> bool:
    try:
        return programs.put(body).ok
    except requests.RequestException:
        return False


def _is_quiet(programs: Programs) -> bool:
    text = requests.get(f"{programs.server}/readyz", timeout=5).text
    return "deliveries waiting: 0" in text


def _compared(programs: Programs, killed: Counter[str]) -> Found:
    """Compare what came with what the server says there was."""
    came: dict[tuple[str, int], list[str]] = defaultdict(list)
    firsts: dict[str, list[int]] = defaultdict(list)
    for got in programs.received("/ok"):
        resource = got.resource
        event = (resource["id"], int(resource["meta"]["versionId"]))
        if event not in came:
            firsts[event[0]].append(event[1])
        came[event].append(got.uid)
    expected = {
        (key, version)
        for key in (f"chaos-{poster}-{n}" for poster in range(POSTERS) for n in range(KEYS))
        for version in range(1, _versions(programs, key) + 1)
    }
    return Found(
        kills=killed,
        events=len(expected),
        lost=len(expected - set(came)),
        disordered=sum(numbers != sorted(numbers) for numbers in firsts.values()),
        again=sum(len(uids) - 1 for uids in came.values()),
        other_ids=sum(len(set(uids)) > 1 for uids in came.values()),
    )


def _versions(programs: Programs, key: str) -> int:
    answer = requests.get(f"{programs.fhir}/Coverage/{key}", timeout=20)
    return int(answer.json()["meta"]["versionId"]) if answer.ok else 0


if __name__ == "__main__":
    main()
