"""A thousand random queries against a brute-force evaluator, on each engine (SRC-28).

The evaluator below knows nothing of the server: it reads the same resources as plain JSON and
answers each parameter by hand, from the text of the standard.
"""

import random
from calendar import monthrange
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests import samples
from tests.conformance.conftest import Api, seed_of

QUERIES = 1000
Resource = dict[str, Any]
CODES = ["sys", "dia", "hr"]
UNITS = ["mm[Hg]", "kPa"]
NAMES = ["Rivera", "Rivers", "Núñez", "Okafor", "Ortiz"]
DAYS = ["1980", "1980-05", "1980-05-17", "1980-06", "1999-12-31", "2001-01-01", "2001"]
MOMENTS = ["2026-01-01T00:00:00Z", "2026-01-01T02:00:00+02:00", "2026-01-31T23:30:00-05:00",
           "2026-02-01", "2026-02", "2026"]  # fmt: skip
NUMBERS = ["5", "5.0", "5.04", "4.96", "50", "-5", "0.5", "100", "99.6"]
STATUSES = ["active", "cancelled", "draft"]


def population(rng: random.Random) -> list[Resource]:
    """Make some patients, organizations, coverages and observations that refer to each other."""
    made: list[Resource] = []
    for n in range(4):
        part = {"partOf": {"reference": f"Organization/o{n - 1}"}} if n else {}
        made.append(samples.payer(f"o{n}", name=rng.choice(NAMES), **part))
    for n in range(25):
        body = samples.patient(
            f"p{n}", gender=rng.choice(["male", "female", "other"]), birthDate=rng.choice(DAYS),
            name=[{"family": rng.choice(NAMES), "given": [rng.choice(["Ana", "Ben", "ana"])]}],
            identifier=[{"system": f"urn:s{rng.randint(0, 1)}", "value": str(rng.randint(0, 6))}],
        )  # fmt: skip
        for key in ("gender", "birthDate"):
            if rng.random() < 0.2:
                del body[key]
        made.append(body)
    for n in range(40):
        body = samples.coverage(
            f"c{n}", status=rng.choice(STATUSES), order=rng.randint(1, 3),
            beneficiary={"reference": f"Patient/p{rng.randint(0, 30)}"},
            payor=[{"reference": f"Organization/o{rng.randint(0, 4)}"}],
            type={"coding": [{"system": f"urn:t{rng.randint(0, 1)}", "code": rng.choice("ab")}]},
        )  # fmt: skip
        if rng.random() < 0.3:
            del body["type"]
        made.append(body)
    made += [observation(rng, n) for n in range(50)]
    return made


def observation(rng: random.Random, n: int) -> Resource:
    body: Resource = {
        "resourceType": "Observation", "id": f"b{n}", "status": "final",
        "code": {"coding": [{"system": "urn:c", "code": rng.choice(CODES)}]},
        "subject": {"reference": f"Patient/p{rng.randint(0, 24)}"},
    }  # fmt: skip
    if rng.random() < 0.8:
        body["valueQuantity"] = {"value": float(rng.choice(NUMBERS)), "system": "urn:u",
                                 "code": rng.choice(UNITS)}  # fmt: skip
    kind = rng.random()
    if kind < 0.5:
        body["effectiveDateTime"] = rng.choice(MOMENTS)
    elif kind < 0.8:
        start, end = sorted(rng.sample(MOMENTS[:4], 2), key=lambda m: span(m)[0])
        period = {"start": start, "end": end}
        for key in ("start", "end"):
            if rng.random() < 0.3:
                del period[key]
        body["effectivePeriod"] = period or {"start": start}
    return body


# The evaluator.


def span(text: str) -> tuple[datetime, datetime]:
    """Return the first moment and the end (not included) of a date or time, in UTC."""
    if len(text) == 4:
        year = int(text)
        return datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
    if len(text) == 7:
        year, month = int(text[:4]), int(text[5:])
        first = datetime(year, month, 1, tzinfo=UTC)
        return first, first + timedelta(days=monthrange(year, month)[1])
    if len(text) == 10:
        first = datetime.fromisoformat(text).replace(tzinfo=UTC)
        return first, first + timedelta(days=1)
    first = datetime.fromisoformat(text).astimezone(UTC)
    return first, first + timedelta(seconds=1)


FIRST, LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)


def dates_of(body: Resource, name: str) -> list[tuple[datetime, datetime]]:
    if name == "birthdate":
        return [span(body["birthDate"])] if "birthDate" in body else []
    if "effectiveDateTime" in body:
        return [span(body["effectiveDateTime"])]
    if "effectivePeriod" in body:
        period = body["effectivePeriod"]
        return [(span(period["start"])[0] if "start" in period else FIRST,
                 span(period["end"])[1] if "end" in period else LAST)]  # fmt: skip
    return []


def compared(prefix: str, there: tuple[Any, Any], low: Any, high: Any) -> bool:
    """Compare a stored [start, end) with a searched [low, high) by the table of prefixes."""
    start, end = there
    inside = low <= start and end <= high
    answers: dict[str, bool] = {
        "eq": inside, "ne": not inside, "gt": end > high, "lt": start < low,
        "ge": end > high or inside, "le": start < low or inside, "sa": start >= high,
        "eb": end <= low,
    }  # fmt: skip
    return answers[prefix]


