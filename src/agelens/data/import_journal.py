"""What an import has done so far, so that an interrupted one goes on.

One JSON line for each file of the source, written after the picture itself stands in
`images/`. A line that was cut off, or whose picture is missing, counts for nothing.
"""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from agelens.data.source import Origin
from agelens.errors import DatasetError

_FOLDER = ".import"


@dataclass(frozen=True, slots=True)
class Entry:
    """What became of one file of the source; exactly one of `file`, `copy_of`, `reason` is set."""

    number: int  # place in the source, from 0; an archive may hold one name several times
    name: str  # path in the source
    file: str | None = None  # taken as images/<file>
    width: int = 0  # pixels
    height: int = 0  # pixels
    size: int = 0  # bytes
    sha256: str = ""
    copy_of: str | None = None  # the same name and bytes were taken before, from this path
    reason: str | None = None  # rejected
    age: int = 0  # years; of a sample, as in the dataset's table
    gender: str | None = None
    race: str | None = None
    age_low: int | None = None
    age_high: int | None = None
    subject: str | None = None


class Journal:
    """The open journal of one import; `entries` has, by number, what is done, in order."""

    def __init__(self, dest: Path, origin: Origin) -> None:
        """Begin the import into DEST, or go on with it.

        Raises DatasetError when DEST holds something else or an import of another source.
        """
        self._folder = dest / _FOLDER
        self._images = dest / "images"
        about = {"sha256": origin.sha256, "name": origin.path.name}
        started = self._folder / "source.json"
        if started.is_file():
            before = _read_object(started.read_text("utf-8"))
            if before.get("sha256") != origin.sha256:
                raise DatasetError(
                    f"{str(dest)!r} holds an unfinished import of another source, "
                    f"{before.get('name')!r}: choose another folder, or delete this one"
                )
        else:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._images.mkdir(exist_ok=True)
            write_whole(started, json.dumps(about).encode())
        path = self._folder / "journal.jsonl"
        self.entries = self._read(path)
        # Written anew, so that a cut-off last line cannot swallow the next one.
        lines = (json.dumps(asdict(entry)) + "\n" for entry in self.entries.values())
        write_whole(path, "".join(lines).encode())
        self._file: IO[str] = path.open("a", encoding="utf-8")

    def _read(self, path: Path) -> dict[int, Entry]:
        if not path.is_file():
            return {}
        entries = {}
        for line in path.read_text("utf-8", errors="replace").splitlines():
            fields = _read_object(line)
            if fields.keys() != Entry.__dataclass_fields__.keys():
                continue
            entry = Entry(**fields)
            if entry.file is None or self._stands(entry):
                entries[entry.number] = entry
        return entries

    def _stands(self, entry: Entry) -> bool:
        try:
            return (self._images / str(entry.file)).stat().st_size == entry.size
        except OSError:
            return False

    def add(self, entry: Entry, content: bytes | None = None) -> None:
        """Record what became of one file; `content` is stored first if it was taken."""
        if entry.file is not None and content is not None:
            waiting = self._folder / f"picture-{os.getpid()}.tmp"
            waiting.write_bytes(content)
            waiting.replace(self._images / entry.file)
        self._file.write(json.dumps(asdict(entry)) + "\n")
        self._file.flush()
        self.entries[entry.number] = entry

    def close(self) -> None:
        """Close the file; what it says stays."""
        self._file.close()

    def remove(self) -> None:
        """Forget the journal, once the import is complete."""
        self.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is either the old one or the whole new one, even after a crash."""
    waiting = path.with_name(path.name + ".tmp")
    with waiting.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    waiting.replace(path)


def _read_object(line: str) -> Mapping[str, Any]:
    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
