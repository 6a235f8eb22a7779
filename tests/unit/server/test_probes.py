"""Sixty-four probes of strictness: what R4 takes, and what looks like R4 and is not (VAL-01)."""

import json
from typing import Any

import pytest

from fhir_profiles import codec
from server.validation import check
from tests import samples

XHTML = 'xmlns="http://www.w3.org/1999/xhtml"'
URN = "urn:uuid:3b1c5c57-9b1e-4c5f-8f4d-7a110d7d0f2a"
EXTENSION = {"url": "http://x.example/e", "valueString": "x"}


def pat(**more: Any) -> dict[str, Any]:
    return samples.patient(**more)


def cov(**more: Any) -> dict[str, Any]:
    return samples.coverage(**more)


def obs(**more: Any) -> dict[str, Any]:
    return {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, **more}


def bundle(kind: str, *entries: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def without(body: dict[str, Any], key: str) -> dict[str, Any]:
    return {k: v for k, v in body.items() if k != key}


# (what is probed, is it R4, the body as a resource or as JSON text)
PROBES: list[tuple[str, bool, Any]] = [
    ("unknown element at the root", False, pat(nickname="x")),
    ("unknown element in a datatype", False, pat(name=[{"family": "x", "nick": "y"}])),
    ("unknown element in a contained resource", False,
     pat(contained=[{"resourceType": "Organization", "id": "o", "name": "x", "x": 1}],
         managingOrganization={"reference": "#o"})),
    ("code outside the required value set", False, cov(status="actve")),
    ("gender outside the value set", False, pat(gender="f")),
    ("telecom.system outside the value set", False, pat(telecom=[{"system": "tel", "value": "1"}])),
    ("missing required element", False, without(cov(), "beneficiary")),
    ("missing required primitive", False, without(cov(), "status")),
    ("missing required choice", False,
     {"resourceType": "MedicationRequest", "status": "active", "intent": "order",
      "subject": {"reference": "Patient/1"}}),
    ("missing required element inside", False, cov(**{"class": [{"value": "x"}]})),
    ("impossible day", False, pat(birthDate="1980-02-30")),
    ("impossible month", False, pat(birthDate="1980-13-01")),
    ("year of two digits", False, pat(birthDate="80-01-01")),
    ("date of the wrong shape", False, pat(birthDate="01/02/1980")),
    ("time in a date", False, pat(birthDate="1980-01-01T00:00:00Z")),
    ("dateTime without zone", False, cov(period={"start": "2026-01-01T10:00:00"})),
    ("dateTime with zone", True, cov(period={"start": "2026-01-01T10:00:00+02:00"})),
    ("partial dateTime", True, cov(period={"start": "2026-01"})),
    ("instant without seconds", False, pat(meta={"lastUpdated": "2026-01-01T10:00Z"})),
    ("instant that is a date", False, pat(meta={"lastUpdated": "2026-01-01"})),
    ("instant of seven digits", True, pat(meta={"lastUpdated": "2026-01-01T10:00:00.1234567Z"})),
    ("id with an underscore", False, pat(id="a_b")),
    ("id of 65 characters", False, pat(id="a" * 65)),
    ("id of 64 characters", True, pat(id="a" * 64)),
    ("id of an element with blanks", True, pat(name=[{"id": "a b", "family": "x"}])),
    ("null value", False, pat(gender=None)),
    ("empty string", False, pat(birthDate="")),
    ("empty array", False, pat(name=[])),
    ("empty object", False, pat(maritalStatus={})),
    ("blank string", False, pat(name=[{"family": "   "}])),
    ("code with a trailing blank", False, pat(gender="female ")),
    ("number for a string", False, pat(name=[{"family": 7}])),
    ("text for a boolean", False, pat(active="true")),
    ("text for a positiveInt", False, cov(order="1")),
    ("positiveInt of zero", False, cov(order=0)),
    ("positiveInt of one and a half", False, cov(order=1.5)),
    ("text for a decimal", False, obs(valueQuantity={"value": "25"})),
    ("object for an array", False, pat(name={"family": "x"})),
    ("array for an object", False, cov(beneficiary=[{"reference": "Patient/1"}])),
    ("two types of a choice", False, pat(deceasedBoolean=True, deceasedDateTime="2026-01-01")),
    ("reference to a type that is not allowed", False, cov(beneficiary={"reference": "Group/1"})),
    ("malformed reference", False, cov(beneficiary={"reference": "Patient / 1"})),
    ("extension of a primitive", True, pat(_birthDate={"extension": [EXTENSION]})),
    ("nulls beside extensions", True,
     pat(name=[{"given": ["A", None], "_given": [None, {"extension": [EXTENSION]}]}])),
    ("null without an extension", False, pat(name=[{"given": ["A", None]}])),
    ("_element of a complex element", False, pat(_name={"id": "x"})),
    ("unknown child of a primitive's element", False, pat(_birthDate={"value": "x"})),
    ("extension without url", False, pat(extension=[{"valueString": "x"}])),
    ("extension with two values", False, pat(extension=[{**EXTENSION, "valueCode": "y"}])),
    ("extension with value and extension", False,
     pat(extension=[{**EXTENSION, "extension": [EXTENSION]}])),
    ("extension of extensions", True,
     pat(extension=[{"url": "http://x.example/c", "extension": [EXTENSION]}])),
    ("resourceType missing", False, without(pat(), "resourceType")),
    ("key twice", False, '{"resourceType":"Patient","gender":"male","gender":"female"}'),
    ("NaN", False, json.dumps(obs(valueQuantity={"value": float("nan")}))),
    ("invalid base64", False, pat(photo=[{"contentType": "image/png", "data": "a*b="}])),
    ("XHTML with a script", False,
     pat(text={"status": "generated", "div": f"<div {XHTML}><script>x()</script></div>"})),
    ("XHTML", True, pat(text={"status": "generated", "div": f"<div {XHTML}><p>x</p></div>"})),
    ("period that ends before it starts", False,
     cov(period={"start": "2026-02-01", "end": "2026-01-01"})),
    ("unknown currency", False,
     {"resourceType": "Invoice", "status": "draft", "totalNet": {"value": 1, "currency": "USX"}}),
    ("transaction entry without request", False,
     bundle("transaction", {"fullUrl": URN, "resource": pat()})),
    ("resource that only R4 has", True,
     {"resourceType": "SubstanceProtein", "numberOfSubunits": 1}),
    ("resource that only R4B has", False,
     {"resourceType": "SubscriptionStatus", "type": "handshake",
      "subscription": {"reference": "Subscription/1"}}),
    ("element that only R5 has", False, cov(kind="insurance")),
    ("searchset Bundle", True,
     bundle("searchset", {"fullUrl": URN, "resource": pat(), "search": {"mode": "match"}})),
]  # fmt: skip


def is_accepted(body: Any) -> bool:
    """Tell what the door and the validator together say of a body."""
    text = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    try:
        parsed = codec.decode_strict(text)
    except ValueError:
        return False
    return not check.check(parsed)


@pytest.mark.req("VAL-01")
def test_there_are_64() -> None:
    """None was lost on the way."""
    assert 64 == len(PROBES)


@pytest.mark.req("VAL-01")
@pytest.mark.parametrize(("what", "valid", "body"), PROBES, ids=[probe[0] for probe in PROBES])
def test_probe(what: str, valid: bool, body: Any) -> None:
    """Each is told right."""
    assert valid == is_accepted(body), what
