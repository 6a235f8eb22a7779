"""How the payer decided, item by item and summed up: what CMS-0057-F has a payer publish.

Source: CMS-0057-F (89 FR 8758). The times of an item are its own: an update that leaves it alone
changes neither.
"""

from collections.abc import Iterable
from statistics import fmean, median
from typing import Any

from sandbox import pas_json as fhir
from sandbox.pas_answers import Authorization
from sandbox.pas_json import Json

_URGENT = ("03", "U")  # X12 1338


def report(every: Iterable[Authorization]) -> Json:
    """Return `items`, and counts and times of each urgency, None where nothing was decided."""
    items = [line for one in every if not one.error for line in _lines(one)]
    return {
        "items": items,
        **{
            urgency: _sums([one for one in items if one["urgency"] == urgency])
            for urgency in ("standard", "expedited")
        },
    }


def _lines(one: Authorization) -> Iterable[Json]:
    level = fhir.code(fhir.value(one.claim, "levelOfServiceCode"))
    for sequence, decision in one.plan.items():
        received, decided = one.times[sequence]
        yield {
            "trace": one.trace, "sequence": sequence, "code": decision["code"],
            "urgency": "expedited" if level in _URGENT else "standard",
            "received": received.isoformat(),
            "decided": decided.isoformat() if decided else None,
            "seconds": (decided - received).total_seconds() if decided else None,
        }  # fmt: skip


def _sums(items: list[dict[str, Any]]) -> Json:
    decided = [one for one in items if one["decided"] is not None]
    times = [one["seconds"] for one in decided]
    return {
        "decided": len(decided),
        "approved": sum(one["code"] != "A3" for one in decided),
        "denied": sum(one["code"] == "A3" for one in decided),
        "pended": sum(one["code"] == "A4" for one in items),
        "average_s": fmean(times) if times else None,
        "median_s": median(times) if times else None,
    }