def is_date(body: Resource, name: str, value: str) -> bool:
    prefix, text = (value[:2], value[2:]) if value[:1].isalpha() else ("eq", value)
    low, high = span(text)
    return any(compared(prefix, there, low, high) for there in dates_of(body, name))


def is_quantity(body: Resource, value: str) -> bool:
    if "valueQuantity" not in body:
        return False
    number, _, rest = value.partition("|")
    system, _, unit = rest.partition("|")
    there = body["valueQuantity"]
    if (system and there["system"] != system) or (unit and there["code"] != unit):
        return False
    prefix, text = (number[:2], number[2:]) if number[:1].isalpha() else ("eq", number)
    decimals = len(text.partition(".")[2])
    exact, stored, half = float(text), there["value"], 0.5 * 10**-decimals
    inside = exact - half <= stored < exact + half
    answers: dict[str, bool] = {
        "eq": inside, "ne": not inside, "gt": stored > exact, "lt": stored < exact,
        "ge": stored >= exact, "le": stored <= exact, "sa": stored > exact, "eb": stored < exact,
    }  # fmt: skip
    return answers[prefix]


def plain(text: str) -> str:
    return text.lower().translate(str.maketrans("úñ", "un"))


def is_token(pairs: list[tuple[str, str]], value: str) -> bool:
    if "|" not in value:
        return any(code == value for _, code in pairs)
    system, code = value.split("|")
    return any(s == system and code in ("", c) for s, c in pairs)


GENDER, STATUS = "http://hl7.org/fhir/administrative-gender", "http://hl7.org/fhir/fm-status"
TOKENS: dict[str, Callable[[Resource], list[tuple[str, str]]]] = {
    "gender": lambda b: [(GENDER, b["gender"])] if "gender" in b else [],
    "identifier": lambda b: [(i["system"], i["value"]) for i in b.get("identifier", [])],
    "status": lambda b: [(STATUS, b["status"])],
    "type": lambda b: [(c["system"], c["code"]) for c in b.get("type", {}).get("coding", [])],
    "code": lambda b: [(c["system"], c["code"]) for c in b["code"]["coding"]],
    "_id": lambda b: [("", b["id"])],
}
STRINGS: dict[str, Callable[[Resource], list[str]]] = {
    "family": lambda b: [n["family"] for n in b.get("name", [])],
    "given": lambda b: [g for n in b.get("name", []) for g in n["given"]],
    "name": lambda b: [b["name"]] if isinstance(b["name"], str) else
    [t for n in b["name"] for t in (n["family"], *n["given"])],
}  # fmt: skip
REFERENCES: dict[str, Callable[[Resource], list[str]]] = {
    "beneficiary": lambda b: [b["beneficiary"]["reference"]],
    "payor": lambda b: [p["reference"] for p in b["payor"]],
    "subject": lambda b: [b["subject"]["reference"]],
    "partof": lambda b: [b["partOf"]["reference"]] if "partOf" in b else [],
}
Answers = Callable[[Resource], bool]


class World:
    """The resources, and the answers to conditions over them."""

    def __init__(self, resources: list[Resource]) -> None:
        """Know the resources by type and id."""
        self.by_address = {f"{r['resourceType']}/{r['id']}": r for r in resources}

    def holds(self, body: Resource, key: str, value: str) -> bool:
        """Tell whether a resource meets key=value."""
        if key.startswith("_has:"):
            _, kind, reference, rest = key.split(":", 3)
            own = f"{body['resourceType']}/{body['id']}"
            return any(own in REFERENCES[reference](r) and self.holds(r, rest, value)
                       for a, r in self.by_address.items() if a.startswith(f"{kind}/"))  # fmt: skip
        if "." in key:
            head, _, rest = key.partition(".")
            name, _, kind = head.partition(":")
            found = [self.by_address.get(a) for a in REFERENCES[name](body)]
            return any(r is not None and kind in ("", r["resourceType"])
                       and self.holds(r, rest, value) for r in found)  # fmt: skip
        name, _, modifier = key.partition(":")
        if modifier == "missing":
            return (value == "true") != self.is_there(body, name)
        any_holds = any(self.one(body, name, modifier, part) for part in value.split(","))
        return not any_holds if modifier == "not" else any_holds

    def one(self, body: Resource, name: str, modifier: str, value: str) -> bool:
        if name in TOKENS:
            return is_token(TOKENS[name](body), value)
        if name in STRINGS:
            texts = STRINGS[name](body)
            if modifier == "exact":
                return value in texts
            return any(plain(value) in plain(t) if modifier == "contains"
                       else plain(t).startswith(plain(value)) for t in texts)  # fmt: skip
        if name in REFERENCES:
            return any(value in (a, a.partition("/")[2]) for a in REFERENCES[name](body))
        if name == "code-value-quantity":
            code, _, number = value.partition("$")
            return self.one(body, "code", "", code) and is_quantity(body, number)
        return is_quantity(body, value) if name == "value-quantity" else is_date(body, name, value)

    def is_there(self, body: Resource, name: str) -> bool:
        if name in ("birthdate", "date"):
            return bool(dates_of(body, name))
        if name == "value-quantity":
            return "valueQuantity" in body
        known: Callable[[Resource], Any] = (TOKENS | STRINGS | REFERENCES)[name]
        return bool(known(body))


