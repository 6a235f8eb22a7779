"""SMART Backend Services over HTTP: discovery, assertions, tokens, and what they let through."""

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey
from werkzeug.test import TestResponse

from server import clock
from server.app import close, create_app
from server.rest.blueprint import ENGINE
from server.search.values import micros
from server.settings import Settings
from server.store import clients
from server.store.clients import Client, Token
from tests import samples
from tests.conformance.conftest import Api, codes

URL = "http://localhost"
TOKEN, TYPE = f"{URL}/oauth2/token", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
EC = ECKey.generate_key("P-384", {"kid": "ec", "use": "sig"})
RSA = RSAKey.generate_key(2048, {"kid": "rsa", "use": "sig"})
OTHER = ECKey.generate_key("P-384", {"kid": "ec"})
JWKS = json.dumps({"keys": [EC.as_dict(private=False), RSA.as_dict(private=False)]})


class Smart(Api):
    """The API of a server behind its door, with a client that has some scopes."""

    def allow(self, scope: str, client_id: str = "ehr") -> None:
        """Register a client, or change what it may do."""
        with self.client.application.extensions[ENGINE].database.write() as connection:
            clients.put(connection, Client(client_id, JWKS, scope), micros(clock.now()))

    def form(self, path: str, assertion: str, **more: str) -> TestResponse:
        """POST to an endpoint of the authorization server."""
        given = {"client_assertion_type": TYPE, "client_assertion": assertion, **more}
        return self.client.post(f"/oauth2/{path}", data=given)

    def token(self, scope: str = "system/*.cruds", **more: str) -> TestResponse:
        """Ask for a token with an assertion that is in order."""
        form = {"grant_type": "client_credentials", "scope": scope, **more}
        return self.form("token", assertion(), **form)

    def authorized(self, scope: str = "system/*.cruds") -> str:
        """Return the Authorization header of a new token of these scopes, of a client with all."""
        form = {"grant_type": "client_credentials", "scope": scope}
        given = self.form("token", assertion(iss="all", sub="all"), **form)
        assert 200 == given.status_code, given.get_json()
        return f"Bearer {given.get_json()['access_token']}"


def assertion(key: Any = EC, alg: str = "ES384", kid: str = "ec", **claims: Any) -> str:
    """Return an assertion that is in order but for what is given."""
    made = {"iss": "ehr", "sub": "ehr", "aud": TOKEN, "jti": clock.new_id(),
            "exp": int(clock.now().timestamp()) + 240, **claims}  # fmt: skip
    made = {name: value for name, value in made.items() if value is not None}
    return jwt.encode({"alg": alg, "kid": kid}, made, key, algorithms=[alg])


@pytest.fixture(scope="module")
def api(new_database: Callable[[], str]) -> Iterator[Smart]:
    """A server that lets in who brings a token."""
    settings = Settings(
        database=new_database(), public_url=URL, allow_private_hooks=True, delivery="workers"
    )
    assert "smart" == settings.auth
    app = create_app(settings)
    smart = Smart(app.test_client())
    smart.allow("system/*.cruds", "all")
    writer = smart.authorized()
    for body in (samples.patient(), samples.payer(), samples.clinic(), samples.coverage()):
        smart.put(body, Authorization=writer)
    yield smart
    close(app)


@pytest.mark.req("SEC-01")
@pytest.mark.parametrize("base", ["", "/fhir"])
def test_the_configuration_is_public(api: Smart, base: str) -> None:
    """And names what is there, and nothing that is not."""
    found = api.client.get(f"{base}/.well-known/smart-configuration").get_json()
    assert TOKEN == found["token_endpoint"]
    assert ["client_credentials"] == found["grant_types_supported"]
    assert ["private_key_jwt"] == found["token_endpoint_auth_methods_supported"]
    assert {"ES384", "RS384"} == set(found["token_endpoint_auth_signing_alg_values_supported"])
    assert "authorization_endpoint" not in found
    assert "client-confidential-asymmetric" in found["capabilities"]


