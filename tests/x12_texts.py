"""271s written by hand in tests, without the project's own writer."""

import re
from collections.abc import Sequence
from itertools import product
from pathlib import Path

FIXTURES = Path(__file__).parent.parent / "fixtures" / "x12"
_TYPES = [str(n) for n in range(1, 95) if n not in {29, 31, 64, 95}]  # EB03
_ISA = (
    "ISA*00*          *00*          *ZZ*EXAMPLEHUB     *ZZ*INFORCE        "
    "*261124*0930*^*00501*000000101*0*T*:~"
)


def file_271(name: str) -> str:
    """Return one of the fixture files as it is."""
    with (FIXTURES / "271" / f"{name}.edi").open(encoding="utf-8", newline="") as file:
        return file.read()


def sample_271(name: str) -> str:
    """Return one of the fixture files about a subscriber, told of the sample patient instead."""
    text = re.sub(r"NM1\*IL\*1\*[^~]*", "NM1*IL*1*RIVERA*ANA****MI*INF100001", file_271(name))
    return re.sub(r"DMG\*D8\*[^~]*", "DMG*D8*19850214*F", text)


def answer_271(*rows: str, trace: str = "TRACE1") -> str:
    """Return a 271 about a subscriber with these segments after the subscriber's DMG."""
    return _wrapped(
        [
            *_head(),
            "HL*3*2*22*0",
            f"TRN*2*{trace}*9INFORCE01",
            "NM1*IL*1*RIVERA*ANA****MI*INF100001",
            "DMG*D8*19850214*F",
            *rows,
        ]
    )


def plan_271(services: int, year: int, *, is_alike: bool = True) -> str:
    """Return a 271 in one line, as payers write it: for each service the terms of the plan.

    A plan has one deductible and one limit for all services; with `is_alike` False every service
    has its own, with days and notes of its own, so that hardly two segments are the same.
    """
    rows = ["EB*1*IND*30**GOLD PPO"]
    for number, kind in enumerate(_TYPES[:services]):
        network, own = "YN"[number % 2], 0 if is_alike else number
        note = f"NOTE {own} OF {year} APPROVAL MAY BE NEEDED FOR SOME OF THESE SERVICES"
        dates = [f"DTP*348*RD8*{year}01{own % 28 + 1:02d}-{year}1231"] if number % 2 else []
        rows += [
            f"EB*B*IND*{kind}*PR**27*{year % 7 * 5 + 15 + own}*****{network}",
            f"EB*A*IND*{kind}*PR**27**.{year % 5 + 1}****{network}",
            f"MSG*{note}",
        ]
        limits = enumerate(product("CG", ("IND", "FAM"), ("23", "29")))
        for place, (what, level, period) in limits:
            amount = 10 * (year + own) - place
            rows += [f"EB*{what}*{level}*{kind}*PR**{period}*{amount}*****{network}", *dates]
    return answer_271(*rows).replace("\n", "")


def reject_271(*aaa: str) -> str:
    """Return a 271 with these AAA segments about the subscriber."""
    return _wrapped(
        [
            *_head(),
            "HL*3*2*22*0",
            "TRN*2*TRACE1*9INFORCE01",
            "NM1*IL*1*RIVERA*ANA****MI*INF1",
            *aaa,
        ]
    )


def _head() -> list[str]:
    return [
        "BHT*0022*11*TRACE1*20261124*0930",
        "HL*1**20*1",
        "NM1*PR*2*EXAMPLE HEALTH*****PI*00099",
        "HL*2*1*21*1",
        "NM1*1P*2*RIVERSIDE CLINIC*****XX*1999999984",
    ]


def _wrapped(body: list[str]) -> str:
    lines = [
        "GS*HB*EXAMPLEHUB*INFORCE*20261124*0930*101*X*005010X279A1",
        "ST*271*0001*005010X279A1",
        *body,
        f"SE*{len(body) + 2}*0001",
        "GE*1*101",
        "IEA*1*000000101",
    ]
    return _ISA + "\n" + "".join(f"{line}~\n" for line in lines)


def family_271(
    of_subscriber: Sequence[str], of_dependent: Sequence[str], *, name: str = "BEN"
) -> str:
    """Return a 271 about a dependent of the sample patient, with these segments at each level."""
    return _wrapped(
        [
            *_head(),
            "HL*3*2*22*1",
            "TRN*2*TRACE1*9INFORCE01",
            "NM1*IL*1*RIVERA*ANA****MI*INF100001",
            "DMG*D8*19850214*F",
            *of_subscriber,
            "HL*4*3*23*0",
            f"NM1*03*1*RIVERA*{name}",
            "DMG*D8*20150304*M",
            *of_dependent,
        ]
    )
