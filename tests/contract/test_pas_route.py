"""What a payer may send back over HTTP, and what it stands for."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import responses

from bots.connectors.pas import PasRoute
from fhir_profiles import pas

ADDRESS = "https://payer.example/fhir"
BUNDLE = {"resourceType": "Bundle", "type": "collection"}
OUTCOME = {
    "resourceType": "OperationOutcome",
    "issue": [{"severity": "error", "code": "invalid", "diagnostics": "Member not enrolled"}],
}
pytestmark = pytest.mark.req("R23 R24")


@pytest.fixture
def played() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mock:
        yield mock


def submitted(played: responses.RequestsMock, status: int, body: Any, **more: Any) -> Any:
    text = body if isinstance(body, bytes) else json.dumps(body)
    played.add("POST", f"{ADDRESS}/Claim/$submit", body=text, status=status, **more)
    return PasRoute().submit(f"{ADDRESS}/", BUNDLE, timeout_s=5)


@pytest.mark.parametrize("status", [200, 201, 202])
def test_every_2xx_with_a_bundle_is_an_answer(played: responses.RequestsMock, status: int) -> None:
    """The payer took it."""
    assert BUNDLE == submitted(played, status, BUNDLE).answer


@pytest.mark.parametrize(
    ("status", "body", "again", "words"),
    [
        (200, OUTCOME, False, "Member not enrolled"),
        (400, OUTCOME, False, "Member not enrolled"),
        (403, OUTCOME, False, "Member not enrolled"),
        (422, {}, False, "HTTP 422"),
        (401, OUTCOME, True, "payer refuses our key"),
        (429, {}, True, "payer asks us to slow down"),
        (500, OUTCOME, True, "payer failed"),
        (503, b"<html>", True, "payer failed"),
    ],
)
def test_a_failure_says_whether_it_goes_again(
    played: responses.RequestsMock, status: int, body: Any, words: str, *, again: bool
) -> None:
    """In the payer's words where it has some; no clearinghouse is meant."""
    found = submitted(played, status, body)

    assert (None, again) == (found.answer, found.failure.again)
    assert words in found.failure.text
    assert "clearinghouse" not in found.failure.text
    assert found.received


@pytest.mark.parametrize("body", [b"<html>", b"", {"resourceType": "Parameters"}])
def test_a_2xx_without_a_bundle_is_kept_to_be_looked_at(
    played: responses.RequestsMock, body: Any
) -> None:
    """Neither an answer nor a failure that would send it again."""
    found = submitted(played, 200, body)

    assert (None, None) == (found.answer, found.failure)


def test_a_subscription_that_is_gone_is_made_anew(played: responses.RequestsMock) -> None:
    """PUT answers 404 after a payer's restart."""
    made = {"resourceType": "Subscription", "id": "new", "status": "active"}
    played.add("PUT", f"{ADDRESS}/Subscription/old", status=404)
    played.add("POST", f"{ADDRESS}/Subscription", json=made, status=201)

    assert f"{ADDRESS}/Subscription/new" == PasRoute().subscribe(
        ADDRESS, {}, f"{ADDRESS}/Subscription/old", timeout_s=5
    )


@pytest.mark.parametrize(
    ("status", "body", "lives"),
    [(200, {"status": "active"}, True), (200, {"status": "error"}, False), (404, {}, False),
     (503, {}, True)],
)  # fmt: skip
def test_whether_a_subscription_lives(
    played: responses.RequestsMock, status: int, body: Any, *, lives: bool
) -> None:
    """A payer that is away for a moment has it still."""
    played.add("GET", f"{ADDRESS}/Subscription/ours", json=body, status=status)

    assert lives == PasRoute().is_subscribed(ADDRESS, f"{ADDRESS}/Subscription/ours", timeout_s=5)


PUBLISHED = f"{ADDRESS}{pas.WELL_KNOWN}"
LIST = {"identifier": {"value": "1"}, "endpoints": {
    "davinci_pas_submission_endpoint#2.2": "https://payer.example/fhir",
    "davinci_pas_submission_endpoint#2.0": "https://elsewhere.example/fhir",
}}  # fmt: skip


@pytest.mark.req("R79")
def test_addresses_are_discovered_at_hosts_that_we_trust(played: responses.RequestsMock) -> None:
    """And what leads elsewhere is left out: health data goes there."""
    played.add("GET", PUBLISHED, json=LIST)
    found = PasRoute(hosts=["payer.example"]).discover(PUBLISHED, timeout_s=5)

    assert {"davinci_pas_submission_endpoint#2.2": "https://payer.example/fhir"} == found


@pytest.mark.req("R79")
@pytest.mark.parametrize(
    ("hosts", "location"),
    [
        ([], PUBLISHED),
        (["other.example"], PUBLISHED),
        (["ayer.example"], PUBLISHED),
        ([".payer.example"], PUBLISHED),
        (["payer.example"], PUBLISHED.replace("https", "http")),
        (["payer.example"], PUBLISHED.replace("payer.example", "payer.example@evil.example")),
        (["payer.example"], PUBLISHED.replace("//", "//user@")),
        (["payer.example"], f"{ADDRESS}/other.json"),
        ([".payer.example"], f"https://evil.example\\.payer.example{pas.WELL_KNOWN}"),
        (["payer.example"], f"https://evil.example\\@payer.example{pas.WELL_KNOWN}"),
        (["payer.example"], f"https://payer.example \t/fhir{pas.WELL_KNOWN}"),
        (["payer.example"], "https://[payer.example/.well-known/davinci-configuration"),
    ],
)
def test_nobody_else_is_asked(hosts: list[str], location: str) -> None:
    """No call is made, whatever would come back."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.add("GET", re.compile(".*"), json=LIST)
        assert {} == PasRoute(hosts=hosts).discover(location, timeout_s=5)
        assert [] == list(mock.calls)


@pytest.mark.req("R79")
@pytest.mark.parametrize(
    ("status", "body"),
    [(200, b"no json"), (200, b"[]"), (200, b'{"endpoints": []}'), (302, b"{}"), (500, b"{}")],
)
def test_what_is_no_list_says_nothing(
    played: responses.RequestsMock, status: int, body: bytes
) -> None:
    """The directory says where to send it."""
    played.add("GET", PUBLISHED, body=body, status=status)

    assert {} == PasRoute(hosts=["payer.example"]).discover(PUBLISHED, timeout_s=5)