@pytest.mark.req("CAP-01")
def test_the_statement_is_public_and_says_how_to_come_in(api: Smart) -> None:
    """Its security names SMART, and where tokens are given."""
    found = api.get("metadata").get_json()["rest"][0]["security"]
    assert "SMART-on-FHIR" == found["service"][0]["coding"][0]["code"]
    assert TOKEN in json.dumps(found["extension"])


@pytest.mark.req("SEC-02")
@pytest.mark.parametrize(("key", "alg", "kid"), [(EC, "ES384", "ec"), (RSA, "RS384", "rsa")])
def test_an_assertion_buys_a_token(api: Smart, key: Any, alg: str, kid: str) -> None:
    """By either algorithm: a bearer token for 300 s, with the scopes that were granted."""
    api.allow("system/Coverage.rs")
    form = {"grant_type": "client_credentials", "scope": "system/*.read"}
    given = api.form("token", assertion(key, alg, kid), **form)
    assert 200 == given.status_code
    assert "no-store" == given.headers["Cache-Control"]
    found = given.get_json()
    assert ("bearer", 300, "system/Coverage.rs") == (
        found["token_type"], found["expires_in"], found["scope"],
    )  # fmt: skip
    answer = api.get("Coverage/cov", Authorization=f"Bearer {found['access_token']}")
    assert 200 == answer.status_code


def _forged(header: Any, claims: Any) -> str:
    """Return a JWT of any header and claims, signed by nobody."""
    parts = (base64.urlsafe_b64encode(json.dumps(one).encode()) for one in (header, claims))
    return ".".join([*(part.rstrip(b"=").decode() for part in parts), "AAAA"])


def _soon(seconds: int) -> int:
    return int(clock.now().timestamp()) + seconds


@pytest.mark.req("SEC-02")
@pytest.mark.parametrize(
    ("made", "told"),
    [
        (lambda: assertion(aud="https://elsewhere.example/token"), "aud"),
        (lambda: assertion(exp=_soon(-1)), "exp"),
        (lambda: assertion(exp=_soon(400)), "exp"),
        (lambda: assertion(exp=None), "exp"),
        (lambda: assertion(sub="other"), "sub"),
        (lambda: assertion(iss="stranger", sub="stranger"), "iss"),
        (lambda: assertion(iss=["ehr"]), "iss"),
        (lambda: assertion(jti=None), "jti"),
        (lambda: assertion(jti="x" * 300), "jti"),
        (lambda: assertion(jti="a\0b"), "jti"),
        (lambda: assertion(exp=float("nan")), "exp"),
        (lambda: assertion(nbf=_soon(60)), "nbf"),
        (lambda: assertion(aud=[["x"]]), "aud"),
        (lambda: assertion(iss="ehr\0"), "iss"),
        (lambda: _forged([], {"iss": "ehr"}), "JWT"),
        (lambda: _forged({"kid": "ec"}, {"iss": "ehr"}), ""),
        (lambda: _forged({"alg": "ES384", "kid": ["ec"]}, {"iss": "\ud800"}), "iss"),
        (lambda: _forged({"alg": "ES384", "kid": "ec"}, []), "iss"),
        (lambda: assertion(kid="none"), "kid"),
        (lambda: assertion(OTHER), "signature"),
        (lambda: assertion(EC, kid="rsa"), "signature"),
        (lambda: assertion(OctKey.import_key("s" * 48), "HS256"), "signature"),
        (lambda: assertion(OctKey.import_key(JWKS), "HS384"), "signature"),
        (lambda: assertion(RSA, "RS256", "rsa"), "signature"),
        (lambda: "eyJhbGciOiJub25lIn0.eyJpc3MiOiJlaHIiLCJzdWIiOiJlaHIifQ.", "kid"),
        (lambda: "no.jwt.atall", "JWT"),
        (lambda: "", "JWT"),
    ],
)  # fmt: skip
def test_an_assertion_that_proves_nothing(api: Smart, made: Callable[[], str], told: str) -> None:
    """401 invalid_client, and what is wrong."""
    api.allow("system/Coverage.rs")
    form = {"grant_type": "client_credentials", "scope": "system/Coverage.rs"}
    answer = api.form("token", made(), **form)
    assert 401 == answer.status_code
    assert "invalid_client" == answer.get_json()["error"]
    assert told in answer.get_json()["error_description"]


