"""Write the expected CoverageEligibilityResponse beside each 271 of fixtures/x12/271.

Run it after a change of the reader or the mapping, and review the diff: it is the change.
"""

import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import msgspec

sys.path.insert(0, str(Path(__file__).parent.parent))

from bots.mapping import response
from bots.mapping.response import Head
from bots.x12 import eligibility_271
from fhir_profiles import codec

FOLDER = Path(__file__).parent.parent / "fixtures" / "x12" / "271"
HEAD = Head(
    request={
        "resourceType": "CoverageEligibilityRequest",
        "id": "request",
        "purpose": ["benefits", "validation"],
        "patient": {"reference": "Patient/patient"},
        "insurer": {"reference": "Organization/payer", "display": "Example Health"},
        "provider": {"reference": "Organization/clinic"},
        "insurance": [{"focal": True, "coverage": {"reference": "Coverage/coverage"}}],
    },
    trace="TRACE-OF-THE-REQUEST",
    created=datetime(2026, 11, 24, 9, 30, tzinfo=UTC),
    on=date(2026, 11, 24),
)


def expected(file: Path) -> dict[str, Any]:
    """Return the response that the 271 in `file` makes, for one fixed request."""
    with file.open(encoding="utf-8", newline="") as text:
        answer = eligibility_271.read(text.read())
    return response.prune(response.answered(HEAD, answer, "sandbox"))


def dumped(resource: dict[str, Any]) -> bytes:
    """Return a resource as indented JSON, decimals with the digits they have."""
    return msgspec.json.format(codec.encode(resource), indent=2) + b"\n"


def main() -> None:
    """Write all expected files."""
    for file in sorted(FOLDER.glob("*.edi")):
        file.with_suffix(".json").write_bytes(dumped(expected(file)))
        print(file.stem)


if __name__ == "__main__":
    main()
