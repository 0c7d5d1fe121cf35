"""Record what an import or an alignment has done, so that an interrupted one resumes.

A journal has one JSON line for each file of the source, written after the files that came of it
are stored. A line that was cut off, or whose files are missing, does not count.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import IO, Any, Generic, Protocol, TypeVar

from agelens.data.atomic_files import write_atomic


class Entry(Protocol):
    """The outcome of one file of the source: a dataclass of JSON values."""

    @property
    def number(self) -> int:
        """Place in the source, from 0."""
        ...

    def is_stored(self, folder: Path) -> bool:
        """Return whether the files that came of it stand whole in the output folder."""
        ...


AnyEntry = TypeVar("AnyEntry", bound=Entry)


class Journal(Generic[AnyEntry]):
    """An open journal; `entries` has, by number, what is done, in order."""

    def __init__(
        self, folder: Path, output: Path, kind: type[AnyEntry], source: Mapping[str, str],
        check: Callable[[Mapping[str, Any]], None],
    ) -> None:  # fmt: skip
        """Start a journal in a folder of its own, or resume the one that is there.

        `kind` is the class of its entries, `output` where their files go. `source` describes what
        is read; of a resumed journal, `check` gets the description that it was started with (empty
        when unreadable), to raise an error where that is another source.
        """
        self._folder, self._output, self._kind = folder, output, kind
        started, file = folder / "source.json", folder / "journal.jsonl"
        if started.is_file():
            check(_read_object(started.read_text("utf-8")))
        else:
            folder.mkdir(parents=True, exist_ok=True)
            output.mkdir(exist_ok=True)
            write_atomic(started, json.dumps(source).encode())
        self.entries = {entry.number: entry for entry in self._read(file)}
        # Written anew, so that a cut-off last line cannot swallow the next one.
        write_atomic(file, "".join(map(_line, self.entries.values())).encode())
        self._file: IO[str] = file.open("a", encoding="utf-8")

    def _read(self, file: Path) -> Iterator[AnyEntry]:
        names = {field.name for field in fields(self._kind)}  # type: ignore[arg-type]
        lines = file.read_text("utf-8", errors="replace").splitlines() if file.is_file() else []
        for values in map(_read_object, lines):
            if values.keys() == names:
                entry = self._kind(**values)
                if entry.is_stored(self._output):
                    yield entry

    def add(self, entry: AnyEntry, files: Mapping[str, bytes] | None = None) -> None:
        """Store files, by their names in the output folder, then record the entry."""
        for name, content in (files or {}).items():
            target = self._output / name
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = self._folder / f"file-{os.getpid()}.tmp"
            partial.write_bytes(content)
            partial.replace(target)
        self._file.write(_line(entry))
        self._file.flush()
        self.entries[entry.number] = entry

    def close(self) -> None:
        """Close the journal, which stays."""
        self._file.close()

    def remove(self) -> None:
        """Delete the journal, once everything is done."""
        self.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def _line(entry: Entry) -> str:
    return json.dumps(asdict(entry)) + "\n"  # type: ignore[call-overload]


def _read_object(text: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