@pytest.mark.req("SEC-02")
def test_an_assertion_is_taken_once(api: Smart) -> None:
    """A jti that comes again is refused, at any endpoint."""
    api.allow("system/Coverage.rs")
    once = assertion()
    form = {"grant_type": "client_credentials", "scope": "system/Coverage.rs"}
    first, second = (api.form("token", once, **form) for _ in range(2))
    assert [200, 401] == [first.status_code, second.status_code]
    assert "jti" in second.get_json()["error_description"]
    assert 401 == api.form("revoke", once, token="x").status_code


@pytest.mark.req("SEC-03")
def test_another_grant_is_refused(api: Smart) -> None:
    """Each by its error of RFC 6749."""
    api.allow("system/Coverage.rs")
    told = [
        (answer.status_code, answer.get_json()["error"])
        for answer in (
            api.token(grant_type="password"),
            api.token(client_assertion_type="urn:other"),
            api.token(scope=""),
            api.token(scope="system/Task.r"),
        )
    ]
    assert [
        (400, "unsupported_grant_type"), (401, "invalid_client"),
        (400, "invalid_scope"), (400, "invalid_scope"),
    ] == told  # fmt: skip


@pytest.mark.req("SEC-04")
@pytest.mark.parametrize("sent", ["", "Bearer ", "Bearer nonsense", "Basic ZWhyOnB3"])
def test_nobody_comes_in_without_a_token(api: Smart, sent: str) -> None:
    """401 with an OperationOutcome and the way in; a search by POST and a Bundle, too."""
    more = {"Authorization": sent} if sent else {}
    form = {"Content_Type": "application/x-www-form-urlencoded", **more}
    reads = ("Coverage/cov", "Coverage", "", "_history", "Patient/pat/$everything", "$job/1")
    for answer in (
        *(api.get(path, **more) for path in reads),
        api.call("HEAD", "Coverage/cov", **more),
        api.call("DELETE", "Coverage/cov", **more),
        api.post("Coverage", samples.coverage(), **more),
        api.post("Coverage/_search", "status=active", **form),
        api.post("", {"resourceType": "Bundle", "type": "batch"}, **more),
    ):
        if answer.request.method == "HEAD":
            assert not answer.data
            continue
        assert 401 == answer.status_code
        assert ["login"] == codes(answer)
        assert answer.headers["WWW-Authenticate"].startswith("Bearer ")


