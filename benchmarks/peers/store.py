"""Answers that are computed once: each peer's in a file, one line for each face.

The first line is what the peer reports of itself. An incomplete file is continued, so a
run can be stopped at any face, and a few faces can be answered before the others.
"""

import fcntl
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import runner
from comparison import Answers, Faces
from rich.progress import Progress
from runner import BORDERS, Border, Peer


@dataclass(frozen=True, slots=True)
class Trial:
    """How a peer does with one border."""

    found: float  # share of faces
    age_mae: float | None  # years, of those; None where none is found


class AnswerStore:
    """The answers of all peers in a folder."""

    def __init__(self, folder: Path, commands: dict[str, list[str]], progress: Progress) -> None:
        """Make the folder; `commands` are those of the peers, by name."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._commands, self._progress = folder, commands, progress

    def answers(
        self, peer: Peer, faces: Faces, border: Border, count: int | None = None
    ) -> tuple[dict[str, Any], Answers]:
        """Return what a peer reports of itself and its answers, running it for what is not kept.

        With `count` of the first ones only.
        """
        file, count = self._file(peer, faces, border), count or len(faces)
        if len(_whole_lines(file)) < count + 1:
            with file.open("a", encoding="utf-8") as kept:
                try:
                    fcntl.flock(kept, fcntl.LOCK_EX | fcntl.LOCK_NB)  # until it is closed
                except OSError as error:
                    raise runner.PeerFailed(
                        f"{peer.name} is being run by another process that keeps its answers in "
                        f"{str(self._folder)!r}: wait for it, or give another --work"
                    ) from error
                lines = _whole_lines(file)
                kept.truncate(len("".join(lines).encode()))  # the start of a line
                self._run(peer, faces, border, kept, max(len(lines) - 1, 0), count)
        lines = _whole_lines(file)
        about, *answers = (json.loads(line) for line in lines[: count + 1])
        return about, Answers.read(answers)

    def trials(self, peer: Peer, faces: Faces) -> dict[Border, Trial]:
        """Return how a peer does with each border, up to a width with which it misses no face."""
        trials: dict[Border, Trial] = {}
        for border in BORDERS:
            enough = any(trial.found == 1 for trial in trials.values())
            if enough and border.share > max(tried.share for tried in trials):
                break
            answers = self.answers(peer, faces, border)[1]
            error = np.abs(answers.age - faces.age)[~np.isnan(answers.age)]
            mae = float(error.mean()) if len(error) else None
            trials[border] = Trial(float(answers.found.mean()), mae)
        return trials

    def _run(
        self, peer: Peer, faces: Faces, border: Border, kept: TextIO, start: int, stop: int
    ) -> None:
        task = self._progress.add_task(f"{peer.name}, border {border}", total=stop, completed=start)
        answers = runner.answers(self._commands[peer.name], faces.chips(start, stop), border)
        about = next(answers)
        if not start:
            kept.seek(0)
            kept.truncate()  # there may be a first line without an answer
            kept.write(json.dumps(about) + "\n")
        for answer in answers:
            kept.write(json.dumps(answer) + "\n")
            kept.flush()
            self._progress.advance(task)
        self._progress.remove_task(task)

    def _file(self, peer: Peer, faces: Faces, border: Border) -> Path:
        """Name the file: another program, border, version or set of faces has another one."""
        key = [peer.program, str(border), faces.digest, peer.pins]
        digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:12]
        return self._folder / f"{re.sub('[^a-z0-9]+', '-', peer.name.lower())}-{digest}.jsonl"


def best(trials: dict[Border, Trial]) -> Border:
    """Choose the border with which most faces are found; of several, that of the best ages."""
    return max(trials, key=lambda border: (trials[border].found, -(trials[border].age_mae or 0)))


def _whole_lines(file: Path) -> list[str]:
    """Read the lines that were written to their ends, with these ends."""
    if not file.is_file():
        return []
    text = file.read_text("utf-8")
    return text[: text.rfind("\n") + 1].splitlines(keepends=True)
