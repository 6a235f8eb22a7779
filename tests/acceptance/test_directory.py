"""The payer directory over the real programs: imported, searched, and used by a check."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from fhir_profiles import elements, systems
from tests import samples
from tests.acceptance.people import Person
from tests.programs import Programs
from tests.x12_texts import file_271

pytestmark = pytest.mark.loopback
FOLDER = Path(__file__).parents[2] / "fixtures/payers"


@pytest.fixture(scope="module")
def programs(
    tmp_path_factory: pytest.TempPathFactory, new_database: Callable[[], str]
) -> Iterator[Programs]:
    started = Programs(tmp_path_factory.mktemp("directory"), new_database())
    with started.running(samples.clinic()):
        done = started.run("bots", "import-payers", str(FOLDER / "payers.csv"), "--json")
        assert (0, ["created"] * 3) == (
            done.returncode, [line["outcome"] for line in json.loads(done.stdout)])  # fmt: skip
        yield started


@pytest.mark.req("R002-34 R002-35")
def test_the_same_list_again_changes_nothing(programs: Programs) -> None:
    """And a damaged one is told line by line, with a code of its own, whatever came in."""
    again = programs.run("bots", "import-payers", str(FOLDER / "payers.csv"))
    assert (0, "0 created, 0 changed, 3 same, 0 refused\n") == (again.returncode, again.stdout)
    before = programs.search(f"Organization?identifier={systems.PAYER_ID}|")
    damaged = programs.run("bots", "import-payers", str(FOLDER / "damaged.csv"), "--rehearse")
    assert 1 == damaged.returncode
    assert "2: Example Health: 99 and 00099 differ by leading zeros only" in damaged.stdout
    assert "2 created, 0 changed, 0 same, 7 refused (nothing was written)" in damaged.stdout
    assert before == programs.search(f"Organization?identifier={systems.PAYER_ID}|")
    nothing = programs.run("bots", "import-payers", str(FOLDER / "nowhere.csv"))
    assert (2, True) == (nothing.returncode, "nowhere.csv" in nothing.stderr)


@pytest.mark.req("R002-15 R002-34")
def test_a_coverage_that_names_its_payer_by_an_alias_is_checked(programs: Programs) -> None:
    """The answer refers to the payer of the directory, and keeps the id that was sent."""
    person = Person(programs)
    person.coverage["payor"] = [{"display": "EXAMPLE HEALTH PLAN"}]
    response = person.checked(file_271("active-ppo"))

    assert "active" == elements.tag(response, systems.ELIGIBILITY_STATE)
    assert "EXHLT" == elements.extension_value(response, systems.EXT_PAYER_ID)
    payer = requests.get(f"{programs.fhir}/{response['insurer']['reference']}", timeout=9).json()
    assert "Example Health" == payer["name"]
    (asked,) = programs.asked(person.member_id)
    assert "EXHLT" in json.dumps(asked)
    page = requests.get(f"{programs.server}/payers?text=EHP", timeout=9).text
    assert "None yet" not in page
    page = requests.get(f"{programs.server}/benefits/{person.coverage_id}", timeout=9).text
    assert "by sandbox to EXHLT" in page


def test_a_payer_that_asks_for_enrolment_is_not_asked(programs: Programs) -> None:
    """Who acts next, and how, stands on the page of the day."""
    closed = programs.logs / "closed.csv"
    closed.write_text("name,payer_id,support\nClosed Health,00777,270:sandbox=pending\n", "utf-8")
    assert 0 == programs.run("bots", "import-payers", str(closed)).returncode
    person = Person(programs)
    person.coverage["payor"] = [{"display": "Closed Health"}]
    response = person.checked(file_271("active-ppo"))

    assert "could-not-check" == elements.tag(response, systems.ELIGIBILITY_STATE)
    assert ["enrolment-pending"] == [
        elements.code(error["code"], systems.CHECK_ERROR) for error in response["error"]
    ]
    assert [] == programs.asked(person.member_id)
    page = requests.get(f"{programs.server}/benefits/{person.coverage_id}", timeout=9).text
    assert "Ask how far the enrolment is" in page
