"""SMART Backend Services against the sandbox's door: keys, assertions, tokens, one renewal."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from bots.connectors import backend_services
from bots.connectors.pas import PasRoute
from tests.contract.payer import actions, built, of_code, response_of
from tests.programs import Programs

pytestmark = [pytest.mark.loopback, pytest.mark.req("R69")]
TIMEOUT_S = 9.0


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Programs]:
    started = Programs(tmp_path_factory.mktemp("door"))
    try:
        started.start("sandbox")
        yield started
    finally:
        started.stop()


def known(programs: Programs, key: str, life_s: int = 300) -> None:
    """Let the payer know our public key, and nobody else."""
    wish = {"client_id": "inforce", "jwks": backend_services.public(key), "life_s": life_s}
    requests.put(f"{programs.sandbox}/_control/client", json=wish, timeout=9).raise_for_status()


def tokens(programs: Programs) -> int:
    """Return how many different tokens our requests came with."""
    sent = requests.get(f"{programs.sandbox}/_control/requests", timeout=9).json()
    return len({one["headers"].get("Authorization") for one in sent if one["route"] == "payer"})


def submit(programs: Programs, route: PasRoute, number: str) -> Any:
    bundle = built(of_code("97110", fhir_id=number), number=number)
    return route.submit(f"{programs.sandbox}/fhir", bundle, timeout_s=TIMEOUT_S)


@pytest.fixture
def key(programs: Programs) -> Iterator[str]:
    yield json.dumps(backend_services.new_key())
    requests.delete(f"{programs.sandbox}/_control", timeout=9).raise_for_status()


def test_a_signed_assertion_buys_a_token_for_many_requests(programs: Programs, key: str) -> None:
    """The request is let in, and the next comes with the same token."""
    known(programs, key)
    route = PasRoute("inforce", key)
    first, second = (submit(programs, route, f"T-{n}") for n in range(2))

    assert [{1: "A1"}, {1: "A1"}] == [actions(response_of(one.answer)) for one in (first, second)]
    assert 1 == tokens(programs)


def test_an_expired_token_is_renewed_once(programs: Programs, key: str) -> None:
    """401, a new token, and the request again; a payer of dead tokens is not asked for ever."""
    known(programs, key)
    route = PasRoute("inforce", key)
    assert submit(programs, route, "T-before").answer
    known(programs, key)  # all tokens are over
    assert submit(programs, route, "T-after").answer

    known(programs, key, life_s=0)
    refused = submit(programs, route, "T-dead")
    assert (None, "credentials") == (refused.answer, refused.failure.code)


@pytest.mark.parametrize("client", ["", "somebody"])
def test_who_is_not_known_stays_outside(programs: Programs, key: str, client: str) -> None:
    """Without a token, and with an assertion of another client: tried again later, never lost."""
    known(programs, key)
    other = PasRoute(client, json.dumps(backend_services.new_key())) if client else PasRoute()
    found = submit(programs, other, f"T-{client}")

    assert ("credentials", True) == (found.failure.code, found.failure.again)


def test_an_assertion_serves_once(programs: Programs, key: str) -> None:
    """Replayed, it is refused; so is one for another audience."""
    known(programs, key)
    door = backend_services.BackendServices("inforce", key, PasRoute()._wire)
    url = f"{programs.sandbox}/oauth/token"
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": door._assertion(url),
    }
    elsewhere = {**form, "client_assertion": door._assertion("https://other.example/token")}

    assert [200, 401, 401, 400] == [
        requests.post(url, data=one, timeout=9).status_code
        for one in (form, form, elsewhere, {**form, "grant_type": "password"})
    ]


def test_a_subscription_comes_with_a_token_too(programs: Programs, key: str) -> None:
    """The payer knows whose it is."""
    known(programs, key)
    wish = {"resourceType": "Subscription", "status": "requested"}
    route = PasRoute("inforce", key)
    address = f"{programs.sandbox}/fhir"

    assert "" == route.subscribe(
        address, wish, "", timeout_s=TIMEOUT_S
    )  # let in, and refused by name
    inquired = route.inquire(address, {"resourceType": "Bundle"}, timeout_s=TIMEOUT_S)
    assert inquired.failure is not None
    assert "Bundle.type must be collection" in inquired.failure.text


def test_the_command_prints_keys(programs: Programs) -> None:
    """A new private one, and of the one in use only what payers may see, without other secrets."""
    command = [sys.executable, "-m", "bots", "jwks"]
    env = {k: v for k, v in programs.environment.items() if k != "INFORCE_BOTS_HOOK_SECRET"}
    made = subprocess.run([*command, "--new"], env=env, capture_output=True, text=True, check=True)
    missing = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    env |= {"INFORCE_BOTS_PAS_KEY": made.stdout, "INFORCE_BOTS_PAS_CLIENT_ID": "inforce"}
    shown = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    (public,) = json.loads(shown.stdout)["keys"]

    assert 2 == missing.returncode
    assert "jwks --new" in missing.stderr
    assert json.loads(made.stdout)["kid"] == public["kid"]
    assert "d" not in public
