"""SMART scopes, and what requests need of them: the whole matrix, without a server."""

import pytest

from server.access import needs, scopes
from server.access.caller import Caller
from server.access.scopes import ALL, ScopeRefused
from server.errors import Forbidden

pytestmark = pytest.mark.req("SEC-05")
OPERATIONS = {("everything", "Patient"): ("*.rs",), ("meta", ""): ("this.rs",)}


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("system/Coverage.rs", "system/Coverage.rs"),
        ("system/Coverage.read", "system/Coverage.rs"),
        ("system/Coverage.write", "system/Coverage.cud"),
        ("system/Coverage.*", "system/Coverage.cruds"),
        ("system/*.*", "system/*.cruds"),
        ("system/Task.c  system/Task.u system/Coverage.r", "system/Coverage.r system/Task.cu"),
    ],
)
def test_scopes_of_both_versions(text: str, read: str) -> None:
    """SMART 2.2: v1 read is rs, write is cud, * is cruds; they join by type."""
    assert read == str(scopes.checked(text))


@pytest.mark.parametrize(
    "text",
    [
        "", "openid", "patient/Coverage.rs", "user/*.rs", "system/Coverage", "system/Coverage.",
        "system/Coverage.sr", "system/Coverage.rs?status=active", "system/Wish.r",
        "system/Coverage.x",
    ],
)  # fmt: skip
def test_what_is_no_scope_of_ours(text: str) -> None:
    """It is refused by name where a client is registered."""
    with pytest.raises(ScopeRefused):
        scopes.checked(text)


@pytest.mark.parametrize(
    ("asked", "granted"),
    [
        ("system/*.cruds", "system/Coverage.rs system/Patient.r"),
        ("system/*.read", "system/Coverage.rs system/Patient.r"),
        ("system/Coverage.cruds", "system/Coverage.rs"),
        ("system/Patient.s", ""),
        ("system/Task.r", ""),
        ("system/Coverage.rs?status=active", ""),
        ("launch openid system/Patient.r", "system/Patient.r"),
    ],
)
def test_no_more_is_granted_than_a_client_has(asked: str, granted: str) -> None:
    """A scope is narrowed; one with a filter is not granted without it."""
    own = scopes.checked("system/Coverage.rs system/Patient.r")
    assert granted == str(own.granted(asked))


def test_every_type_is_every_type() -> None:
    """A star is a star: the letters of all named types are none of the others'."""
    own = scopes.checked("system/*.r system/Coverage.s")
    assert ["*.s", "Patient.s"] == own.lacking(["*.r", "*.s", "Coverage.rs", "Patient.s"])
    assert "system/*.r system/Coverage.rs" == str(own.granted("system/*.rs system/Coverage.rs"))
    assert ALL.allow("*.cruds")


