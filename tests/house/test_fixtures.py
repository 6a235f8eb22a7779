"""Fixtures are data that parse, are valid, and are ours."""

import hashlib
import json
from pathlib import Path

import pytest

from bots.x12 import eligibility_271
from bots.x12.envelope import transactions
from fhir_profiles import codec, codes
from sandbox import fixtures as sandbox_fixtures
from server.validation import structure

ROOT = Path(__file__).parents[2] / "fixtures"
JSON = sorted(ROOT.rglob("*.json"))
EDI = sorted(ROOT.rglob("*.edi"))
# Codes of the X12 lists we branch on or show, as the standard has them (X12 005010X279A1).
LISTS = {
    "eb01_benefit_information": "1 2 3 4 5 6 7 8 A B C CB D E F G H I J K L M MC N O P Q R S T U V "
    "W X Y",
    "eb02_coverage_level": "CHD DEP ECH EMP ESP FAM IND SPC SPO",
    "eb06_time_period": "6 7 13 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36",
    "eb11_authorization_required": "N U Y",
    "eb12_in_plan_network": "N U W Y",
}


@pytest.mark.parametrize("file", JSON, ids=lambda f: str(f.relative_to(ROOT)))
def test_json_is_json_and_fhir_is_valid(file: Path) -> None:
    """A file with resourceType is valid R4."""
    parsed = codec.decode(file.read_bytes())

    if "resourceType" in parsed:
        assert [] == structure.check(parsed)


@pytest.mark.parametrize("file", EDI, ids=lambda f: f.stem)
def test_x12_is_x12(file: Path) -> None:
    """Each file holds exactly one transaction of the set its folder names."""
    with file.open(encoding="utf-8", newline="") as text:
        found = list(transactions(text.read()))

    assert [file.parent.name] == [one.set_id for one in found]


def test_each_271_has_its_expected_response() -> None:
    """At least sixty, each with its response beside it."""
    texts = [f for f in EDI if f.parent.name == "271"]

    assert len(texts) >= 60
    assert [] == [f for f in texts if not f.with_suffix(".json").exists()]


def test_the_271s_hold_every_code() -> None:
    """Of kinds, periods, networks and rejects, each code stands in some file."""
    kinds, periods, networks, rejects = set(), set(), set(), set()
    for file in EDI:
        if file.parent.name == "271":
            with file.open(encoding="utf-8", newline="") as text:
                answer = eligibility_271.read(text.read())
            kinds |= {row.kind for row in answer.benefits}
            periods |= {row.period for row in answer.benefits}
            networks |= {row.network for row in answer.benefits}
            rejects |= {reject.reason for reject in answer.rejects}

    assert set(codes.names("eb01_benefit_information")) <= kinds
    assert set(codes.names("eb06_time_period")) <= periods
    assert set(codes.names("eb12_in_plan_network")) <= networks
    assert set(codes.policy("aaa03_policy")) <= rejects


def test_the_sandbox_knows_its_members() -> None:
    """Every member has an answer that exists, and the seed uses known members."""
    for file in (ROOT / "members").glob("*.json"):
        member = json.loads(file.read_text("utf-8"))
        assert sandbox_fixtures.answer(member["answer"], "T")
        assert sandbox_fixtures.member(member["memberId"]) == member
    assert 2 == len(sandbox_fixtures.seed_bundles())


@pytest.mark.parametrize("name", LISTS)
def test_code_lists_equal_the_standard(name: str) -> None:
    """prior-art check 12: no code is shifted, missing or made up."""
    assert set(LISTS[name].split()) == set(codes.names(name))


def test_periods_have_their_right_names() -> None:
    """27 is a visit and 29 what remains: the pair that published tables get wrong."""
    names = codes.names("eb06_time_period")

    assert ("Visit", "Remaining") == (names["27"], names["29"])
    assert ("Second Surgical Opinion Required", "Other or Additional Payer") == tuple(
        codes.names("eb01_benefit_information")[c] for c in "QR"
    )


def test_the_definitions_are_the_ones_we_built() -> None:
    """The compiled R4 table changes only on purpose: `python tools/build_r4.py`."""
    table = Path(__file__).parents[2] / "server" / "data" / "r4.bin"

    assert R4_SHA256 == hashlib.sha256(table.read_bytes()).hexdigest()


R4_SHA256 = "27d49663c35c7a45d10434568da93da4be143e33cbe5c2ebd39417cc398a7511"
