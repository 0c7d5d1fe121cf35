"""Documentation that can go stale: commands, the tree in the README, links, figures."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from agelens.cli.app import app

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").glob("*.md")),
]


def commands() -> list[tuple[str, list[str]]]:
    """Give every command's full name with its long options."""
    found = []

    def walk(command, name: str) -> None:
        options = [
            word
            for p in command.params
            if not getattr(p, "hidden", False)
            for word in p.opts
            if word.startswith("--")
        ]
        found.append((name, options))
        for word, child in getattr(command, "commands", {}).items():
            walk(child, f"{name} {word}")

    walk(typer.main.get_command(app), "agelens")
    return found


@pytest.mark.parametrize(("name", "options"), commands(), ids=lambda value: str(value)[:30])
def test_every_command_is_in_the_reference(name: str, options: list[str]) -> None:
    reference = (ROOT / "docs" / "cli.md").read_text("utf-8")
    section = re.search(rf"^#+ `{name}`$(.*?)(?=^#+ `|\Z)", reference, re.M | re.S)
    assert section, f"{name} is not in docs/cli.md: run  make docs"
    missing = [option for option in options if option not in section[1]]
    assert not missing, f"{name} {missing} are not in docs/cli.md: run  make docs"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text("utf-8")):
        if not target.startswith(("http:", "https:", "mailto:")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_tables_say_what_the_result_files_say() -> None:
    script = ROOT / "benchmarks" / "tables.py"
    done = subprocess.run(
        [sys.executable, script, "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
