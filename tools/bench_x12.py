"""Reading a 271: against floors, by size, and at random."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from bots.x12 import eligibility_271, guide
from bots.x12.envelope import transactions
from fhir_profiles import codec
from server.validation import structure
from tests import x12_cases
from tests.x12_texts import answer_271, plan_271
from tools.bench_response import built

Timed = Callable[[str], float]  # what a work on a text takes, in milliseconds
REPEATS, COMPARED, WARM, TURN = 15, 60, 40, 10
SIZE, SERVICES = 28 * 1024, 59
CASES = 50_000
PEER = "x12sdk 2.2.0"
PEER_CODE = """
import sys, time
from x12sdk.io import X12ModelReader
for text in sys.stdin:
    began = time.process_time()
    with X12ModelReader(text.strip()) as reader:
        assert len(list(reader.models())) == 1
    print((time.process_time() - began) * 1000, flush=True)
"""
ROWS = (
    "EB*1*FAM*30*PR*GOLD PPO*******W", "EB*C*FAM*30*PR**23*3000*****Y",
    "EB*C*FAM*30*PR**29*1800*****Y", "EB*B*IND*98^UC*PR**27*25*****Y", "MSG*PER VISIT",
    "EB*A*IND*62*PR**27**.2***Y*Y", "EB*F*IND*33*PR**23***VS*20**Y", "HSD*VS*20***23*1",
    "DTP*292*RD8*20260101-20261231", "EB*L", "LS*2120", "NM1*P3*1*PHYSICIAN*PRIMA",
    "PER*IC**TE*8005550199", "LE*2120", "EB*1**86*PR*GOLD PPO********",
    "MSG*EMERGENCY SERVICES ARE COVERED AT THE SAME LEVEL IN AND OUT OF NETWORK",
    "EB*D**30", "MSG*BENEFITS SHOWN ARE NO GUARANTEE OF PAYMENT AND MAY CHANGE WITH THE PLAN",
    "EB*R**30*PR*SECONDARY PLAN", "REF*1L*OTHERPOL9", "DTP*290*D8*20260101",
)  # fmt: skip


def reading() -> Iterator[str]:
    """Yield the lines that tell of the codec."""
    texts = [plan_271(SERVICES, 2000 + year) for year in range(REPEATS)]
    (one,) = transactions(texts[0])
    yield f"| a 271 of {len(texts[0]) // 1024} KB, {len(one.segments)} segments | CPU, median |"
    yield "|---|---|"
    yield from _compared()
    yield from _after(texts)
    yield f"| import of the codec | {_import_ms():.0f} ms |"
    yield ""
    yield "| 271 of | read | per MB |"
    yield "|---|---|---|"
    for megabytes in (0.1, 1, 10):
        big = _detailed(int(megabytes * 1024 * 1024))
        took = _ms(eligibility_271.read, [big], 1 if megabytes > 1 else 3)
        yield f"| {megabytes:g} MB | {took:.0f} ms | {took / megabytes:.0f} ms |"
    yield ""
    faults = [fault for seed in range(CASES) for fault in x12_cases.faults(x12_cases.case(seed))]
    yield (f"{CASES:,} 271s made at random from the guide, whole and broken: "
           f"{len(faults)} crashes, invalid responses, invented values or lost rows.")  # fmt: skip
    yield ""


def _compared() -> Iterator[str]:
    """Yield how long reading takes, beside floors and another reader.

    They take turns, so that a slow moment of the machine is slow for all.
    """
    works = [_cpu(work) for work in (_split, _by_hand, eligibility_271.read)]
    with _peer() as peer:
        floor, by_hand, ours, *theirs = _beside([*works, *peer], is_alike=True)
    yield f"| split into segments and elements, nothing else | {floor:.2f} ms |"
    yield f"| a loop by hand, a dict for each EB | {by_hand:.2f} ms |"
    yield f"| read to normalised rows | {ours:.2f} ms, {ours / by_hand:.1f} times the loop |"
    for took in theirs:
        yield f"| {PEER}, which builds a model | {took:.1f} ms, {took / ours:.1f} times ours |"
    by_hand, ours = _beside(works[1:], is_alike=False)
    yield (f"| read where every service has amounts, days and a note of its own | {ours:.2f} ms, "
           f"{ours / by_hand:.1f} times the loop |")  # fmt: skip
    details = _ms(eligibility_271.read, [_detailed(SIZE)])
    yield f"| read where every kind of detail follows | {details:.2f} ms |"


def _after(texts: list[str]) -> Iterator[str]:
    """Yield how long it takes to go on from there."""
    (one,) = transactions(texts[0])
    checked = _ms(lambda _text: guide.check("271", one.segments, one.marks), texts[:1])
    yield f"| held against the guide | {checked:.2f} ms |"
    took = _ms(lambda text: built(eligibility_271.read(text)), texts)
    stored = codec.decode(codec.encode(built(eligibility_271.read(texts[0]))))
    items = len(stored["insurance"][0]["item"])
    yield f"| read, and built into a response of {items} items by the R4B models | {took:.1f} ms |"
    valid = _ms(lambda _text: structure.check(stored), texts)
    yield f"| that response validated | {valid:.1f} ms |"


def _detailed(size: int) -> str:
    """Return a 271 in which benefits have entities, contacts, visits and references, too."""
    block = "~".join(ROWS) + "~"
    head, _, tail = answer_271("EB*1**30").partition("EB*1**30~\n")
    numbered = (block.replace("3000", f"{3000 + n}").replace("PER VISIT", f"NOTE {n}")
                .replace("PRIMA", f"PRIMA{n}").replace("OTHERPOL9", f"OTHERPOL{n}")
                for n in range(size // len(block)))  # fmt: skip
    return head + "".join(numbered) + tail


def _by_hand(text: str) -> list[dict[str, Any]]:
    """Do what a reader has to do at the least."""
    found: list[dict[str, Any]] = []
    for part in text.split("~"):
        elements = part.strip().split("*")
        if elements[0] == "EB":
            elements += [""] * (14 - len(elements))
            found.append({"kind": elements[1], "level": elements[2],
                          "types": elements[3].split("^"), "period": elements[6],
                          "amount": float(elements[7]) if elements[7] else None,
                          "percent": float(elements[8]) if elements[8] else None,
                          "network": elements[12], "dates": [], "messages": []})  # fmt: skip
        elif elements[0] == "DTP" and found:
            found[-1]["dates"].append((elements[1], elements[3]))
        elif elements[0] == "MSG" and found:
            found[-1]["messages"].append(elements[1])
    return found


def _split(text: str) -> list[list[str]]:
    return [part.split("*") for part in text.split("~")]


def _cpu(work: Callable[[str], object]) -> Timed:
    """Return what does some work on a text and tells the milliseconds of CPU it took."""

    def timed(text: str) -> float:
        began = time.process_time()
        work(text)
        return (time.process_time() - began) * 1000

    return timed


def _beside(works: Sequence[Timed], *, is_alike: bool) -> list[float]:
    """Return the median of each work on texts that none has seen, after some others."""
    times: list[list[float]] = [[] for _ in works]
    for year in range(2000 - WARM, 2000 + COMPARED, TURN):
        texts = [plan_271(SERVICES, year + n, is_alike=is_alike) for n in range(TURN)]
        for kept, timed in zip(times, works, strict=True):
            kept.extend(map(timed, texts))
    return [statistics.median(kept[WARM:]) for kept in times]


@contextmanager
def _peer() -> Iterator[list[Timed]]:
    """Give another reader, in an environment of its own, none where it cannot be installed."""
    with tempfile.TemporaryDirectory() as place:
        venv.create(place, with_pip=True)
        python = f"{place}/bin/python"
        install = [python, "-m", "pip", "install", "-q", PEER.replace(" ", "==")]
        if subprocess.run(install, check=False, capture_output=True).returncode:
            yield []
            return
        with subprocess.Popen([python, "-c", PEER_CODE], text=True, bufsize=1,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE) as ran:  # fmt: skip

            def timed(text: str) -> float:
                print(text.replace("\n", ""), file=ran.stdin)
                return float(ran.stdout.readline()) if ran.stdout is not None else 0.0

            yield [timed]


def _ms(work: Callable[[str], object], texts: list[str], repeats: int = REPEATS) -> float:
    """Return the median CPU of some work on texts, one after the other."""
    work(texts[0])
    timed = _cpu(work)
    return statistics.median(timed(texts[place % len(texts)]) for place in range(repeats))


def _import_ms() -> float:
    """Return what the import costs beyond an empty Python, from bytecode as it is installed."""

    def run(code: str) -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, env=environment)
        return (time.perf_counter() - began) * 1000

    with tempfile.TemporaryDirectory() as place:
        environment, code = {"PYTHONPYCACHEPREFIX": place}, "import bots.x12.eligibility_271"
        run(code)
        return statistics.median(run(code) - run("pass") for _ in range(REPEATS))


if __name__ == "__main__":
    # Readers that take turns share one core, so that a busy neighbour is everybody's.
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    for line in reading():
        print(line, flush=True)
