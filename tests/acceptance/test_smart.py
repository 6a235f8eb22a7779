"""The whole product behind its door: bots and EHR are clients, and nobody else comes in.

`inforce client` registers them with their scopes; the bots get tokens by Backend Services.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from bots.connectors import backend_services
from fhir_profiles import systems
from tests.acceptance.door import BOTS, KEYS, behind_door
from tests.acceptance.people import Person
from tests.programs import Programs, wait_for
from tests.x12_texts import answer_271

pytestmark = pytest.mark.loopback


@pytest.fixture(scope="module")
def programs(
    tmp_path_factory: pytest.TempPathFactory, new_database: Callable[[], str]
) -> Iterator[Programs]:
    with behind_door(tmp_path_factory.mktemp("smart"), new_database()) as started:
        yield started


@pytest.mark.req("check-1")
def test_a_whole_check_behind_the_door(programs: Programs) -> None:
    """A Coverage posted with a token: asked, answered, stored, mailed; the same without: 401."""
    person = Person(programs)
    answered = person.checked(answer_271("EB*6**30"))
    assert "inactive" in [
        tag["code"] for tag in answered["meta"]["tag"] if tag["system"] == systems.ELIGIBILITY_STATE
    ]
    wait_for(lambda: programs.mails(person.coverage_id), "the mail")
    address = f"{programs.fhir}/Coverage/{person.coverage_id}"
    assert 401 == requests.get(address, timeout=9).status_code
    page = f"{programs.server}/benefits/{person.coverage_id}"
    assert 401 == requests.get(page, timeout=9).status_code


@pytest.mark.req("SUBT-33")
def test_bots_go_on_after_their_tokens_were_ended(programs: Programs) -> None:
    """A change of scopes ends every token at once: the bots ask for another by themselves."""
    for scope in ("system/*.crus system/Basic.r", BOTS):
        assert 0 == programs.run("server", "client", "scope", "bots", scope).returncode
        person = Person(programs)
        assert person.checked(answer_271("EB*1**30"))["outcome"] == "complete"


@pytest.mark.req("SUBT-33")
def test_what_the_bots_may_not_read_waits_for_them(programs: Programs) -> None:
    """Coverage taken from their scopes: nothing is sent; given back and registered, all comes."""
    narrow = "system/Patient.crus system/Subscription.crus"
    assert 0 == programs.run("server", "client", "scope", "bots", narrow).returncode
    person = Person(programs)
    programs.answer(person.member_id, answer_271("EB*1**30"))
    person.post()
    wait_for(lambda: _in_error(programs), "the Subscription is in error")
    assert not programs.asked(person.member_id)

    assert 0 == programs.run("server", "client", "scope", "bots", BOTS).returncode
    programs.register()
    assert person.response()["outcome"] == "complete"


def _in_error(programs: Programs) -> bool:
    listed = programs.run("server", "token", "bots", "--scope", "system/Subscription.s")
    header = {"Authorization": f"Bearer {listed.stdout.strip()}"}
    found = requests.get(f"{programs.fhir}/Subscription?status=error", headers=header, timeout=9)
    return bool(found.json().get("entry"))


@pytest.mark.req("check-15")
def test_what_the_payer_sent_is_for_who_may_read_it(programs: Programs) -> None:
    """Billing gets the 271 by its trace number; the front desk's program gets 403."""
    person = Person(programs)
    answered = person.checked(answer_271("EB*1**30"))
    trace = next(one["value"] for one in answered["identifier"] if one["system"] == systems.TRACE)
    found, refused = (
        programs.run(
            "bots", "payload", trace,
            INFORCE_BOTS_FHIR_CLIENT_ID=name, INFORCE_BOTS_FHIR_KEY=KEYS[name],
        )
        for name in ("billing", "ehr")
    )  # fmt: skip
    assert 0 == found.returncode, found.stderr
    assert person.member_id in found.stdout
    assert 1 == refused.returncode
    assert "HTTP 403" in refused.stderr
    assert person.member_id not in refused.stdout + refused.stderr
    document = f"{programs.fhir}/DocumentReference?identifier={systems.TRACE}|{trace}"
    assert 403 == requests.get(document, headers=programs.authorization, timeout=9).status_code


def test_clients_are_listed_and_removed(programs: Programs, tmp_path: Path) -> None:
    """By id, with their scopes, and nothing of their keys; who is removed comes in no more."""
    file = tmp_path / "other.json"
    file.write_text(json.dumps(backend_services.public(KEYS["ehr"])), "utf-8")
    added = programs.run(
        "server", "client", "add", "other", "--jwks", str(file), "--scope", "system/Coverage.r"
    )
    assert "other may system/Coverage.r" == added.stdout.strip()
    token = programs.run("server", "token", "other").stdout.strip()
    listed = json.loads(programs.run("server", "client", "list", "--json").stdout)
    assert {"id": "other", "scopes": "system/Coverage.r"} in listed
    assert 0 == programs.run("server", "client", "remove", "other").returncode
    header = {"Authorization": f"Bearer {token}"}
    answer = requests.get(f"{programs.fhir}/Coverage/none", headers=header, timeout=9)
    assert 401 == answer.status_code
    again = programs.run("server", "client", "remove", "other")
    assert 1 == again.returncode
    assert "no such program" in again.stderr


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (("add", "x", "--jwks", "{private}", "--scope", "system/*.r"), "private key"),
        (("add", "x", "--jwks", "{none}", "--scope", "system/*.r"), "cannot read"),
        (("add", "x", "--jwks", "{public}", "--scope", "patient/*.r"), "no scope"),
        (("scope", "nobody", "system/*.r"), "no such program"),
    ],
)
def test_what_cannot_be_registered(
    programs: Programs, tmp_path: Path, command: tuple[str, ...], told: str
) -> None:
    """Each with its reason, and nothing is kept."""
    key = json.loads(KEYS["ehr"])
    (tmp_path / "private").write_text(json.dumps({"keys": [key]}), "utf-8")
    (tmp_path / "public").write_text(json.dumps(backend_services.public(KEYS["ehr"])), "utf-8")
    given = {name: str(tmp_path / name) for name in ("private", "public", "none")}
    done = programs.run("server", "client", *(part.format(**given) for part in command))
    assert 1 == done.returncode
    assert told in done.stderr
    listed = json.loads(programs.run("server", "client", "list", "--json").stdout)
    assert "x" not in [one["id"] for one in listed]
