"""What a 271 becomes: responses of 60 items, and what the bots take to build one.

Run by itself it prints, as JSON, the milliseconds of CPU for each kind: in a process as small as
that of the bots, where nothing but the building is to be collected.
"""

import json
import statistics
import sys
import time
from functools import cache
from typing import Any

from msgspec import structs

from bots.domain.eligibility import Answer
from bots.mapping import items, response
from bots.x12 import eligibility_271
from fhir_profiles import codec
from tests.x12_texts import plan_271
from tools.golden import HEAD

ITEMS, BUILDS, WARM = 60, 60, 20
RESPONSES = {"one row each": ("29",), "two rows for each limit": ()}  # EB06 that are left out


@cache
def stored(kind: str) -> bytes:
    """The response that a 271 makes, with ITEMS items, as it is sent to be stored."""
    return codec.encode(built(_answer(kind, 2026)))


def _answer(kind: str, year: int) -> Answer:
    """An active plan and the benefits of ten services, but for the last one."""
    found = eligibility_271.read(plan_271(10, year))
    rows = [one for one in found.benefits if one.period not in RESPONSES[kind]]
    last = next(n for n in range(1, 3) if len(items.items(tuple(rows[:-n]))) == ITEMS)
    return structs.replace(found, benefits=tuple(rows[:-last]))


def built(answer: Answer) -> dict[str, Any]:
    """Return the response that the bots build of an answer."""
    return response.prune(response.answered(HEAD, answer, "bench"))


def _built_ms(kind: str) -> float:
    """Return what it takes to build such a response through the models, CPU, median."""
    times = []
    for answer in [_answer(kind, year) for year in range(2000 - WARM, 2000 + BUILDS)]:
        began = time.process_time()
        codec.encode(built(answer))
        times.append((time.process_time() - began) * 1000)
    return statistics.median(times[WARM:])


if __name__ == "__main__":
    json.dump({kind: _built_ms(kind) for kind in RESPONSES}, sys.stdout)
