"""Every command's help: examples that can be typed, and shell completion."""

import re
import shlex

import pytest
import typer
from typer.testing import CliRunner

from agelens.cli.app import app


def commands() -> list[tuple[str, object]]:
    """Give every command and group with its full name."""
    found = []

    def walk(command, name: str) -> None:
        found.append((name, command))
        for word, child in getattr(command, "commands", {}).items():
            walk(child, f"{name} {word}")

    walk(typer.main.get_command(app), "agelens")
    return found


EVERY = commands()
NAMES = [name for name, _ in EVERY]


def examples(command) -> list[str]:
    """Give the lines under "Examples", a line that ends in a backslash with the next."""
    parts = re.split(r"^\[bold\]Examples?\[/\]$", command.help or "", flags=re.M)
    assert len(parts) == 2, "expected one line [bold]Examples[/]"
    text = re.sub(r"\\\n\s*", "", parts[1].replace("\b", ""))
    lines = [line.strip() for line in text.strip().splitlines()]
    return [line for line in lines if line.startswith("agelens ")]


@pytest.mark.parametrize(("name", "command"), EVERY, ids=NAMES)
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
    assert result.exit_code == 0
    assert "Usage:" in result.stdout
    if not hasattr(command, "commands"):
        options = {word for p in command.params for word in p.opts}
        assert {"--quiet", "-q", "--json-logs"} <= options


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_offers_commands_and_options(shell: str) -> None:
    def complete(words: str) -> str:
        environment = {
            "_AGELENS_COMPLETE": f"complete_{shell}",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split(" ")) - 1),
            "_TYPER_COMPLETE_ARGS": words,
            "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        }
        done = CliRunner().invoke(app, [], env=environment, prog_name="agelens")
        assert done.exit_code == 0, done.output
        return done.stdout

    offered = complete("agelens pre")
    assert "predict" in offered and "serve" not in offered
    assert "--annotate" in complete("agelens predict --ann")
    assert "out-of-fold" in complete("agelens data out")


def test_the_completion_script_can_be_shown(monkeypatch) -> None:
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    result = CliRunner().invoke(app, ["--show-completion", "zsh"], prog_name="agelens")
    assert result.exit_code == 0
    assert "#compdef agelens" in result.stdout
