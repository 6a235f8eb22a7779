"""Reading a query, and SQL and in-memory matching that agree (SRC-02, SRC-26, SRC-28)."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_profiles import codec
from server.errors import BadRequest
from server.interactions import search
from server.interactions.engine import Engine
from server.search import index
from server.search.conditions import Clause
from server.search.match import matches
from server.store import resources
from server.store.database import Database
from tests import engines, samples
from tests.engines import BASE


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("beneficiary:contains", "x"),
        ("_lastUpdated", "abc"),
        ("_lastUpdated", "zz2026"),
        ("_count", "-1"),
        ("_count", "x"),
        ("_sort", "payorr"),
        ("_summary", "perhaps"),
        ("_total", "perhaps"),
        ("status:missing", "perhaps"),
        ("_id:missing", "true"),
        ("_id:not", "a"),
        ("_lastUpdated:missing", "false"),
        ("_count", "9" * 5000),
        ("status", ",".join("x" for _ in range(501))),
    ],
)
def test_what_cannot_be_searched_is_refused(key: str, value: str) -> None:
    """A malformed value or an unsupported modifier is a 400, never a wrong result."""
    with pytest.raises(BadRequest):
        engines.parse("Coverage", (key, value))


def test_unknown_parameters_are_set_aside() -> None:
    """They are not in the self link; the caller decides whether that is an error."""
    found = engines.parse("Coverage", ("statsu", "active"), ("status", "active"), ("type", ""))

    assert ("statsu",) == found.unknown
    assert (("status", "active"),) == found.understood


def test_escaped_separators_stay_in_the_value() -> None:
    r"""`\,` `\|` `\$` `\\` (search.html#escaping)."""
    found = engines.parse("Patient", ("name", r"a\,b,c\\d"))

    (clause,) = found.branches[0][1]
    assert isinstance(clause, Clause)
    assert ["a,b", "c\\d"] == [given for _, given in clause.operands]


@pytest.fixture(scope="module")
def engine(new_database: Callable[[], str]) -> Iterator[Engine]:
    made = engines.engine(Database(new_database()))
    for number, body in enumerate(POPULATION):
        engines.put(made, {**body, "id": f"r{number}"}, f"r{number}")
    yield made
    made.database.close()


OBSERVATION = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}}
UCUM = "http://unitsofmeasure.org"
STATUSES = ["active", "cancelled", "draft"]
POPULATION: list[dict[str, Any]] = [
    samples.coverage(
        status=STATUSES[n % 3],
        identifier=[{"system": f"http://s{n % 2}", "value": str(n % 5)}, {"value": "plain"}],
        beneficiary={"reference": f"{'http://other/fhir/' if n % 4 == 0 else ''}Patient/{n % 3}"},
        **(
            {"class": [{"type": {"text": "g"}, "value": v}]}
            if (v := ["", "Ab", "abc"][n % 3])
            else {}
        ),
    )
    for n in range(12)
] + [
    samples.patient(birthDate=day, **({"gender": "male"} if n % 2 else {}))
    for n, day in enumerate(["1980", "1980-05", "1980-05-17", "1999-12-31", "2001-01-01"])
]
POPULATION += [
    {**OBSERVATION, "valueQuantity": {"value": Decimal(v), "unit": "g", "system": UCUM, "code": u}}
    for v, u in (("5", "g"), ("5.0", "g"), ("5.04", "mg"), ("50", "g"), ("-5", "g"))
]
POPULATION += [
    {"resourceType": "ValueSet", "status": "draft", "url": f"http://x/{n}"} for n in range(3)
]
POPULATION += [
    {"resourceType": "RiskAssessment", "status": "final", "subject": {"display": "x"},
     "prediction": [{"probabilityDecimal": Decimal(p)}]} for p in ("0.5", "0.25", "1")
]  # fmt: skip
_TOKENS = ["active", "cancelled", "|active", "http://s0|1", "http://s1|", "|plain", "plain", "nope"]
COVERAGE_CLAUSES = st.tuples(
    st.sampled_from(["status", "identifier", "status:not", "identifier:not"]),
    st.lists(st.sampled_from(_TOKENS), min_size=1, max_size=3).map(",".join),
) | st.sampled_from([
    ("beneficiary", "Patient/1"), ("beneficiary", "1"), ("beneficiary:Patient", "2"),
    ("beneficiary", "http://other/fhir/Patient/0"), ("beneficiary", f"{BASE}/Patient/2"),
    ("class-value", "a"), ("class-value", "AB"), ("class-value:exact", "ab"),
        ("class-value:exact", "Ab"),
    ("class-value:contains", "b"), ("class-value:missing", "true"),
    ("class-value:missing", "false"), ("payor:missing", "true"), ("_id", "r1,r4,r9"),
    ("_lastUpdated", "ge2026"), ("_lastUpdated", "lt2026-11-24"), ("identifier", "http://s1|1,7"),
])  # fmt: skip
PATIENT_CLAUSES = st.tuples(
    st.just("birthdate"),
    st.tuples(
        st.sampled_from(["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb"]),
        st.sampled_from(["1980", "1980-05", "1980-05-17", "1980-05-18", "1999-12", "2001-01-01"]),
    ).map("".join),
) | st.sampled_from([("gender", "female"), ("gender:not", "male"), ("name", "riv,x")])


