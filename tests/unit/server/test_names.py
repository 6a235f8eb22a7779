"""How people are named on pages."""

from typing import Any

import pytest

from server.web import records

NAMED: list[tuple[list[dict[str, Any]], str]] = [
    ([{"family": "Rivera", "given": ["Ana", None, "Lucía"]}], "Ana Lucía Rivera"),
    ([{"family": "Old", "use": "old"}, {"family": "Rivera"}], "Rivera"),
    ([{"family": "Rivera"}, {"family": "Ríos", "use": "official"}], "Ríos"),
    ([{"text": "Ana Rivera"}], "Ana Rivera"),
    ([{"given": ["Ana"]}], "Ana"),
    ([], "Name not on file"),
]


@pytest.mark.parametrize(("names", "told"), NAMED)
def test_a_person_is_named_as_people_say_it(names: list[dict[str, Any]], told: str) -> None:
    """The official name, else the first in use; a text where there is nothing else."""
    assert told == records.person({"resourceType": "Patient", "name": names})


def test_nobody_has_no_name() -> None:
    """As one whose name is not known."""
    assert "Name not on file" == records.person(None)
