"""Index rows: what of a resource can be found (fhir-server SRC-04 to SRC-08)."""

from decimal import Decimal
from typing import Any

import pytest

from server import definitions
from server.search import index, parameters
from server.search.paths import compile_paths
from tests import samples
from tests.engines import BUILT_IN

BASE = "http://me/fhir"
# Official parameters whose expression we do not compile: none of them is advertised either.
LEFT_OUT = {
    ("DiagnosticReport", "assessed-condition"),
    ("Observation", "amino-acid-change"),
    ("Observation", "dna-variant"),
    ("Observation", "gene-amino-acid-change"),
    ("Observation", "gene-dnavariant"),
    ("Observation", "gene-identifier"),
}


def test_all_official_parameters_but_the_listed_compile() -> None:
    """Nothing official is lost silently."""
    missing = set()
    for item in definitions.search_parameters():
        for type_name in item["base"]:
            if type_name in definitions.type_numbers() and item["type"] in parameters.TYPES:
                known = parameters.built_in(type_name).get(item["code"])
                if known is None or not known.paths:
                    missing.add((type_name, item["code"]))

    assert missing == LEFT_OUT


def test_a_coverage_can_be_found_by_what_it_says() -> None:
    """Tokens, references, strings and periods of one resource."""
    rows = index.extract(
        samples.coverage(
            identifier=[{"system": "http://x", "value": "7"}, {"value": "8"}],
            payor=[{"reference": f"{BASE}/Organization/payer"}, {"display": "none"}],
            **{
                "class": [
                    {"type": {"coding": [{"system": "s", "code": "group"}]}, "value": "Grüße"}
                ]
            },
        ),
        BUILT_IN,
        BASE,
    )

    assert rows >= {
        ("token", "status", "http://hl7.org/fhir/fm-status", "active"),
        ("token", "identifier", "http://x", "7"),
        ("token", "identifier", "", "8"),
        ("token", "class-type", "s", "group"),
        ("string", "class-value", "grusse", "Grüße"),
        ("reference", "beneficiary", "", "Patient", "pat"),
        ("reference", "payor", "", "Organization", "payer"),
    }


def test_names_are_found_without_accents_and_case() -> None:
    """`jose` finds José (search.html#string)."""
    rows = index.extract(
        samples.patient(name=[{"family": "Núñez", "given": ["José"]}]), BUILT_IN, BASE
    )

    assert {("string", "family", "nunez", "Núñez"), ("string", "given", "jose", "José")} <= rows


def test_choice_elements_are_found_under_their_own_key() -> None:
    """deceased[x], a quantity with unit, a Period with an open end."""
    dead = index.extract(samples.patient(deceasedDateTime="2026-01-02"), BUILT_IN, BASE)
    observation = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "x"},
        "valueQuantity": {
            "value": Decimal("1.50"),
            "system": "http://unitsofmeasure.org",
            "code": "mg",
        },
        "effectivePeriod": {"start": "2026-01-01"},
    }
    rows = index.extract(observation, BUILT_IN, BASE)

    assert ("token", "deceased", "", "true") in dead
    assert ("quantity", "value-quantity", 1.5, 1.5, "http://unitsofmeasure.org", "mg") in rows
    assert [index.LATEST] == [row[3] for row in rows if row[:2] == ("date", "date")]


def test_addresses_timings_and_money() -> None:
    """Each datatype in its own kind of row."""
    person = index.extract(
        samples.patient(address=[{"line": ["1 Main"], "city": "Ávila"}]), BUILT_IN, BASE
    )
    task = {
        "resourceType": "ServiceRequest",
        "status": "active",
        "intent": "order",
        "subject": {"reference": "#inside"},
        "occurrenceTiming": {"event": ["2026-01-01"]},
    }
    invoice = {
        "resourceType": "Invoice",
        "status": "draft",
        "totalNet": {"value": Decimal("10.00"), "currency": "USD"},
    }

    assert {
        ("string", "address", "1 main", "1 Main"),
        ("string", "address-city", "avila", "Ávila"),
    } <= person
    rows = index.extract(task, BUILT_IN, BASE)
    assert 1 == len([row for row in rows if row[:2] == ("date", "occurrence")])
    assert not any(row[0] == "reference" for row in rows)
    assert ("quantity", "totalnet", 10.0, 10.0, index.CURRENCY, "USD") in index.extract(
        invoice, BUILT_IN, BASE
    )


def test_where_and_resolve_choose() -> None:
    """Patient.telecom.where(system='phone') and where(resolve() is Patient)."""
    rows = index.extract(
        samples.patient(
            telecom=[{"system": "phone", "value": "1"}, {"system": "email", "value": "2"}]
        ),
        BUILT_IN,
        BASE,
    )
    (path,) = compile_paths("Account.subject.where(resolve() is Patient)", "Account")
    account = {"subject": [{"reference": "Patient/1"}, {"reference": "Device/1"}]}

    assert ("token", "phone", "phone", "1") in rows
    assert ("token", "phone", "", "2") not in rows
    assert [("Reference", {"reference": "Patient/1"})] == list(path.values(account))


@pytest.mark.parametrize(
    ("expression", "expected"),
    [("Task.extension('http://x/y').value.ofType(date)", [("date", "2027-01-01")]),
     ("Task.extension('http://x/z').value", [])],
)  # fmt: skip
def test_the_value_of_an_extension_can_be_searched(expression: str, expected: list[Any]) -> None:
    """By its URL."""
    task = {"resourceType": "Task", "extension": [{"url": "http://x/y", "valueDate": "2027-01-01"}]}
    (path,) = compile_paths(expression, "Task")

    assert expected == list(path.values(task))
