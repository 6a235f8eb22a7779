"""The direct way before the web framework answers as the framework does."""

import json
from collections.abc import Callable, Iterator

import pytest
from flask import Flask

from server.app import close, create_app
from server.settings import Settings
from tests import samples
from tests.conformance.conftest import Api


@pytest.fixture(scope="module")
def app(new_database: Callable[[], str]) -> Iterator[Flask]:
    made = create_app(Settings(database=new_database(), auth="open"))
    yield made
    close(made)


PATHS = [
    "Patient/pat", "Patient/never", "Foo/1", "Patient", "Patient?family=riv&nonsense=1",
    "Patient?birthdate=abc", "Patient?_count=0", "Patient?name=a%2Cb%20c+d%C3%A4",
    "Patient/pat?x=1", "Patient?_format=xml", "Patient?family:exact=Núñez",
    "Coverage?beneficiary=Patient/pat&_include=*", "Foo?x=1", "metadata", "Patient/pat/_history",
    "Patient?_format=json", "Patient?_sort=family&_elements=name", "Patient/a_b",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("trace", ["", "mine", "not usable"])
def test_both_ways_answer_the_same(app: Flask, path: str, trace: str) -> None:
    """Status, body and headers, whatever is asked."""
    direct = Api(app.test_client())
    direct.put(samples.patient())
    direct.put(samples.coverage())
    named = {"X_Request_Id": trace} if trace else {}
    # A preference that means nothing is not plain, so the framework answers.
    quick, whole = direct.get(path, **named), direct.get(path, Prefer="x=y", **named)

    assert (quick.status_code, quick.data) == (whole.status_code, whole.data)
    for name in ("ETag", "Last-Modified", "Content-Type", "Cache-Control", "Content-Length"):
        assert quick.headers.get(name) == whole.headers.get(name), name
    usable = trace == "mine"
    assert usable == (quick.headers["X-Request-Id"] == whole.headers["X-Request-Id"])


def test_a_large_answer_is_compressed(app: Flask) -> None:
    """Where the client takes gzip the framework compresses; the content is the same."""
    api = Api(app.test_client())
    for number in range(10):
        api.put(samples.patient(f"large-{number}"))
    packed = api.get("Patient", Accept_Encoding="gzip")

    assert "gzip" == packed.headers["Content-Encoding"]
    assert json.loads(api.get("Patient").data)["total"] >= 10
