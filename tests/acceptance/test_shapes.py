"""The same check by every vendor's shape, over the real programs (x12 section 6, check 16)."""

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from fhir_profiles import elements, systems
from tests import samples
from tests.programs import SAMPLE_MEMBER, Programs, wait_for
from tests.unit.bots.test_shapes import BODIES, FIXTURES

pytestmark = pytest.mark.loopback

ROUTES = {
    "raw-x12": ("stedi", "change"),
    "2024-04-01": ("stedi", "change"),
    "2026-06-01": ("stedi", "plans"),
    "availity": ("availity", "coverages"),
    "soap": ("core", ""),
    "mime": ("core", ""),
    "optum": ("optum", "change"),
    "opkit": ("opkit", "inquiries"),
}
X12 = ("raw-x12", "soap", "mime", "optum")  # what is sent is a 270
PUT_IN = BODIES | {
    "inquiries": json.loads((FIXTURES / "inquiries/active-ppo.json").read_text("utf-8"))
}
# Opkit's answer names nobody: a person looks at it. It has no word for a member who is not known.
ACTIVE, NOBODY = {"opkit": "active-review"}, {"opkit": "could-not-check"}


@pytest.fixture(scope="module", params=ROUTES)
def shape(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def settings(shape: str, sandbox: str) -> dict[str, str]:
    """Return the settings of bots that ask the sandbox in a shape; its other route is apart."""
    route = ROUTES[shape][0]
    return {
        "INFORCE_BOTS_ROUTES": route,
        "INFORCE_BOTS_SANDBOX_URL": f"{sandbox}/backup",
        "INFORCE_BOTS_STEDI_URL": sandbox,
        "INFORCE_BOTS_STEDI_KEY": "any",
        "INFORCE_BOTS_STEDI_SHAPE": shape if route == "stedi" else "raw-x12",
        "INFORCE_BOTS_CORE_URL": f"{sandbox}/core",
        "INFORCE_BOTS_CORE_SHAPE": shape if route == "core" else "soap",
        "INFORCE_BOTS_CORE_CLIENT_ID": "any",
        "INFORCE_BOTS_CORE_CLIENT_SECRET": "any",
        "INFORCE_BOTS_CORE_RECEIVER_ID": "HUB",
        "INFORCE_BOTS_AVAILITY_URL": sandbox,
        "INFORCE_BOTS_AVAILITY_CLIENT_ID": "any",
        "INFORCE_BOTS_AVAILITY_CLIENT_SECRET": "any",
        "INFORCE_BOTS_OPTUM_URL": sandbox,
        "INFORCE_BOTS_OPTUM_CLIENT_ID": "any",
        "INFORCE_BOTS_OPTUM_CLIENT_SECRET": "any",
        "INFORCE_BOTS_OPTUM_RECEIVER_ID": "HUB",
        "INFORCE_BOTS_OPKIT_URL": sandbox,
        "INFORCE_BOTS_OPKIT_KEY": "any",
    }


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory, shape: str) -> Iterator[Programs]:
    started = Programs(tmp_path_factory.mktemp("shapes"))
    started.environment |= settings(shape, started.sandbox)
    with started.running(samples.clinic(), samples.payer(), samples.patient()):
        yield started


def checked(programs: Programs, coverage_id: str, **more: Any) -> dict[str, Any]:
    """Post a coverage and return the stored response."""
    assert programs.put(samples.coverage(coverage_id, **more)).ok
    return programs.one(f"CoverageEligibilityResponse?coverage=Coverage/{coverage_id}")


def state(response: dict[str, Any]) -> str:
    tags = response["meta"]["tag"]
    return next(str(t["code"]) for t in tags if t["system"] == systems.ELIGIBILITY_STATE)


def amounts(response: dict[str, Any]) -> set[tuple[str, Any, Any]]:
    """Return what a response says of money: what it is, how much, and how much of it is used."""
    (insurance,) = response["insurance"]
    return {
        (one["type"]["text"], one.get("allowedMoney", {}).get("value"),
         one.get("usedMoney", {}).get("value"))
        for item in insurance["item"]
        for one in item.get("benefit", [])
    }  # fmt: skip


