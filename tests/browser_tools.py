"""A real Chromium for tests: the machine's, else apt-get's when root, else playwright's own."""

import os
import shutil
import subprocess
import sys
from functools import cache

import pytest
from playwright.sync_api import Browser, StorageState

from tests import node_tools

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
INSTALL_LIMIT_S = 600
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
VIEWS = [(1366, "light"), (1366, "dark"), (320, "light"), (320, "dark")]


@cache
def chromium() -> str | None:
    """Return the path of a Chromium, None for the one that playwright installed for itself.

    Fails the test, with what was tried, where none can be had: browser tests are never skipped.
    """
    tried = []
    found = _on_path()
    if not found and os.geteuid() == 0 and shutil.which("apt-get"):
        for step in (["apt-get", "update"], ["apt-get", "install", "-y", "chromium"]):
            tried += [_run(step)]
        found = _on_path()
    if found:
        return found
    tried.append(_run([sys.executable, "-m", "playwright", "install", "chromium"]))
    if tried[-1].returncode == 0:
        return None
    told = "\n".join(f"{' '.join(map(str, t.args))}: {t.stderr[-300:]}" for t in tried)
    pytest.fail(f"no browser: install chromium, then run the tests again. Tried:\n{told}")


def _on_path() -> str | None:
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=INSTALL_LIMIT_S,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
    )  # fmt: skip


def violations(
    browser: Browser, address: str, width: int, theme: str, signed: StorageState | None = None
) -> list[str]:
    """Return what axe finds on a page, and whether it scrolls sideways.

    `signed` are the cookies of somebody who is signed in.
    """
    context = browser.new_context(
        viewport={"width": width, "height": 768},
        storage_state=signed,
        color_scheme=theme,  # type: ignore[arg-type]  # light or dark
    )
    page = context.new_page()
    page.goto(address)
    page.evaluate((node_tools.packages() / "axe-core" / "axe.min.js").read_text("utf-8"))
    told: list[str] = page.evaluate(
        "async (rules) => (await axe.run({runOnly: {type: 'tag', values: rules}})).violations"
        ".map(v => v.id + ': ' + v.nodes.map(n => n.html).join(' '))", RULES,
    )  # fmt: skip
    reach = page.evaluate("document.documentElement.scrollWidth")
    context.close()
    return told + ([f"{reach} px are more than {width}"] if reach > width else [])
