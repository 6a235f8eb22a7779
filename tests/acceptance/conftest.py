"""The three programs, started once for all acceptance tests; each test uses its own people."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests import browser_tools, samples
from tests.programs import Programs


@pytest.fixture(scope="session")
def programs(
    tmp_path_factory: pytest.TempPathFactory, new_database: Callable[[], str]
) -> Iterator[Programs]:
    started = Programs(tmp_path_factory.mktemp("programs"), new_database())
    with started.running(samples.clinic(), samples.payer()):
        yield started


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as play:
        launched = play.chromium.launch(
            executable_path=browser_tools.chromium(), args=browser_tools.ARGUMENTS
        )
        yield launched
        launched.close()
