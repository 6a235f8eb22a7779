"""The three programs, started once for all acceptance tests; each test uses its own people."""

from collections.abc import Callable, Iterator

import pytest

from tests import samples
from tests.programs import Programs


@pytest.fixture(scope="session")
def programs(
    tmp_path_factory: pytest.TempPathFactory, new_database: Callable[[], str]
) -> Iterator[Programs]:
    started = Programs(tmp_path_factory.mktemp("programs"), new_database())
    with started.running(samples.clinic(), samples.payer()):
        yield started
