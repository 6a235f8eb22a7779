"""A server in this process on each database engine, and a short way to talk to it."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from server.app import close, create_app
from server.settings import Settings

ORIGIN = "https://app.clinic.example"


class Api:
    """The FHIR API by its relative addresses."""

    def __init__(self, client: FlaskClient) -> None:
        """Talk through `client`."""
        self.client = client

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> TestResponse:
        """Call one address; a dict is sent as FHIR JSON, bytes as they are."""
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        if body is not None and "Content-Type" not in named:
            named["Content-Type"] = "application/fhir+json"
        address = f"/fhir/{path}" if path else "/fhir"
        if isinstance(body, (bytes, str)) or body is None:
            return self.client.open(address, method=method, data=body, headers=named)
        return self.client.open(address, method=method, json=body, headers=named)

    def get(self, path: str, **headers: str) -> TestResponse:
        """GET."""
        return self.call("GET", path, **headers)

    def post(self, path: str, body: Any, **headers: str) -> TestResponse:
        """POST."""
        return self.call("POST", path, body, **headers)

    def put(self, body: dict[str, Any], **headers: str) -> TestResponse:
        """PUT a resource under its id, which has to work."""
        answer = self.call("PUT", f"{body['resourceType']}/{body['id']}", body, **headers)
        assert answer.status_code in (200, 201), answer.get_data(as_text=True)
        return answer

    def ids(self, query: str) -> list[str]:
        """Return the ids of the matches of a search, in order."""
        return [e["resource"]["id"] for e in self.entries(query) if e["search"]["mode"] == "match"]

    def entries(self, query: str) -> list[dict[str, Any]]:
        """Return the entries of a search that has to work."""
        answer = self.get(query)
        assert 200 == answer.status_code, answer.get_data(as_text=True)
        found: list[dict[str, Any]] = (answer.get_json() or {}).get("entry", [])
        return found


def seed_of(config: pytest.Config) -> int:
    """Return the seed of random tests: that of the run, and in CI always the same.

    What is red there has to be red again; new ground is found by every other run.
    """
    return 1 if os.environ.get("CI") else int(config.getoption("randomly_seed", 1)) % 2**32


@pytest.fixture(scope="module")
def api(new_database: Callable[[], str]) -> Iterator[Api]:
    """A server of this module's own."""
    settings = Settings(
        database=new_database(), auth="open", allow_private_hooks=True, cors_origins=(ORIGIN,),
        delivery="workers",  # nothing is written behind a test's back
    )  # fmt: skip
    app = create_app(settings)
    yield Api(app.test_client())
    close(app)


def codes(answer: TestResponse) -> list[str]:
    """Return the issue codes of an OperationOutcome."""
    return [issue["code"] for issue in answer.get_json()["issue"]]
