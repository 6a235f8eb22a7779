"""What can be set or called from outside stands in the docs, and their links lead somewhere."""

import re
from pathlib import Path

import pytest

from bots.mapping.inquiry import Problem
from bots.registry import BOTS
from server.subscriptions import delivery

ROOT = Path(__file__).parents[2]
DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SETTING = re.compile(r"\bINFORCE_[A-Z0-9_]+[A-Z0-9]\b")
KINDS = ("Security", "Removed", "Deprecated", "Added", "Changed", "Fixed")


def text_of(*folders: str) -> str:
    files = [f for folder in folders for f in sorted((ROOT / folder).rglob("*.py"))]
    return "\n".join(f.read_text("utf-8") for f in files)


def test_every_setting_is_in_the_table_and_the_other_way_round() -> None:
    """docs/settings.md and the code name the same settings."""
    used = set(SETTING.findall(text_of("server", "bots", "sandbox")))
    told = set(SETTING.findall((ROOT / "docs/settings.md").read_text("utf-8")))

    assert used == told


def test_every_bot_is_in_the_architecture() -> None:
    """The path is told hop by hop, each bot with its file."""
    told = (ROOT / "docs/architecture.md").read_text("utf-8")

    for bot in BOTS:
        assert f"{bot.name.replace('-', '_')}.py" in told


def test_files_named_in_the_architecture_exist() -> None:
    """The document matches the tree."""
    told = (ROOT / "docs/architecture.md").read_text("utf-8")
    named = re.findall(r"`((?:server|bots|sandbox|fhir_profiles)/[\w/.]+)`", told)

    assert named
    assert [] == [path for path in named if "NNNN" not in path and not (ROOT / path).exists()]


def test_the_delivery_schedule_is_the_published_one() -> None:
    """docs/reliability.md names every wait."""
    told = (ROOT / "docs/reliability.md").read_text("utf-8")
    units = (("h", 3600), ("min", 60), ("s", 1))
    for wait_s in delivery.RETRY_AFTER_S:
        unit, size = next(u for u in units if wait_s % u[1] == 0)
        assert f"{wait_s // size} {unit}" in told


def test_every_problem_of_a_check_says_what_and_where() -> None:
    """Codes are words with dashes, so that people can search for them."""
    codes = re.findall(r'Problem\(\s*"([\w-]+)"', text_of("bots"))

    assert Problem("a", "b").expression == ""
    assert codes
    assert [] == [code for code in codes if not re.fullmatch(r"[a-z]+(-[a-z]+)+", code)]


@pytest.mark.parametrize("page", DOCS, ids=lambda f: str(f.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Relative links and their anchors."""
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text("utf-8")):
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", there.read_text("utf-8"), re.MULTILINE)
            assert anchor in [h.lower().replace(" ", "-") for h in headings], target


def test_change_notes_have_their_form() -> None:
    """`yyyymmdd-slug.md`, one of six headings, one sentence."""
    for note in (ROOT / "docs/changes").glob("*.md"):
        head, _, body = note.read_text("utf-8").partition("\n\n")
        assert re.fullmatch(r"\d{8}-[a-z0-9-]+\.md", note.name)
        assert head.removeprefix("# ") in KINDS
        assert 1 == len(body.strip().splitlines())
        assert note.name in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_decisions_have_their_form() -> None:
    """Context, Decision, Alternatives, Consequences, Status."""
    for decision in (ROOT / "docs/adr").glob("*.md"):
        headings = re.findall(r"^## (.+)$", decision.read_text("utf-8"), re.MULTILINE)
        assert re.fullmatch(r"\d{6}-[a-z0-9-]+\.md", decision.name)
        assert ["Context", "Decision", "Alternatives", "Consequences", "Status"] == headings


def test_ci_runs_what_the_readme_says() -> None:
    """.ci/run calls the README's test command."""
    script = (ROOT / ".ci/run").read_text("utf-8")

    assert "\nmake lint\n" in script
    assert "\nmake test\n" in script
    assert "```sh\nmake test\n```" in (ROOT / "README.md").read_text("utf-8")
