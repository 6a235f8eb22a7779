"""Where the synthetic data lies: inside the installed package, or beside it in a checkout."""

import json
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent
ROOT = _HERE / "fixtures" if (_HERE / "fixtures").is_dir() else _HERE.parent / "fixtures"
# The trace number that the 271 files carry; an answer carries the one it was asked with.
FILE_TRACE = "TRACE-OF-THE-REQUEST"


def member(member_id: str) -> dict[str, Any] | None:
    """Return what is known of a member: `answer` (a 271 file) and `delay_s`; None if nobody."""
    for file in sorted((ROOT / "members").glob("*.json")):
        found: dict[str, Any] = json.loads(file.read_text("utf-8"))
        if found["memberId"] == member_id:
            return found
    return None


def answer(name: str, trace: str) -> str:
    """Return a 271 file as the answer to the request with this trace number."""
    text = (ROOT / "x12" / "271" / f"{name}.edi").read_text("utf-8")
    return text.replace(FILE_TRACE, trace)


def coverage(name: str) -> dict[str, Any] | None:
    """Return the same answer in Availity's shape, None where it is written in X12 only."""
    return _written("coverages", name)


def inquiry(name: str) -> dict[str, Any] | None:
    """Return the same answer in Opkit's shape, None where it is written in X12 only."""
    return _written("inquiries", name)


def _written(folder: str, name: str) -> dict[str, Any] | None:
    file = ROOT / folder / f"{name}.json"
    found: dict[str, Any] | None = json.loads(file.read_text("utf-8")) if file.is_file() else None
    return found


def seed_bundles() -> list[dict[str, Any]]:
    """Return the transaction Bundles of synthetic patients, in the order of their names."""
    return [json.loads(f.read_text("utf-8")) for f in sorted((ROOT / "seed").glob("*.json"))]
