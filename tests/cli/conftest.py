import signal
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import TypeAlias

import pytest

from agelens.cli import app as command_line
from agelens.cli import console

Run: TypeAlias = tuple[int, str, str]


@pytest.fixture
def agelens(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., "CompletedProcess[str]"]:
    """Run `agelens WORDS...` as a process would, with its exit code and what it printed."""

    def run(*words: object) -> "CompletedProcess[str]":
        argv = ["agelens", *map(str, words)]
        monkeypatch.setattr(sys, "argv", argv)
        handler = signal.getsignal(signal.SIGINT)
        try:
            with pytest.raises(SystemExit) as end:
                command_line.main()
                raise SystemExit(0)
        finally:
            signal.signal(signal.SIGINT, handler)
            console.configure(quiet=False, json_logs=False)
        return CompletedProcess(argv, int(end.value.code or 0), *capsys.readouterr())

    return run


@pytest.fixture
def clip(tmp_path: Path, astronaut) -> Path:
    """Film a head that walks through nine frames in 0.8 s, with sound."""
    from filmed import film, head_of, moving

    frames = moving([head_of(astronaut)], lambda i: [(90 + 12 * i, 120)], 9)
    return film(tmp_path / "clip.mp4", frames, sound="aac", options={"movflags": "faststart"})


@pytest.fixture
def run(request: pytest.FixtureRequest, agelens, tiny_model: Path) -> Callable[..., Run]:
    """Run the module's COMMAND with the tiny model; return (exit code, out, err)."""

    def call(*words: object) -> Run:
        done = agelens(request.module.COMMAND, "--model", tiny_model, "--threads", "1", *words)
        return done.returncode, done.stdout, done.stderr

    return call
