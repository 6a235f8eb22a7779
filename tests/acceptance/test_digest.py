"""The digest over the real programs and a real relay: alerts wait, and go out together, once."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests import samples
from tests.acceptance.people import Person
from tests.programs import Programs, wait_for
from tests.x12_texts import answer_271

pytestmark = pytest.mark.loopback
PAST = {"INFORCE_BOTS_DIGEST": "00:00"}


def test_alerts_go_out_together_at_the_set_time(
    tmp_path: Path, new_database: Callable[[], str]
) -> None:
    """Nothing at once; then one mail with a link to each, and the Communications are completed."""
    programs = Programs(tmp_path, new_database(), PAST)
    with programs.running(samples.clinic(), samples.payer()):
        people = [Person(programs) for _ in range(2)]
        for person in people:
            person.checked(answer_271("EB*6**30"))
        programs.settled()
        assert [] == programs.mails(people[0].coverage_id)
        waiting = programs.search("Communication?status=preparation")
        assert 2 == len(waiting)

        programs.kill("bots")
        programs.environment["INFORCE_BOTS_DIGEST"] = datetime.now(UTC).time().isoformat()
        programs.start("bots")
        (mail,) = wait_for(lambda: programs.mails(people[0].coverage_id), "the digest")
        assert [mail] == programs.mails(people[1].coverage_id)
        assert "Insurance needs attention: 2 coverages" == mail["headers"]["Subject"]
        wait_for(lambda: 2 == len(programs.search("Communication?status=completed")), "the record")