@pytest.mark.req("SEC-04 SEC-05")
@pytest.mark.parametrize(
    ("scope", "method", "path", "status"),
    [
        ("system/Coverage.r", "GET", "Coverage/cov", 200),
        ("system/Coverage.r", "GET", "Coverage/cov/_history", 200),
        ("system/Coverage.r", "GET", "Coverage?status=active", 403),
        ("system/Coverage.s", "GET", "Coverage?status=active", 200),
        ("system/Coverage.s", "GET", "Coverage/cov", 403),
        ("system/Coverage.rs", "GET", "Patient/pat", 403),
        ("system/Coverage.rs", "GET", "Coverage?_include=Coverage:beneficiary", 403),
        ("system/Coverage.s system/Patient.r", "GET", "Coverage?_include=Coverage:beneficiary",
         200),
        ("system/Coverage.rs", "GET", "Coverage?beneficiary.name=Rivera", 403),
        ("system/Coverage.rs system/Patient.s", "GET", "Coverage?beneficiary.name=Rivera", 200),
        ("system/Coverage.rs", "GET", "Patient/pat/Coverage", 200),
        ("system/Coverage.rs", "GET", "Patient/pat/*", 403),
        ("system/Coverage.rs", "GET", "Patient/pat/$everything", 403),
        ("system/*.rs", "GET", "Patient/pat/$everything", 200),
        ("system/*.rs", "GET", "?_type=Coverage", 200),
        ("system/Coverage.s", "GET", "?_type=Coverage", 200),
        ("system/Coverage.s", "GET", "?_type=Coverage,Patient", 403),
        ("system/Coverage.s", "GET", "_history", 403),
        ("system/Coverage.rs", "DELETE", "Coverage/none", 403),
        ("system/Coverage.d", "DELETE", "Coverage/none", 204),
        ("system/Coverage.rs", "POST", "$reindex", 403),
        ("system/Coverage.read", "GET", "Coverage/cov", 200),
        ("system/Coverage.write", "GET", "Coverage/cov", 403),
    ],
)  # fmt: skip
def test_what_a_token_lets_through(
    api: Smart, scope: str, method: str, path: str, status: int
) -> None:
    """200, or 403 with an OperationOutcome that names the scope."""
    answer = api.call(method, path, Authorization=api.authorized(scope))
    assert status == answer.status_code
    if status == 403:
        assert ["forbidden"] == codes(answer)
        assert "system/" in answer.get_json()["issue"][0]["diagnostics"]
        assert "insufficient_scope" in answer.headers["WWW-Authenticate"]


@pytest.mark.req("SEC-05")
def test_a_search_by_form_is_read_too(api: Smart) -> None:
    """What a form includes needs the same as what an address includes."""
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    authorized = api.authorized("system/Coverage.s")
    narrow = api.post("Coverage/_search", "status=active", Authorization=authorized, **form)
    wide = api.post("Coverage/_search", "_include=*", Authorization=authorized, **form)
    assert [200, 403] == [narrow.status_code, wide.status_code]
    found = [entry["resource"]["id"] for entry in narrow.get_json()["entry"]]
    assert "cov" in found


@pytest.mark.req("SEC-05")
def test_a_page_link_needs_what_its_search_needed(api: Smart) -> None:
    """It hides its parameters, and may come from somebody who may do more."""
    for fhir_id in ("one", "two"):
        api.put(samples.coverage(fhir_id), Authorization=api.authorized())
    query = "Coverage?_count=1&_include=Coverage:beneficiary"
    page = api.get(query, Authorization=api.authorized()).get_json()
    link = next(one["url"] for one in page["link"] if one["relation"] == "next")
    path = link.partition("/fhir/")[2]
    assert 200 == api.get(path, Authorization=api.authorized()).status_code
    assert 403 == api.get(path, Authorization=api.authorized("system/Coverage.s")).status_code


@pytest.mark.req("SEC-05")
@pytest.mark.parametrize(
    "path", ["Coverage/cov/_history", "Coverage/_history", "_history", "Coverage"]
)
def test_every_page_link_is_followed(api: Smart, path: str) -> None:
    """Of a history, too; and one that is damaged is a 400."""
    authorized = api.authorized()
    for number in range(3):
        api.put(samples.coverage(dependent=str(number)), Authorization=authorized)
        api.put(samples.coverage(f"page-{number}"), Authorization=authorized)
    page = api.get(f"{path}?_count=1", Authorization=authorized).get_json()
    link = next(one["url"] for one in page["link"] if one["relation"] == "next")
    assert 200 == api.get(link.partition("/fhir/")[2], Authorization=authorized).status_code
    damaged = api.get(f"{path}?_cursor=nonsense", Authorization=authorized)
    assert 400 == damaged.status_code


