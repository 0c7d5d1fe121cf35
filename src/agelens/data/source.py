"""The source of an import: a folder or an archive, read as one stream of files."""

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from agelens.data.archives import Limits, archive_kind, open_file, read_archive
from agelens.data.labels import is_picture
from agelens.errors import DatasetError, SourceError

Report = Callable[[str, int, int | None], None]  # called with the stage, files done, of how many

_EXPECTED = "a folder, .tar.gz, .tgz, .tar, .zip, .csv or .parquet of labelled pictures"


@dataclass(frozen=True, slots=True)
class Member:
    """One file of the source."""

    name: str  # path in the source, with `/`
    content: bytes
    problem: str = ""  # why there is no content


@dataclass(frozen=True, slots=True)
class Source:
    """A folder or an archive of pictures, known by its content and not by its place."""

    path: Path
    kind: str  # "folder", "tar", "tar.gz", "zip", or one table: "csv", "parquet"
    sha256: str  # of the archive, or of the folder's sorted names, sizes and label tables

    @classmethod
    def open(cls, path: Path) -> "Source":
        """Identify a source. Raises SourceError if missing, DatasetError if of no known kind."""
        if not path.exists():
            raise SourceError(f"no such file or folder: {str(path)!r}; expected {_EXPECTED}")
        if path.is_dir():
            return cls(path, "folder", _folder_digest(path))
        with open_file(path) as file:
            parquet = file.read(4) == b"PAR1"
        table = "csv" if path.suffix.lower() == ".csv" else None
        kind = "parquet" if parquet else table or archive_kind(path)
        if kind is None:
            raise DatasetError(
                f"{str(path)!r} is neither a folder nor an archive: expected {_EXPECTED}"
            )
        return cls(path, kind, _file_digest(path))

    def members(self, limits: Limits) -> Iterator[Member]:
        """Yield every visible file, always in the same order.

        Hidden files and what macOS adds to archives are left out; of a folder, files that are
        no pictures by name are not read. Raises ArchiveRefused and DatasetError as
        `read_archive` does, and SourceError for a file that cannot be read.
        """
        if self.kind == "folder":
            stream = _read_folder(self.path, limits)
        else:
            stream = (Member(*item) for item in read_archive(self.path, limits))
        return (member for member in stream if _visible(member.name))

    def survey(self, limits: Limits) -> Iterator[tuple[str, bytes]]:
        """Yield the visible files, an archive's .csv ones with content, and check it to its end."""
        if self.kind in ("csv", "parquet"):
            return
        if self.kind == "folder":
            yield from ((name, b"") for name, _ in _walk(self.path) if _visible(name))
            return
        held = 0
        for member in self.members(limits):
            table = member.name.lower().endswith(".csv")
            held += len(member.content) if table else 0
            if held > limits.tables_bytes:
                raise DatasetError(
                    f"the .csv files in {str(self.path)!r} are over the limit of "
                    f"{limits.tables_bytes:,} bytes: unpack the archive and import the folder"
                )
            yield member.name, member.content if table else b""


def _visible(name: str) -> bool:
    parts = name.split("/")
    return "__MACOSX" not in parts and not any(part.startswith(".") for part in parts)


def _walk(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield (path below the folder with `/`, path) of its files; links to folders end there."""

    def stop(error: OSError) -> None:
        raise SourceError(f"cannot read {error.filename!r}: {error.strerror}") from error

    for place, folders, files in os.walk(folder, onerror=stop):
        folders.sort()
        for file in sorted(files):
            path = Path(place, file)
            yield path.relative_to(folder).as_posix(), path


def _read_folder(folder: Path, limits: Limits) -> Iterator[Member]:
    for name, path in _walk(folder):
        if not is_picture(name):
            yield Member(name, b"", "not read")
        elif not path.is_file():
            yield Member(name, b"", "not a plain file, or a broken link")
        else:
            with open_file(path) as file:
                size = os.fstat(file.fileno()).st_size
                content = file.read() if size <= limits.member_bytes else b""
            large = f"{size:,} bytes: over the limit of {limits.member_bytes:,}"
            yield Member(name, content, large if size > limits.member_bytes else "")


def _file_digest(path: Path) -> str:
    with open_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _folder_digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for name, path in _walk(folder):
        size = path.stat().st_size if path.is_file() else -1
        digest.update(f"{name}\0{size}\n".encode(errors="surrogateescape"))
        if size >= 0 and name.lower().endswith(".csv"):  # labels change without the size
            digest.update(_file_digest(path).encode())
    return digest.hexdigest()