# Of the member's 271, in each shape: the used part is what is left of the limit.
AMOUNTS = {
    ("Co-Payment", 25, None),
    ("Co-Payment", 60, None),
    ("Deductible", 1500, 1000),
    ("Out of Pocket (Stop Loss)", 5000, 800),
    ("Co-Insurance", None, None),
}


@pytest.mark.req("x12-16", "R002-12")
def test_one_answer_whatever_the_vendor_speaks(programs: Programs, shape: str) -> None:
    """A member of the fixtures: the same state and amounts, and the exchange is read again."""
    found = checked(programs, "fixture")

    assert (ACTIVE.get(shape, "active"), True) == (state(found), found["insurance"][0]["inforce"])
    assert 8 <= len(found["insurance"][0]["item"])
    assert AMOUNTS == amounts(found)
    trace = next(i["value"] for i in found["identifier"] if i["system"] == systems.TRACE)
    kept = programs.run("bots", "payload", trace, "--sent")
    assert 0 == kept.returncode, kept.stderr
    assert (SAMPLE_MEMBER in kept.stdout, "ISA*" in kept.stdout) == (True, shape in X12)
    again = programs.run("bots", "reparse", "--json")
    assert 0 == again.returncode, again.stdout + again.stderr
    assert "insurance" not in again.stdout


@pytest.mark.req("x12-16")
def test_json_that_is_put_in_is_answered_and_read(programs: Programs, shape: str) -> None:
    """Vendor JSON alone is enough for an answer; in place of an envelope it is none."""
    body = json.dumps(PUT_IN[ROUTES[shape][1] or "change"]).replace(SAMPLE_MEMBER, "JSN000001")
    put = requests.put(
        f"{programs.sandbox}/_control/eligibility/JSN000001", data=body,
        headers={"Content-Type": "application/json"}, timeout=20,
    )  # fmt: skip
    assert put.ok, put.text
    found = checked(programs, "json", subscriberId="JSN000001")

    if ROUTES[shape][1]:
        assert ACTIVE.get(shape, "active") == state(found)
        assert AMOUNTS == amounts(found)
    else:
        assert ("could-not-check", "unreadable-answer") == (
            state(found), found["error"][0]["code"]["coding"][0]["code"])  # fmt: skip


@pytest.mark.req("x12-16")
def test_nobody_is_found_by_every_vendor(programs: Programs, shape: str) -> None:
    """A member that the payer does not know is told so, not as inactive."""
    found = checked(programs, "nobody", subscriberId="NOB000001")

    assert (NOBODY.get(shape, "not-found"), "error") == (state(found), found["outcome"])


def test_what_came_is_kept_as_it_came(programs: Programs, shape: str) -> None:
    """Every byte of the answer, whatever it is."""
    found = checked(programs, "kept")
    trace = next(i["value"] for i in found["identifier"] if i["system"] == systems.TRACE)
    kept = programs.run("bots", "payload", trace)

    assert 0 == kept.returncode, kept.stderr
    first = {"soap": "<s:Envelope", "mime": "--="}.get(shape, "{")
    assert kept.stdout.startswith(first)
    assert shape == "opkit" or "RIVERA" in kept.stdout


def test_a_route_that_works_says_so(programs: Programs, shape: str) -> None:
    """One screen: configured, reached, key taken, payers; and no question is sent."""
    before = requests.get(f"{programs.sandbox}/_control/requests", timeout=20).json()
    told = programs.run("bots", "probe", ROUTES[shape][0], "--json")
    assert 0 == told.returncode, told.stdout + told.stderr
    found = {one["what"]: one["works"] for one in json.loads(told.stdout)}
    after = requests.get(f"{programs.sandbox}/_control/requests", timeout=20).json()

    assert {"configured", "reached", "payers"} <= found.keys()
    assert all(found.values())
    assert all(one["x12"] == "" for one in after[len(before) :])


def test_a_route_that_does_not_work_says_why(programs: Programs, shape: str) -> None:
    """Nobody there: exit 1 and the next step; a route that is not configured: exit 2."""
    name = ROUTES[shape][0]
    kept = dict(programs.environment)
    programs.environment[f"INFORCE_BOTS_{name.upper()}_URL"] = "http://127.0.0.1:9"
    try:
        told = programs.run("bots", "probe", name)
        other = programs.run("bots", "probe", "sandbox")
    finally:
        programs.environment.clear()
        programs.environment.update(kept)

    assert (1, True) == (told.returncode, "FAIL reached" in told.stdout)
    assert "Check the address" in told.stdout
    assert (2, True) == (other.returncode, "INFORCE_BOTS_ROUTES has" in other.stderr)


