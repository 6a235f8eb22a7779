"""Reading a 271: against floors, by size, and at random."""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from bots.mapping import response
from bots.x12 import eligibility_271, guide
from bots.x12.envelope import transactions
from fhir_profiles import codec
from server.validation import structure
from tests import x12_cases
from tests.x12_texts import answer_271
from tools.golden import HEAD

REPEATS, SIZE = 15, 28 * 1024
CASES = 50_000
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
    text = _text(SIZE)
    floor = _ms(lambda: [part.split("*") for part in text.split("~")])
    by_hand = _ms(lambda: _by_hand(text))
    ours = _ms(lambda: eligibility_271.read(text))
    answer = eligibility_271.read(text)
    (one,) = transactions(text)
    yield f"| a 271 of {len(text) // 1024} KB, {len(one.segments)} segments | CPU, median |"
    yield "|---|---|"
    yield f"| split into segments and elements, nothing else | {floor:.2f} ms |"
    yield f"| a loop by hand, a dict for each EB | {by_hand:.2f} ms |"
    yield f"| read to normalised rows | {ours:.2f} ms, {ours / by_hand:.1f} times the loop |"
    checked = _ms(lambda: guide.check("271", one.segments, one.marks))
    yield f"| held against the guide | {checked:.2f} ms |"
    made = response.answered(HEAD, answer, "bench")
    built = _ms(lambda: codec.encode(response.answered(HEAD, answer, "bench")))
    valid = _ms(lambda: structure.check(codec.decode(codec.encode(made))))
    items = len(made["insurance"][0]["item"])
    yield f"| built into a response of {items} items | {built:.2f} ms |"
    yield f"| the response validated | {valid:.2f} ms |"
    yield f"| import of the codec | {_import_ms():.0f} ms |"
    yield ""
    yield "| 271 of | read | per MB |"
    yield "|---|---|---|"
    for megabytes in (0.1, 1, 10):
        big = _text(int(megabytes * 1024 * 1024))
        took = _ms(lambda big=big: eligibility_271.read(big), 1 if megabytes > 1 else 3)  # type: ignore[misc]
        yield f"| {megabytes:g} MB | {took:.0f} ms | {took / megabytes:.0f} ms |"
    yield ""
    faults = [fault for seed in range(CASES) for fault in x12_cases.faults(x12_cases.case(seed))]
    yield (f"{CASES:,} 271s made at random from the guide, whole and broken: "
           f"{len(faults)} crashes, invalid responses, invented values or lost rows.")  # fmt: skip
    yield ""


def _text(size: int) -> str:
    block = "~".join(ROWS) + "~"
    head, _, tail = answer_271("EB*1**30").partition("EB*1**30~\n")
    return head + block * (size // len(block)) + tail


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


def _ms(work: Callable[[], object], repeats: int = REPEATS) -> float:
    work()
    times = []
    for _ in range(repeats):
        began = time.process_time()
        work()
        times.append((time.process_time() - began) * 1000)
    return statistics.median(times)


def _import_ms() -> float:
    """Return what the import costs beyond an empty Python."""

    def run(code: str) -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return (time.perf_counter() - began) * 1000

    return statistics.median(
        run("import bots.x12.eligibility_271") - run("pass") for _ in range(REPEATS)
    )