@pytest.mark.req("SEC-05")
def test_the_entries_of_a_bundle_are_asked_about_one_by_one(api: Smart) -> None:
    """In a batch each for itself; a transaction is refused whole, with nothing stored."""
    entries = [
        {"request": {"method": "GET", "url": "Coverage/cov"}},
        {"request": {"method": "GET", "url": "Patient/pat"}},
        {"request": {"method": "GET", "url": "Coverage?_include=Coverage:beneficiary"}},
        {"request": {"method": "PUT", "url": "Coverage/b"}, "resource": samples.coverage("b")},
        {"request": {"method": "POST", "url": "Coverage", "ifNoneExist": "beneficiary.name=x"},
         "resource": samples.coverage()},
    ]  # fmt: skip
    authorized = api.authorized("system/Coverage.cru")
    found = api.post("", {"resourceType": "Bundle", "type": "batch", "entry": entries},
                     Authorization=authorized).get_json()["entry"]  # fmt: skip
    assert ["200", "403", "403", "201", "403"] == [e["response"]["status"][:3] for e in found]
    only_reads = {"resourceType": "Bundle", "type": "batch", "entry": entries[:2]}
    found = api.post("", only_reads, Authorization=authorized).get_json()["entry"]
    assert ["200", "403"] == [e["response"]["status"][:3] for e in found]
    entries[3]["request"] = {"method": "PUT", "url": "Coverage/c"}
    entries[3]["resource"] = samples.coverage("c")
    body = {"resourceType": "Bundle", "type": "transaction", "entry": [entries[3], entries[1]]}
    answer = api.post("", body, Authorization=authorized)
    assert 403 == answer.status_code
    assert ["Bundle.entry[1].request"] == answer.get_json()["issue"][0]["expression"]
    assert 404 == api.get("Coverage/c", Authorization=authorized).status_code


@pytest.mark.req("SEC-05")
def test_a_condition_has_no_second_question(api: Smart) -> None:
    """What stands behind another question mark in an entry's address is asked about, too."""
    address = "Patient?_id=pat?_has:Claim:patient:use=claim"
    entry = {"request": {"method": "DELETE", "url": address}}
    body = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
    answer = api.post("", body, Authorization=api.authorized("system/Patient.cruds"))
    assert 403 == answer.status_code
    assert "Claim.s" in answer.get_data(as_text=True)


@pytest.mark.req("SEC-05")
def test_a_page_link_decides_alone_what_is_searched(api: Smart) -> None:
    """Another type beside it in the address narrows nothing."""
    page = api.get("?_count=1", Authorization=api.authorized()).get_json()
    link = next(one["url"] for one in page["link"] if one["relation"] == "next")
    query = link.partition("?")[2]
    narrow = api.authorized("system/Basic.s")
    assert 403 == api.get(f"?_type=Basic&{query}", Authorization=narrow).status_code


@pytest.mark.req("SEC-05")
def test_past_events_are_for_who_may_read_them(api: Smart) -> None:
    """Subscription/$events shows resources: it needs their types, too."""
    everything = api.authorized()
    hook = samples.subscription("http://127.0.0.1:9/past", "Coverage")
    api.put({**hook, "id": "past"}, Authorization=everything)
    api.put(samples.coverage("past"), Authorization=everything)
    statuses = [
        api.get("Subscription/past/$events", Authorization=api.authorized(scope)).status_code
        for scope in ("system/Subscription.r", "system/Subscription.r system/Coverage.r")
    ]
    assert [403, 200] == statuses


@pytest.mark.req("SEC-05")
def test_conditions_and_provenance_need_their_types(api: Smart) -> None:
    """If-None-Exist, a conditional reference, and X-Provenance."""
    authorized = {"Authorization": api.authorized("system/Coverage.c")}
    conditional = samples.coverage(beneficiary={"reference": "Patient?name=Rivera"})
    entry = {"request": {"method": "POST", "url": "Coverage"}, "resource": conditional}
    told = json.dumps({"resourceType": "Provenance", "recorded": "2026-11-26T00:00:00Z",
                       "agent": [{"who": {"display": "x"}}]})  # fmt: skip
    found = [
        api.post("Coverage", samples.coverage(), If_None_Exist="status=active", **authorized),
        api.post("", {"resourceType": "Bundle", "type": "transaction", "entry": [entry]},
                 **authorized),
        api.post("Coverage", samples.coverage(), X_Provenance=told, **authorized),
        api.post("Coverage", samples.coverage(), **authorized),
    ]  # fmt: skip
    assert [403, 403, 403, 201] == [answer.status_code for answer in found]


