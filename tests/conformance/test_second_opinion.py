"""fhir.resources.R4B as a second opinion on our own cases (VAL-07).

It is another standard (4.3.0) and a laxer reader, so it may differ; where it does stands in
DIFFERENCES, with the reason. Whatever is not listed has to agree.
"""

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from fhir_profiles import codec
from server.validation import check
from tests.unit.server.test_probes import PROBES

ROOT = Path(__file__).parent.parent.parent
# Probe -> why the second reader says otherwise.
DIFFERENCES = {
    "code outside the required value set": "it lists codes and does not enforce them",
    "gender outside the value set": "it lists codes and does not enforce them",
    "telecom.system outside the value set": "it lists codes and does not enforce them",
    "unknown currency": "it knows no currencies",
    "null value": "it drops nulls",
    "empty array": "it drops empty arrays",
    "empty object": "it takes an element without content",
    "blank string": "it takes blanks",
    "text for a boolean": "it converts",
    "text for a positiveInt": "it converts",
    "text for a decimal": "it converts",
    "reference to a type that is not allowed": "it does not look at targets",
    "malformed reference": "it does not look into references",
    "null without an extension": "it drops nulls",
    "extension with value and extension": "it does not check ext-1",
    "resourceType missing": "the class says the type",
    "key twice": "its JSON reader takes the last",
    "XHTML with a script": "it does not read narratives",
    "period that ends before it starts": "it does not check per-1",
    "transaction entry without request": "it does not check bdl-3",
    "resource that only R4 has": "R4B has no such class",
    "resource that only R4B has": "it is R4B",
    "id of 65 characters": "it does not count",
}


def second_opinion(body: Any) -> bool:
    """Tell whether fhir.resources.R4B takes a body."""
    parsed = json.loads(body) if isinstance(body, str) else body
    name = parsed.get("resourceType", "Patient")
    try:
        module = import_module(f"fhir.resources.R4B.{name.lower()}")
        getattr(module, name).model_validate(parsed)
    except (ValidationError, ModuleNotFoundError, ValueError, TypeError):
        return False
    return True


@pytest.mark.req("VAL-07")
@pytest.mark.parametrize(("what", "valid", "body"), PROBES, ids=[probe[0] for probe in PROBES])
def test_both_say_the_same_of_a_probe(what: str, valid: bool, body: Any) -> None:
    """Or the difference is written down, and is one."""
    agrees = valid == second_opinion(body)

    assert agrees != (what in DIFFERENCES), what


FIXTURES = [
    entry["resource"]
    for path in sorted((ROOT / "fixtures" / "seed").glob("*.json"))
    for entry in json.loads(path.read_text("utf-8"))["entry"]
]
EXPECTED = sorted((ROOT / "fixtures" / "x12" / "271").glob("*.json"))


@pytest.mark.req("VAL-07")
def test_both_take_every_fixture() -> None:
    """What we ship and what our bots write is valid to both."""
    texts = [json.dumps(body) for body in FIXTURES]
    texts += [path.read_text("utf-8") for path in EXPECTED]
    texts = [text for text in texts if "resourceType" in json.loads(text)]

    assert len(texts) > 20
    for text in texts:
        assert [] == check.check(codec.decode(text))
        assert second_opinion(text)
