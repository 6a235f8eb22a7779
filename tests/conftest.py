"""What tests lean on: markers that open the network to loopback, and hypothesis profiles."""

import os

import hypothesis
import pytest

hypothesis.settings.register_profile("dev", max_examples=50, deadline=None)
hypothesis.settings.register_profile("ci", max_examples=300, deadline=None, derandomize=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "dev")

LOOPBACK = ["127.0.0.1", "localhost", "::1"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let tests that start programs, browsers or Node talk to this machine, and to no other."""
    for item in items:
        if any(item.get_closest_marker(name) for name in ("loopback", "browser", "node")):
            item.add_marker(pytest.mark.allow_hosts(LOOPBACK))
