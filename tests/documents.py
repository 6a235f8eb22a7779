"""The shell blocks of a page of docs/, run as they stand, and what the page says they print."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.programs import ROOT, Programs

BLOCK = re.compile(r"```(sh|text)\n(.*?)```", re.DOTALL)
_PLACES = {"server": 8080, "sandbox": 8082}  # where the pages suppose that they are


def ran(page: str, programs: Programs, folder: Path = ROOT) -> tuple[str, str]:
    """Return what the blocks of a page print, one after the other in `folder`, and what it tells.

    Fails where a command does. The addresses of the page become those of the programs.
    """
    blocks = BLOCK.findall((ROOT / "docs" / page).read_text("utf-8"))
    script, told = ("".join(text for kind, text in blocks if kind == one) for one in ("sh", "text"))
    for name, port in _PLACES.items():
        script = script.replace(f"http://127.0.0.1:{port}", getattr(programs, name))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-eu", "-c", script], env={**programs.environment, "PATH": path}, cwd=folder,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout, told
