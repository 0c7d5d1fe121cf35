import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from agelens import __version__
from agelens.cli.app import GROUPS, app

REFERENCE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text("utf-8")


def commands(command, name: str) -> Iterator[tuple[str, object]]:
    yield name, command
    for word, child in getattr(command, "commands", {}).items():
        yield from commands(child, f"{name} {word}")


EVERY = list(commands(typer.main.get_command(app), "agelens"))
each_command = pytest.mark.parametrize(("name", "command"), EVERY, ids=[name for name, _ in EVERY])


def test_version_and_help(agelens) -> None:
    assert agelens("--version").stdout.strip() == f"agelens {__version__}"
    text = agelens("--help").stdout
    assert text.index("Use a model") < text.index("Prepare data") < text.index("Make a model")
    places = [text.index(f"│ {name} ") for names in GROUPS.values() for name in names]
    assert places == sorted(places)
    example = "agelens data import UTKFace.tar.gz utkface"
    assert example in agelens("data", "import", "--help").stdout


@pytest.mark.parametrize(
    ("words", "meant"),
    [(["predcit"], "'predict'"), (["predict", "a.jpg", "--fromat", "csv"], "--format")],
)
def test_a_typo_ends_with_2_and_a_suggestion(agelens, words: list[str], meant: str) -> None:
    done = agelens(*words)
    assert done.returncode == 2 and meant in done.stderr


def examples(command) -> list[str]:
    parts = re.split(r"^\[bold\]Examples?\[/\]$", command.help or "", flags=re.M)
    assert len(parts) == 2, "expected one line [bold]Examples[/]"
    text = re.sub(r"\\\n\s*", "", parts[1].replace("\b", ""))
    lines = [line.strip() for line in text.strip().splitlines()]
    return [line for line in lines if line.startswith("agelens ")]


@each_command
def test_help_has_examples_that_are_valid_calls(name: str, command) -> None:
    lines = examples(command)
    assert any(f"{line} ".startswith(f"{name} ") for line in lines), f"{name} shows no example"
    for line in lines:
        words = shlex.split(line.partition(" > ")[0])[1:]
        target = EVERY[0][1]
        while words and words[0] in getattr(target, "commands", {}):
            target = target.commands[words.pop(0)]
        try:
            target.make_context(line, words).close()
        except typer.BadParameter as error:  # of a path that is not there, no more can be asked
            assert "does not exist" in str(error), f"{line}: {error}"
    result = CliRunner().invoke(app, [*name.split()[1:], "--help"])
    assert result.exit_code == 0 and "Usage:" in result.stdout
    if not hasattr(command, "commands"):
        options = {word for p in command.params for word in p.opts}
        assert {"--quiet", "-q", "--json-logs"} <= options


@each_command
def test_every_command_is_in_the_reference(name: str, command) -> None:
    section = re.search(rf"^#+ `{name}`$(.*?)(?=^#+ `|\Z)", REFERENCE, re.M | re.S)
    assert section, f"{name} is not in docs/cli.md: run  make docs"
    shown = [p for p in command.params if not getattr(p, "hidden", False)]
    options = [word for p in shown for word in p.opts if word.startswith("--")]
    missing = [option for option in options if option not in section[1]]
    assert not missing, f"{name} {missing} are not in docs/cli.md: run  make docs"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_offers_commands_and_options(shell: str) -> None:
    def complete(words: str) -> str:
        environment = {
            "_AGELENS_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_ARGS": words,
            "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1),
            "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        }  # fmt: skip
        done = CliRunner().invoke(app, [], env=environment, prog_name="agelens")
        assert done.exit_code == 0, done.output
        return done.stdout

    offered = complete("agelens pre")
    assert "predict" in offered and "serve" not in offered
    assert "--annotate" in complete("agelens predict --ann")
    assert "out-of-fold" in complete("agelens data out")
