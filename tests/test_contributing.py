"""CONTRIBUTING.md tells the truth: its diagram, its table, its checks, and how to add a part."""

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text("utf-8")


def contract_layers() -> list[set[str]]:
    """Give the layers of import-linter's contract, lowest first."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    (layers,) = (
        c["layers"] for c in contracts["contracts"] if c["name"] == "layers of the package"
    )
    return [
        {name.strip().removeprefix("agelens.") for name in layer.split("|")} for layer in layers
    ][::-1]


def test_the_diagram_shows_the_layers_of_the_contract() -> None:
    (diagram,) = re.findall(r"```mermaid\n(.*?)```", GUIDE, re.S)
    drawn = [
        set(body.split())
        for body in re.findall(r"subgraph layer\d+ \[\d+\]\n(.*?)end", diagram, re.S)
    ]
    assert [layer - {"__main__"} for layer in contract_layers() if layer != {"__main__"}] == drawn
    arrows = [f"layer{number}" for number in range(1, len(drawn) + 1)]
    assert " --> ".join(arrows) in diagram


def test_the_top_of_the_package_has_at_most_eight_files_and_21_rooms_on_nine_layers() -> None:
    package = ROOT / "src" / "agelens"
    files = list(package.glob("*.py"))
    packages = [folder for folder in package.iterdir() if (folder / "__init__.py").exists()]
    assert len(files) <= 8
    assert len(files) + len(packages) <= 21
    assert len([layer for layer in contract_layers() if layer != {"__main__"}]) <= 9
    placed = set().union(*contract_layers()) | {"__init__"}
    assert {path.stem for path in files} | {folder.name for folder in packages} == placed


def test_the_table_of_places_names_what_is_there() -> None:
    (table,) = re.findall(r"\| you change \| look in \|\n\|---\|---\|\n(.*?)\n\n", GUIDE, re.S)
    named = [
        place for row in table.splitlines() for place in re.findall(r"`([^`]+)`", row.split("|")[2])
    ]
    assert len(named) > 15
    for place in named:
        assert list((ROOT / "src" / "agelens").glob(place.rstrip("/"))), place


def test_pre_commit_runs_the_checks_of_make() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))
    entries = [hook["entry"] for repo in config["repos"] for hook in repo["hooks"]]
    makefile = (ROOT / "Makefile").read_text("utf-8")
    (recipe,) = re.findall(r"^check:.*\n((?:\t.*\n)+)", makefile, re.M)
    checks = [re.sub(r" \.$", "", line.strip()) for line in recipe.splitlines()]
    assert [check.replace("$(BIN)", ".venv/bin") for check in checks] == entries


def test_every_package_says_what_is_in_it_and_what_it_may_import() -> None:
    for init in (ROOT / "src" / "agelens").rglob("__init__.py"):
        if init.parent.name != "agelens":
            text = init.read_text("utf-8").split('"""')[1].strip()
            assert len(text.splitlines()) >= 2, init