_PREFIXES = st.sampled_from(["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb"])
_NUMBERS = st.sampled_from(["5", "5.0", "5.04", "50", "-5", "0.5", "0.25", "1"])
_UNITS = st.sampled_from(["", f"|{UCUM}|g", "||mg", f"|{UCUM}|"])
OBSERVATION_CLAUSES = st.tuples(
    st.just("value-quantity"), st.tuples(_PREFIXES, _NUMBERS, _UNITS).map("".join)
)
RISK_CLAUSES = st.tuples(
    st.sampled_from(["probability"]), st.tuples(_PREFIXES, _NUMBERS).map("".join)
)
VALUE_SET_CLAUSES = st.tuples(
    st.sampled_from(["url", "url:missing"]), st.sampled_from(["http://x/1", "true", "http://x"])
).filter(lambda pair: pair[0] == "url" or pair[1] == "true")


@settings(max_examples=400)
@given(
    st.tuples(st.just("Observation"), st.lists(OBSERVATION_CLAUSES, min_size=1, max_size=2))
    | st.tuples(st.just("RiskAssessment"), st.lists(RISK_CLAUSES, min_size=1, max_size=2))
    | st.tuples(st.just("ValueSet"), st.lists(VALUE_SET_CLAUSES, min_size=1, max_size=2))
    | st.tuples(st.just("Coverage"), st.lists(COVERAGE_CLAUSES, min_size=1, max_size=3))
    | st.tuples(st.just("Patient"), st.lists(PATIENT_CLAUSES, min_size=1, max_size=3))
)
def test_sql_and_memory_agree(engine: Engine, query: tuple[str, list[tuple[str, str]]]) -> None:
    """What a Subscription would match is what a search finds, for any query."""
    type_name, pairs = query
    wanted = engines.parse(type_name, *pairs, ("_count", "1000"))
    with engine.database.read() as connection:
        page = search.run(engine, connection, wanted)
        expected = set()
        for number, body in enumerate(POPULATION):
            current = resources.current(connection, body["resourceType"], f"r{number}")
            assert current is not None
            assert current.body is not None
            rows = index.extract(codec.decode(current.body), engines.BUILT_IN, BASE)
            if body["resourceType"] == type_name and matches(
                wanted, f"r{number}", current.updated, rows
            ):
                expected.add(f"r{number}")

    assert expected == {codec.decode(body)["id"] for body in page.bodies}
    assert len(expected) == page.total


def test_controls() -> None:
    """_total, _summary, _count over the limit."""
    found = engines.parse("Coverage", ("_total", "none"), ("_summary", "false"), ("_count", "9999"))

    assert (False, 1000) == (found.total, found.count)
    assert 0 == engines.parse("Coverage", ("_summary", "count")).count


def test_exact_minds_case_and_accents(engine: Engine) -> None:
    """search.html#modifiers: `:exact` is the whole string as it stands."""

    def total(value: str) -> int | None:
        return search.search(engine, "Coverage", [("class-value:exact", value)]).total

    assert (4, 0, 0) == (total("Ab"), total("ab"), total("A"))


@pytest.mark.parametrize("sort", ["", "_lastUpdated", "-_lastUpdated", "_id", "-_id"])
def test_pages_give_everything_once(engine: Engine, sort: str) -> None:
    """Following the cursor walks through all matches in order (SRC-17)."""
    seen: list[str] = []
    after = ""
    while True:
        pairs = [("_count", "5"), *([("_sort", sort)] if sort else [])]
        page = search.search(engine, "Coverage", [*pairs, *([("_cursor", after)] if after else [])])
        seen += [codec.decode(body)["id"] for body in page.bodies]
        after = page.next
        if not after:
            break

    assert sorted(seen) == sorted(f"r{n}" for n in range(12))
    assert not sort.endswith("_id") or seen == sorted(seen, reverse=sort.startswith("-"))


def test_sorting_by_a_date_puts_the_missing_last(engine: Engine) -> None:
    """Births oldest first, also over pages (SRC-16)."""
    first = search.search(engine, "Patient", [("_sort", "birthdate"), ("_count", "2")])
    second = search.search(engine, "Patient", [("_cursor", first.next)])
    third = search.search(engine, "Patient", [("_cursor", second.next)])
    back = search.search(engine, "Patient", [("_cursor", third.previous)])

    assert second.bodies == back.bodies
    bodies = [*first.bodies, *second.bodies, *third.bodies]
    births = [codec.decode(body)["birthDate"] for body in bodies]
    assert births == ["1980", "1980-05", "1980-05-17", "1999-12-31", "2001-01-01"]


@given(st.text(max_size=60), st.text(max_size=60))
def test_no_query_breaks_the_server(engine: Engine, key: str, value: str) -> None:
    """Quotes, percent signs, NUL: 200 or 400, never a fault of ours (SRC-27)."""
    with suppress(BadRequest):
        search.search(engine, "Patient", [(key, value), ("name", value), ("identifier", value)])
