"""Write files whole or not at all, and record what an interrupted import or alignment has done."""

import csv
import io
import json
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Generic, TypeVar

from agelens.errors import DatasetError

if TYPE_CHECKING:
    import polars as pl


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file beside its place, flush it to the disk, and move it into its place."""
    partial = path.with_name(path.name + ".tmp")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def write_json(path: Path, value: Any) -> None:
    """Write a value as readable JSON."""
    write_atomic(path, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())


def write_csv(path: Path, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write a CSV file in UTF-8. Undecodable bytes of a name are written by their numbers."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    write_atomic(path, text.getvalue().encode(errors="backslashreplace"))


def read_rejects(folder: Path) -> dict[str, str]:
    """Read the reasons in `rejects.csv`, by file. Raises OSError."""
    with (folder / "rejects.csv").open(encoding="utf-8", newline="") as file:
        return {row["file"]: row["reason"] for row in csv.DictReader(file)}


def write_parquet(path: Path, table: "pl.DataFrame") -> None:
    """Write a Parquet file."""
    content = io.BytesIO()
    table.write_parquet(content)
    write_atomic(path, content.getvalue())


def read_object(file: Path) -> dict[str, Any]:
    """Read a JSON object; {} where there is no such file or it holds something else."""
    with suppress(OSError, UnicodeDecodeError):
        return _parsed(file.read_text("utf-8"))
    return {}


def _parsed(text: str) -> dict[str, Any]:
    with suppress(ValueError):
        if isinstance(value := json.loads(text), dict):
            return value
    return {}


@contextmanager
def resumable(target: Path) -> Iterator[None]:
    """Turn an OSError into a DatasetError that says to run the command again."""
    try:
        yield
    except OSError as error:
        raise DatasetError(
            f"cannot write {error.filename or str(target)!r}: {error.strerror or error}; "
            "mend that and run the same command again to go on"
        ) from error


def is_finished(dest: Path, about: str, journal: str, kind: str = "") -> bool:
    """Return whether DEST is complete, as the file `about` says that is written last.

    Raises DatasetError when it is a file, or not `kind` and holds more than a journal of what was
    begun.
    """
    if dest.exists() and not dest.is_dir():
        raise DatasetError(f"{str(dest)!r} is a file: expected a new or empty folder")
    if (dest / about).is_file():
        return True
    if not (dest / journal).is_dir() and dest.is_dir() and any(dest.iterdir()):
        raise DatasetError(f"{str(dest)!r} is not empty{kind}: choose a new folder")
    return False


@dataclass(frozen=True, slots=True)
class JournalEntry(ABC):
    """The outcome of one file of a source, in JSON values."""

    number: int  # place in the source, from 0; an archive may hold one name several times

    @abstractmethod
    def is_stored(self, folder: Path) -> bool:
        """Return whether the files that came of it stand whole in the output folder."""


Entry = TypeVar("Entry", bound=JournalEntry)


class Journal(Generic[Entry]):
    """An open journal; `entries` has, by number, what is done, in order.

    It has one JSON line for each file of the source, written after the files that came of it are
    stored. A line that was cut off, or whose files are missing, does not count.
    """

    def __init__(
        self, folder: Path, output: Path, kind: type[Entry], source: Mapping[str, str],
        check: Callable[[Mapping[str, Any]], None],
    ) -> None:  # fmt: skip
        """Start a journal in a folder of its own, or resume the one that is there.

        `output` is where the entries' files go. `source` describes what is read; of a resumed
        journal, `check` gets the description that it was started with ({} when unreadable), to
        raise an error where that is another source.
        """
        self._folder, self._output, self._kind = folder, output, kind
        started, file = folder / "source.json", folder / "journal.jsonl"
        if started.is_file():
            check(read_object(started))
        else:
            folder.mkdir(parents=True, exist_ok=True)
            output.mkdir(exist_ok=True)
            write_atomic(started, json.dumps(source).encode())
        self.entries = {entry.number: entry for entry in self._read(file)}
        # Written anew, so that a cut-off last line cannot swallow the next one.
        write_atomic(file, "".join(map(_line, self.entries.values())).encode())
        self._file: IO[str] = file.open("a", encoding="utf-8")

    def _read(self, file: Path) -> Iterator[Entry]:
        names = {field.name for field in fields(self._kind)}
        lines = file.read_text("utf-8", errors="replace").splitlines() if file.is_file() else []
        for values in map(_parsed, lines):
            if values.keys() == names and (entry := self._kind(**values)).is_stored(self._output):
                yield entry

    def add(self, entry: Entry, files: Mapping[str, bytes] | None = None) -> None:
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


def _line(entry: JournalEntry) -> str:
    return json.dumps(asdict(entry)) + "\n"