@pytest.mark.parametrize(
    ("asked", "needed"),
    [
        ("GET Coverage/1", "Coverage.r"),
        ("HEAD Coverage/1", "Coverage.r"),
        ("GET Coverage/1/_history", "Coverage.r"),
        ("GET Coverage/1/_history/2", "Coverage.r"),
        ("GET Coverage/_history", "Coverage.s"),
        ("GET _history?_type=Coverage", "*.s"),
        ("GET Coverage?status=active", "Coverage.s"),
        ("POST Coverage/_search?status=active", "Coverage.s"),
        ("GET ?_type=Coverage,Patient", "Coverage.s Patient.s"),
        ("GET ?_lastUpdated=2026", "*.s"),
        ("POST _search?_type=Coverage", "Coverage.s"),
        ("GET Patient/1/Coverage", "Coverage.s"),
        ("GET Patient/1/*", "*.s"),
        ("POST Patient/1/Coverage/_search", "Coverage.s"),
        ("POST Coverage", "Coverage.c"),
        ("POST Coverage?_format=json", "Coverage.c"),
        ("POST Coverage?identifier=1", "Coverage.c Coverage.r Coverage.s"),
        ("PUT Coverage/1", "Coverage.u"),
        ("PUT Coverage?identifier=1", "Coverage.r Coverage.s Coverage.u"),
        ("PATCH Coverage/1", "Coverage.ru"),
        ("DELETE Coverage/1", "Coverage.d"),
        ("DELETE Coverage?identifier=1", "Coverage.d Coverage.r Coverage.s"),
        ("GET Coverage?beneficiary.name=a", "Coverage.s Patient.s"),
        ("GET Coverage?payor:Organization.name=a", "Coverage.s Organization.s"),
        ("GET Coverage?payor.name=a",
         "Coverage.s Organization.s Patient.s RelatedPerson.s"),
        ("GET Coverage?beneficiary:Patient.organization.name=a",
         "Coverage.s Organization.s Patient.s"),
        ("GET Coverage?nonsense.name=a", "*.s Coverage.s"),
        ("GET Patient?_has:Coverage:beneficiary:status=a", "Coverage.s Patient.s"),
        ("GET Patient?_has:Coverage:beneficiary:_has:Claim:coverage:use=a",
         "Claim.s Coverage.s Patient.s"),
        ("GET Patient?_has:Coverage:beneficiary:payor:Organization.name=a",
         "Coverage.s Organization.s Patient.s"),
        ("GET Coverage?_include=Coverage:beneficiary", "Coverage.s Patient.r"),
        ("GET Coverage?_include=Coverage:payor:Organization", "Coverage.s Organization.r"),
        ("GET Coverage?_include:iterate=Patient:organization", "Coverage.s Organization.r"),
        ("GET Coverage?_include=*", "*.r Coverage.s"),
        ("GET Coverage?_include=Coverage:*", "*.r Coverage.s"),
        ("GET Patient?_revinclude=Coverage:beneficiary", "Coverage.r Patient.s"),
        ("GET Patient?_revinclude=*", "*.r Patient.s"),
        ("GET Coverage?code:text=a.b", "Coverage.s"),
        ("GET Coverage?_list=1", "Coverage.s List.r"),
        ("GET Coverage?type:in=http://a", "Coverage.s ValueSet.r"),
        ("GET Claim?patient.gender:not-in=http://a", "Claim.s Patient.s ValueSet.r"),
        ("GET Patient/1/$everything", "*.rs"),
        ("GET Coverage/1/$meta", "Coverage.rs"),
        ("GET $meta", "*.rs"),
        ("POST Coverage/1/$unheard", "*.cruds"),
        ("GET Coverage/1/$meta/more", "*.cruds"),
        ("GET nonsense", "*.cruds"),
        ("GET Wish/1", "*.cruds"),
        ("GET ?_type=Wish", "*.s"),
        ("GET Observation?" + 20 * "part-of." + "_id=x", None),
        ("GET Coverage?" + 1001 * "a=b&", "*.cruds"),
        ("POST $job/$meta", "*.cruds"),
        ("POST ", ""),
        ("GET $job/0123", ""),
    ],
)  # fmt: skip
def test_what_a_request_needs(asked: str, needed: str | None) -> None:
    """Read, search and write of the type, and of every type that a query looks at."""
    method, _, address = asked.partition(" ")
    path, _, query = address.partition("?")
    pairs = [tuple(one.split("=", 1)) for one in query.split("&") if one]

    found = needs.of_request(method, path, pairs, OPERATIONS)  # type: ignore[arg-type]
    if needed is None:  # deeper than anything is searched: not walked to its end
        assert needs.EVERYTHING in found
    else:
        assert needed == " ".join(sorted(found))


def test_a_condition_finds_and_shows() -> None:
    """If-None-Exist with its type in front or without, and a chain in it."""
    both = [needs.of_condition("Coverage", text) for text in ("a=1", "Coverage?a=1")]
    assert [{"Coverage.r", "Coverage.s"}] * 2 == both
    chained = needs.of_condition("Coverage", "beneficiary.name=a")
    assert {"Coverage.r", "Coverage.s", "Patient.s"} == chained


def test_what_is_lacking_is_named() -> None:
    """As scopes, in order, for whoever has to ask for them."""
    caller = Caller("ehr", scopes.checked("system/Patient.r"))
    with pytest.raises(Forbidden, match=r"hold system/Coverage\.r system/Patient\.s\."):
        caller.demand(["Patient.s", "Coverage.r", "Patient.r"])