def asked(programs: Programs) -> list[dict[str, Any]]:
    """Return what clearinghouses were asked, by all routes."""
    found: list[dict[str, Any]] = requests.get(
        f"{programs.sandbox}/_control/requests", timeout=20
    ).json()
    return found


@pytest.mark.req("check-6")
def test_a_vendor_that_fails_twice_is_asked_again(programs: Programs, shape: str) -> None:
    """HTTP 500, 500, 200: one response under one trace number, three questions, ever later."""
    programs.fault(route="primary", kind="http-500", times=2)
    before = len(asked(programs))
    checked(programs, "failing")
    query = "CoverageEligibilityResponse?coverage=Coverage/failing"
    active = ACTIVE.get(shape, "active")
    wait_for(lambda: state(programs.search(query)[0]) == active, "the answer in the end")

    assert 1 == len(programs.search(query))
    questions = asked(programs)[before:]
    first, second, third = (datetime.fromisoformat(one["received"]) for one in questions)
    assert timedelta(seconds=1) <= second - first < third - second
    assert (shape in X12) == len(
        {trn for one in questions for trn in re.findall(r"TRN\*1\*\w+", one["x12"])}
    )


@pytest.mark.req("check-7")
def test_vendors_that_are_silent_are_passed_over(tmp_path: Path) -> None:
    """Beyond its time: the next route answers, is told as the way, and both attempts are kept.

    One check in each shape, all at once, for each waits as long as a route may take.
    """
    one = Programs(tmp_path)
    names = {shape: f"silent-{number}" for number, shape in enumerate(ROUTES)}
    with one.running(samples.clinic(), samples.payer(), samples.patient()):
        one.fault(route="primary", kind="timeout", times=len(names))
        one.kill("bots")  # so that nobody but us runs the checks
        assert one.put(samples.coverage()).ok
        for name in names.values():
            own = {"system": systems.TRACE, "value": name.upper()}
            assert one.put(samples.request(name, identifier=[own])).ok

        def check(shape: str) -> str:
            used = settings(shape, one.sandbox)
            used["INFORCE_BOTS_ROUTES"] += ",sandbox"
            address = f"CoverageEligibilityRequest/{names[shape]}"
            return one.run("bots", "run", "check-eligibility", address, **used).stdout

        with ThreadPoolExecutor(len(names)) as crowd:
            assert ["check-eligibility: done\n"] * len(names) == list(crowd.map(check, names))
        for shape, name in names.items():
            request = f"request=CoverageEligibilityRequest/{name}"
            found = one.one(f"CoverageEligibilityResponse?{request}")
            route = elements.extension_value(found, systems.EXT_ROUTE)
            assert ("active", "complete", "sandbox") == (state(found), found["outcome"], route)
            trace = elements.identifier(found, systems.TRACE)
            kept = one.search(f"DocumentReference?identifier={systems.TRACE}|{trace}")
            by_route = {d["description"].rpartition(" ")[2]: len(d["content"]) for d in kept}
            assert {ROUTES[shape][0]: 1, "sandbox": 2} == by_route


@pytest.mark.req("check-43")
def test_twenty_at_once_are_answered_within_seconds(programs: Programs) -> None:
    """R003: from the posted Coverage to its response, a payer that takes 300 ms: p95 3 s."""
    programs.fault(route="primary", kind="none", times=10**6, latency_ms=300)
    names = [f"crowd-{number}" for number in range(20)]
    with ThreadPoolExecutor(len(names)) as crowd:
        assert all(crowd.map(lambda name: programs.put(samples.coverage(name)).ok, names))
    programs.settled()
    programs.fault(route="primary", kind="none", times=0)

    spans = []
    for name in names:
        (found,) = programs.search(f"CoverageEligibilityResponse?coverage=Coverage/{name}")
        posted = requests.get(f"{programs.fhir}/Coverage/{name}/_history/1", timeout=9).json()
        began, ended = (datetime.fromisoformat(one["meta"]["lastUpdated"])
                        for one in (posted, found))  # fmt: skip
        spans.append(ended - began)
    assert sorted(spans)[18] <= timedelta(seconds=3)