@pytest.mark.req("SEC-05")
def test_the_result_of_an_export_is_for_who_may_read_it(api: Smart) -> None:
    """Its status and its files, though their address cannot be guessed."""
    may, may_not = api.authorized("system/*.rs"), api.authorized("system/Coverage.rs")
    taken = api.get("$export", Authorization=may, Prefer="respond-async")
    assert 202 == taken.status_code
    path = taken.headers["Content-Location"].partition("/fhir/")[2]
    assert 403 == api.get(path, Authorization=may_not).status_code
    assert 403 == api.call("DELETE", path, Authorization=may_not).status_code
    assert api.get(path, Authorization=may).status_code in (200, 202)


def _all() -> str:
    return assertion(iss="all", sub="all")


@pytest.mark.req("SEC-08")
def test_a_token_is_told_of_and_ended(api: Smart) -> None:
    """Introspection says what it is for; after its end nobody comes in with it."""
    header = api.authorized("system/Coverage.r")
    token = header.removeprefix("Bearer ")
    found = api.form("introspect", _all(), token=token).get_json()
    assert (True, "all", "system/Coverage.r") == (
        found["active"], found["client_id"], found["scope"],
    )  # fmt: skip
    api.allow("system/*.cruds", "other")
    stranger = assertion(iss="other", sub="other", aud=f"{URL}/oauth2/revoke")
    assert 200 == api.form("revoke", stranger, token=token).status_code
    assert 200 == api.get("Coverage/cov", Authorization=header).status_code
    assert 200 == api.form("revoke", _all(), token=token).status_code
    assert 401 == api.get("Coverage/cov", Authorization=header).status_code
    assert {"active": False} == api.form("introspect", _all(), token=token).get_json()
    assert 401 == api.form("introspect", "no.jwt.atall", token=token).status_code


@pytest.mark.req("SEC-02")
def test_a_token_is_over_when_it_is_over(api: Smart) -> None:
    """At its time, and at once when its client may do something else."""
    now = micros(clock.now())
    with api.client.application.extensions[ENGINE].database.write() as connection:
        clients.keep_token(connection, "old", Token("ehr", "system/*.r", now), now - 300_000_000)
    assert 401 == api.get("Coverage/cov", Authorization="Bearer old").status_code
    header = api.authorized("system/Coverage.r")
    assert 200 == api.get("Coverage/cov", Authorization=header).status_code
    api.allow("system/*.cruds", "all")
    assert 401 == api.get("Coverage/cov", Authorization=header).status_code


def test_the_database_holds_no_token(api: Smart) -> None:
    """Who reads it cannot come in by it."""
    token = api.authorized().removeprefix("Bearer ")
    with api.client.application.extensions[ENGINE].database.read() as connection:
        kept = connection.execute("SELECT digest, client, scopes FROM token").fetchall()
    assert kept
    assert token not in str(kept)


def test_the_pages_are_closed(api: Smart) -> None:
    """Whom we do not know we show no person: 401, and the style that the page is shown in."""
    for path in ("/", "/today", "/benefits/cov", "/authorizations", "/deliveries", "/nonsense"):
        answer = api.client.get(path)
        assert answer.status_code == (404 if path in ("/today", "/nonsense") else 401)
        assert "Rivera" not in answer.get_data(as_text=True)
    assert 401 == api.client.post("/benefits/cov/check").status_code
    assert "sign in" in api.client.get("/").get_data(as_text=True)


def test_a_preflight_needs_no_token(api: Smart) -> None:
    """Browsers send none with it."""
    answer = api.client.options("/fhir/Coverage")
    assert 200 == answer.status_code