# Random queries.


def some(rng: random.Random, make: Callable[[], str]) -> str:
    return ",".join(make() for _ in range(rng.choice([1, 1, 1, 2, 3])))


def dated(rng: random.Random, texts: list[str]) -> str:
    prefix = rng.choice(["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb"])
    return prefix + rng.choice(texts)


def condition(rng: random.Random, kind: str) -> tuple[str, str]:
    """Return one random condition on a type."""
    return rng.choice(CONDITIONS[kind])(rng)


def quantity(rng: random.Random) -> str:
    unit = rng.choice(["", "|urn:u|kPa", "||mm[Hg]", "|urn:u|"])
    return dated(rng, NUMBERS) + unit


def patient(rng: random.Random) -> str:
    return f"{rng.choice(['Patient/', ''])}p{rng.randint(0, 9)}"


Make = Callable[[random.Random], tuple[str, str]]
CONDITIONS: dict[str, list[Make]] = {
    "Patient": [
        lambda r: (r.choice(["gender", "gender:not"]),
                   some(r, lambda: r.choice(["male", "female", f"{GENDER}|other", "x"]))),
        lambda r: (r.choice(["identifier", "identifier:not"]),
                   some(r, lambda: r.choice(["1", "urn:s0|2", "urn:s1|", "|3", "5"]))),
        lambda r: ("birthdate", some(r, lambda: dated(r, DAYS))),
        lambda r: (r.choice(["family", "family:contains", "family:exact", "name", "given"]),
                   some(r, lambda: r.choice(["riv", "Rivera", "nunez", "z", "Ana", "ana", "o"]))),
        lambda r: (r.choice(["gender:missing", "birthdate:missing"]), r.choice(["true", "false"])),
        lambda r: ("_has:Coverage:beneficiary:status", r.choice(STATUSES)),
        lambda r: ("_has:Observation:subject:value-quantity", quantity(r)),
        lambda r: ("_has:Coverage:beneficiary:payor.name", r.choice(["riv", "o"])),
        lambda r: ("_id", some(r, lambda: f"p{r.randint(0, 30)}")),
    ],
    "Coverage": [
        lambda r: (r.choice(["status", "status:not"]), some(r, lambda: r.choice(STATUSES))),
        lambda r: (r.choice(["type", "type:not"]),
                   some(r, lambda: r.choice(["a", "urn:t0|a", "urn:t1|", "b"]))),
        lambda r: ("beneficiary", some(r, lambda: patient(r))),
        lambda r: ("type:missing", r.choice(["true", "false"])),
        lambda r: ("beneficiary:Patient.gender", r.choice(["male", "female", "x"])),
        lambda r: ("beneficiary.birthdate", dated(r, DAYS)),
        lambda r: ("payor:Organization.partof.name", r.choice(["riv", "o", "nu"])),
        lambda r: ("payor.partof.partof._id", r.choice(["o0", "o1"])),
    ],
    "Observation": [
        lambda r: ("code", some(r, lambda: r.choice([*CODES, "urn:c|sys", "|hr"]))),
        lambda r: ("value-quantity", some(r, lambda: quantity(r))),
        lambda r: ("date", some(r, lambda: dated(r, MOMENTS))),
        lambda r: (r.choice(["date:missing", "value-quantity:missing"]), r.choice(["true",
         "false"])),
        lambda r: ("subject:Patient.family", r.choice(["riv", "okafor"])),
        lambda r: ("code-value-quantity", some(r, lambda: f"{r.choice(CODES)}${quantity(r)}")),
    ],
}  # fmt: skip


@pytest.mark.req("SRC-28")
def test_random_queries(api: Api, pytestconfig: pytest.Config) -> None:
    """Each finds what reading every resource finds, and counts it."""
    seed = seed_of(pytestconfig)
    rng = random.Random(seed)  # noqa: S311 the seed makes the run repeatable
    resources = population(rng)
    for body in resources:
        api.put(body)
    world = World(resources)
    for number in range(QUERIES):
        kind = rng.choice(list(CONDITIONS))
        pairs = [condition(rng, kind) for _ in range(rng.choice([1, 1, 2, 2, 3]))]
        answer = api.client.get(
            f"/fhir/{kind}", query_string=[*pairs, ("_count", "500")]
        ).get_json()
        found = {e["resource"]["id"] for e in answer.get("entry", [])}
        expected = {
            r["id"] for r in resources
            if r["resourceType"] == kind and all(world.holds(r, k, v) for k, v in pairs)
        }  # fmt: skip
        assert expected == found, (seed, number, kind, pairs)
        assert len(expected) == answer["total"]
