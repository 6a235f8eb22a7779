"""271s made at random from the guide's usage table, whole and broken, and what must hold of each.

    python -m tests.x12_cases 50000

reads so many and tells how many crashed, invented a value or lost a row; each has its seed.
"""

import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from bots.domain.eligibility import Answer
from bots.mapping import response
from bots.x12 import eligibility_271
from bots.x12.eligibility_271 import NotA271
from fhir_profiles import codec, codes, systems
from server.validation import structure
from tests.x12_texts import answer_271
from tools.golden import HEAD

AMOUNTS = ("0", "25", "25.50", ".5", "1,200.00", "$30", "-5", "3000", "99999999999999", "x", "")
PERCENTS = ("", ".2", "0", "1", ".125", "20", "150", "x")
EXTRAS = (
    "MSG*TIER 1 PROVIDERS", "MSG*CALL FOR CARVE OUTS", "DTP*291*D8*20260101", "REF*18*PLAN7*GOLD",
    "DTP*292*RD8*20260101-20261231", "HSD*VS*20***23*1", "III*ZZ*11", "REF*G1*AUTH1",
    "DTP*348*D8*x",
    "LS*2120", "NM1*PRP*2*OTHER MUTUAL*****PI*00123", "PER*IC**TE*8005550199", "LE*2120",
    "ZZZ*1*2",
    "AAA*N**72*C", "N3*1 ROAD", "DTP*295*D8*20260101", "HL*5*3*22*0",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Case:
    """One text, and how it was broken."""

    seed: int
    mutation: str
    text: str


def case(seed: int) -> Case:
    """Return the case of a seed, always the same."""
    rng = random.Random(seed)  # noqa: S311 no secret
    rows = [line for _ in range(rng.randint(0, 12)) for line in _row(rng)]
    name, change = rng.choice(MUTATIONS)
    return Case(seed, name, change(answer_271(*rows), rng))


def faults(one: Case) -> list[str]:
    """Return what is wrong with how a case is read: crash, invalid, invented, lost."""
    try:
        answer = eligibility_271.read(one.text)
        made = response.prune(response.answered(HEAD, answer, "sandbox"))
        stored = codec.decode(codec.encode(made))
    except NotA271:
        return []
    except Exception as error:  # noqa: BLE001 that is what is looked for
        return [f"crash: {type(error).__name__}"]
    found = ["invalid"] if structure.check(stored) else []
    found += ["invented"] if set(_money(stored)) - _said(answer) else []
    found += ["lost"] if {b.index for b in answer.benefits} - set(_told(stored, answer)) else []
    return found


def _row(rng: random.Random) -> Iterator[str]:
    """Yield an EB and some segments behind it."""
    elements = [
        _code(rng, "eb01_benefit_information"),
        _code(rng, "eb02_coverage_level", none=True),
    ]
    types = [_code(rng, "service_type_codes") for _ in range(rng.choice((0, 1, 1, 1, 2, 3)))]
    elements += ["^".join(types), _code(rng, "eb04_insurance_type", none=True)]
    elements += [rng.choice(("", "GOLD PPO", "NAME|A001|MEDICAID"))]
    elements += [_code(rng, "eb06_time_period", none=True), rng.choice(AMOUNTS)]
    elements += [rng.choice(PERCENTS), _code(rng, "eb09_quantity_qualifier", none=True)]
    elements += [rng.choice(("", "", "20", "6", ".5")), rng.choice(("", "Y", "N", "U", "Q"))]
    elements += [rng.choice(("", "Y", "N", "W", "U")), rng.choice(("", "", "HC:97110:GP", "AD"))]
    yield "*".join(["EB", *elements]).rstrip("*")
    for _ in range(rng.choice((0, 0, 1, 2))):
        yield rng.choice(EXTRAS)


def _code(rng: random.Random, name: str, *, none: bool = False) -> str:
    """Return a code of a list, now and then one that is on none, or nothing."""
    if none and rng.random() < 0.4:
        return ""
    return rng.choice((*codes.names(name), "ZZ", "9?"))


def _changed(text: str, rng: random.Random) -> str:
    place = rng.randrange(len(text))
    return text[:place] + rng.choice("*~^:\x00é0 A") + text[place + 1 :]


def _twice(text: str, rng: random.Random) -> str:
    lines = text.split("\n")
    place = rng.randrange(len(lines))
    return "\n".join([*lines[:place], lines[place], *lines[place:]])


def _gone(text: str, rng: random.Random) -> str:
    lines = text.split("\n")
    del lines[rng.randrange(len(lines))]
    return "\n".join(lines)


MUTATIONS: tuple[tuple[str, Callable[[str, random.Random], str]], ...] = (
    ("whole", lambda text, _: text),
    ("cut", lambda text, rng: text[: rng.randrange(len(text))]),
    ("one line", lambda text, _: text.replace("\n", "")),
    ("other separators", lambda text, _: text.replace("*", "|").replace("~", "!")),
    ("a byte changed", _changed),
    ("a segment twice", _twice),
    ("a segment gone", _gone),
    ("bare", lambda text, _: text[text.index("ST*") : text.index("GE*")]),
)


def _said(answer: Answer) -> set[Decimal]:
    """Return every amount that the payer sent."""
    rows = (*answer.benefits, *answer.subscriber_benefits)
    return {row.amount for row in rows if row.amount is not None}


def _money(node: Any) -> Iterator[Decimal]:
    """Yield every amount of a response that is not marked as calculated."""
    if isinstance(node, list):
        for one in node:
            yield from _money(one)
    elif isinstance(node, dict):
        urls = {e.get("url") for e in node.get("extension", []) if isinstance(e, dict)}
        if not urls & {systems.EXT_DERIVED, systems.EXT_IMPLIED_TOTAL}:
            if "currency" in node:
                yield Decimal(str(node["value"]))
            for one in node.values():
                yield from _money(one)


def _told(stored: Any, answer: Answer) -> Iterator[int]:
    """Yield the index of each EB that the response leads back to, or tells as a contact."""
    yield from (b.index for b in answer.benefits if b.kind in "LMCNXWUVTS" and b.entities)
    if isinstance(stored, list):
        for one in stored:
            yield from _told(one, answer)
    elif isinstance(stored, dict):
        if stored.get("url") == systems.EXT_SOURCE:
            parts = stored["extension"]
            yield from (p["valueUnsignedInt"] for p in parts if p["url"] == "index")
        for one in stored.values():
            yield from _told(one, answer)


def main() -> None:
    """Read as many cases as the argument says; exit 1 where one has a fault."""
    count = int(sys.argv[1])
    told: Counter[str] = Counter()
    for seed in range(count):
        for fault in faults(case(seed)):
            told[fault] += 1
            print(f"seed {seed}: {fault}")
    crashed = sum(n for fault, n in told.items() if fault.startswith("crash"))
    print(f"{count:,} cases: {crashed} crashes, {told['invalid']} invalid responses, "
          f"{told['invented']} with an invented value, {told['lost']} with a lost row")  # fmt: skip
    sys.exit(1 if told else 0)


if __name__ == "__main__":
    main()
