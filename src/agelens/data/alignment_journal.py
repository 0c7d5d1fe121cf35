"""What `agelens data align` has done so far, so that a stopped run goes on."""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from agelens.data.import_journal import write_whole
from agelens.errors import DatasetError


@dataclass(frozen=True, slots=True)
class Done:
    """What became of one picture: a row of chips.csv for each chip, or a reason for none."""

    number: int  # place in the source, from 0
    picture: str
    rows: list[list[Any]] = field(default_factory=list)
    reason: str | None = None


def check_same(dest: Path, facts: dict[str, Any], about: dict[str, str]) -> None:
    """Raise DatasetError where `facts` that were found in DEST are of another source."""
    for name in ("sha256", "faces"):
        if facts[name] != about[name]:
            raise DatasetError(
                f"{str(dest)!r} holds chips of {facts['source']!r} ({facts['faces']} faces), not "
                f"of {about['source']!r} ({about['faces']} faces) as it is now: "
                "choose another folder, or delete this one"
            )


class Journal:
    """One JSON line for each picture done, written after its chips."""

    def __init__(self, dest: Path, about: dict[str, str]) -> None:
        self.chips = dest / "chips"
        self._folder = dest / ".align"
        started = self._folder / "source.json"
        if started.is_file():
            try:
                facts = json.loads(started.read_text("utf-8"))
                check_same(dest, facts, about)
            except (ValueError, KeyError, TypeError) as error:
                raise DatasetError(
                    f"cannot read {str(started)!r}: delete {str(dest)!r} and align again"
                ) from error
        else:
            self._folder.mkdir(parents=True, exist_ok=True)
            self.chips.mkdir(exist_ok=True)
            write_whole(started, json.dumps(about).encode())
        path = self._folder / "journal.jsonl"
        self.done = {one.number: one for one in self._read(path)}
        lines = (json.dumps(asdict(one)) + "\n" for one in self.done.values())
        write_whole(path, "".join(lines).encode())
        self._file: IO[str] = path.open("a", encoding="utf-8")

    def _read(self, path: Path) -> Iterator[Done]:
        for line in path.read_text("utf-8").splitlines() if path.is_file() else ():
            try:
                one = Done(**json.loads(line))
            except (ValueError, TypeError):  # cut off
                continue
            if all((self.chips / row[0]).is_file() for row in one.rows):
                yield one

    def add(self, one: Done, contents: list[bytes]) -> None:
        """Store the chips of a picture, then its line."""
        for row, content in zip(one.rows, contents, strict=True):
            target = self.chips / row[0]
            target.parent.mkdir(parents=True, exist_ok=True)
            waiting = self._folder / f"chip-{os.getpid()}.tmp"
            waiting.write_bytes(content)
            waiting.replace(target)
        self._file.write(json.dumps(asdict(one)) + "\n")
        self._file.flush()
        self.done[one.number] = one

    def close(self) -> None:
        """Stop writing; the journal stays."""
        self._file.close()

    def remove(self) -> None:
        """Delete the journal, once the tables are written."""
        shutil.rmtree(self._folder, ignore_errors=True)
