"""Who is meant, over the real programs: a person who is there after all, a card of last year."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from fhir_profiles import elements, systems
from tests import samples
from tests.acceptance.people import Person
from tests.programs import Programs
from tests.x12_texts import file_271

pytestmark = pytest.mark.loopback
RULES: list[dict[str, Any]] = [
    {
        "url": systems.EXT_IDENTIFIER_RULES,
        "extension": [{"url": "prefix", "valueCode": "keep"}],
    }
]


@pytest.fixture(scope="module")
def programs(
    tmp_path_factory: pytest.TempPathFactory, new_database: Callable[[], str]
) -> Iterator[Programs]:
    started = Programs(tmp_path_factory.mktemp("identity"), new_database())
    with started.running(samples.clinic(), samples.payer(extension=RULES)):
        yield started


@pytest.mark.req("R000-66 R002-16")
def test_a_person_the_payer_has_is_found_after_all(programs: Programs) -> None:
    """Without the prefix: active, to be looked at, both exchanges kept, and read again alike."""
    person = Person(programs)
    programs.answer(person.member_id.removeprefix("MEM"), file_271("active-ppo"))
    person.post()
    response = person.response()
    programs.settled()

    assert "active-review" == elements.tag(response, systems.ELIGIBILITY_STATE)
    assert 2 == len(list(elements.extensions(response, systems.EXT_EXCHANGE)))
    (issue,) = programs.search(f"DetectedIssue?patient=Patient/{person.id}")
    assert "prefix" == issue["evidence"][0]["code"][0]["coding"][0]["code"]
    page = requests.get(f"{programs.server}/benefits/{person.coverage_id}", timeout=9).text
    assert "by it with or without its prefix" in page
    again = programs.run("bots", "reparse")
    assert (0, "0 answers would be stored otherwise\n") == (again.returncode, again.stdout)


@pytest.mark.req("R000-38")
def test_a_card_of_last_year_leads_to_the_coverage(programs: Programs) -> None:
    """By POST, with the person in the body only."""
    person = Person(programs)
    kind = {"coding": [{"system": systems.V2_IDENTIFIER_TYPE, "code": "MB"}]}
    old = {"type": kind, "value": "LAST-1", "period": {"end": "2025-12-31"}}
    person.coverage["identifier"] = [old]
    person.checked(file_271("active-ppo"))
    given = {"payer": "Organization/payer", "memberId": "last1", "birthDate": "02/14/1985",
             "family": "RIVERA"}  # fmt: skip
    parts = [{"name": name, "valueString": value} for name, value in given.items()]
    answer = requests.post(f"{programs.fhir}/Coverage/$resolve-member", timeout=9,
                           json={"resourceType": "Parameters", "parameter": parts})  # fmt: skip
    found = {one["name"]: one for one in answer.json()["parameter"]}

    assert "M5" == found["rung"]["valueCode"]
    assert f"Coverage/{person.coverage_id}" == found["coverage"]["valueReference"]["reference"]
