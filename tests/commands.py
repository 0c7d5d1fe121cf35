"""The commands of agelens, run in the process of the test."""

from typing import Any

from typer.testing import CliRunner

from agelens.cli.app import app


def invoke(*words: object) -> Any:
    return CliRunner().invoke(app, [*map(str, words)])
