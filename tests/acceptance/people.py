"""People for acceptance tests: each with an own id, so that tests do not meet."""

import itertools
from typing import Any

from tests import samples
from tests.programs import Programs

_numbers = itertools.count(1)


class Person:
    """A patient with a coverage, not yet posted."""

    def __init__(self, programs: Programs, **coverage: Any) -> None:
        """Store the patient; `coverage` changes the sample coverage."""
        number = next(_numbers)
        self.programs = programs
        self.id = f"person-{number}"
        self.member_id = f"MEM{number:06d}"
        self.coverage_id = f"coverage-{number}"
        self.coverage = samples.coverage(
            self.coverage_id,
            **{
                "subscriberId": self.member_id,
                "beneficiary": {"reference": f"Patient/{self.id}"},
                **coverage,
            },
        )
        assert programs.put(samples.patient(self.id)).ok

    def post(self, **change: Any) -> dict[str, Any]:
        """Store the coverage, changed so."""
        self.coverage = {**self.coverage, **change}
        answer = self.programs.put(self.coverage)
        assert answer.ok, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def response(self) -> dict[str, Any]:
        """Wait for the answer about the coverage."""
        return self.programs.one(self.query("CoverageEligibilityResponse"))

    def responses(self) -> list[dict[str, Any]]:
        """Return all answers about the coverage there are now."""
        return self.programs.search(self.query("CoverageEligibilityResponse"))

    def requests(self) -> list[dict[str, Any]]:
        """Return all questions about the coverage there are now."""
        return self.programs.search(self.query("CoverageEligibilityRequest"))

    def query(self, type_name: str) -> str:
        """Return the search for everything of a type about the coverage."""
        return f"{type_name}?coverage=Coverage/{self.coverage_id}"

    def checked(self, x12: str) -> dict[str, Any]:
        """Let the payer answer with `x12`, post the coverage, and return the stored response."""
        self.programs.answer(self.member_id, x12)
        self.post()
        return self.response()
