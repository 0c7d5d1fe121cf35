"""Read .tar, .tar.gz, .tgz and .zip as a stream of (name, bytes), and refuse what is unsafe.

Nothing is unpacked to where a name says. Bytes are counted as they come out of the decompressor.
"""

import gzip
import re
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import IO, Any, Literal, Self

from agelens.errors import AgelensError, ArchiveRefused, DatasetError, SourceError

_HEADER_BYTES = 2**20  # what may lie between two members of a tar: far more than any real header
_CHUNK = 2**18


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that an archive may hold."""

    files: int = 1_000_000
    total_bytes: int = 64 * 2**30
    member_bytes: int = 64 * 2**20
    expansion: int = 100  # times the archive's own size, once above `free_bytes`
    free_bytes: int = 2**28
    tables_bytes: int = 2**28  # of label tables, which are held in memory

    def total_for(self, archive_bytes: int) -> int:
        """Return the bytes that may come out of an archive of this size."""
        return min(self.total_bytes, max(self.free_bytes, self.expansion * archive_bytes))


@contextmanager
def open_file(path: Path) -> Iterator[BufferedReader]:
    """Open a file to read. Raises SourceError, saying why, when that fails."""
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise SourceError(f"cannot read {str(path)!r}: {error.strerror or error}") from error


def archive_kind(path: Path) -> Literal["tar", "tar.gz", "zip"] | None:
    """Return what kind of archive a file is by its first bytes; None if it is none of ours."""
    with open_file(path) as file:
        head = file.read(512)
    if head.startswith(b"\x1f\x8b"):
        return "tar.gz"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    return "tar" if head[257:262] == b"ustar" else None


def read_archive(path: Path, limits: Limits | None = None) -> Iterator[tuple[str, bytes]]:
    """Yield the regular files of an archive as (path with `/`, content), in its order.

    Reads to the very end, so that a full pass without an error vouches for the whole archive.
    Raises ArchiveRefused, naming the member, for paths that leave the folder, absolute paths,
    links, devices, and more files or bytes than the limits allow, and DatasetError for what is not
    an archive or is damaged.
    """
    limits = limits or Limits()
    kind = archive_kind(path)
    if kind is None:
        raise DatasetError(
            f"{str(path)!r} is not an archive: expected a .tar.gz, .tgz, .tar or .zip file"
        )
    try:
        if kind == "zip":
            yield from _read_zip(path, limits)
        else:
            yield from _read_tar(path, limits, compressed=kind == "tar.gz")
    except AgelensError:
        raise
    except Exception as error:  # on hostile bytes the standard readers raise of many kinds
        raise DatasetError(
            f"cannot read the archive {str(path)!r}: it is damaged or cut short ({error}); "
            "get it again"
        ) from error


def safe_name(name: str) -> str:
    """Return a member's path with `/` between plain parts. Raises ArchiveRefused if unsafe."""
    path = name.replace("\\", "/")
    parts = path.split("/")
    if path.startswith("/") or re.match(r"[A-Za-z]:", path):
        raise _refused(name, "has an absolute path")
    if ".." in parts:
        raise _refused(name, "has a path that leaves the folder")
    if "\0" in name:
        raise _refused(name, "has a zero byte in its name")
    return "/".join(part for part in parts if part not in ("", "."))


def _refused(name: str, why: str) -> ArchiveRefused:
    return ArchiveRefused(f"archive refused: member {name!r} {why}; nothing of it was taken")


def _checked(count: int, name: str, size: int, problem: str, limits: Limits) -> str:
    if count > limits.files:
        raise _refused(name, f"is one more than the limit of {limits.files:,} members")
    safe = safe_name(name)
    if problem:
        raise _refused(name, problem)
    if size > limits.member_bytes:
        table = name.lower().endswith((".csv", ".parquet"))
        hint = " (unpack the archive yourself and import this table)" if table else ""
        limit = f"{limits.member_bytes:,} bytes for one member"
        raise _refused(name, f"is over the limit of {limit}{hint}")
    return safe


def _check_total(total: int, name: str, allowed: int) -> None:
    if total > allowed:
        raise _refused(
            name, f"takes the archive over the limit of {allowed:,} bytes, as a zip bomb would"
        )


def _read_zip(path: Path, limits: Limits) -> Iterator[tuple[str, bytes]]:
    allowed = limits.total_for(path.stat().st_size)
    total = 0
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        for count, member in enumerate(members, 1):
            _checked(count, member.orig_filename, member.file_size, _zip_problem(member), limits)
        for member in members:
            if member.is_dir():
                continue
            # The reader stops at the declared size and checks the CRC there, so neither a
            # wrong size nor overlapping members give more bytes than are counted here.
            with archive.open(member) as file:
                content = file.read(limits.member_bytes + 1)
            total += len(content)
            _check_total(total, member.filename, allowed)
            if len(content) != member.file_size:
                raise zipfile.BadZipFile(f"{member.filename!r} is shorter than declared")
            yield safe_name(member.filename), content


def _zip_problem(member: zipfile.ZipInfo) -> str:
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind == stat.S_IFLNK:
        return "is a link"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a device or a pipe"
    if member.flag_bits & 0x1:
        return "is encrypted"
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # The other decompressors cannot be made to stop after so many bytes.
        return f"is compressed by method {member.compress_type}, not by deflate"
    return ""


class _Header(tarfile.TarInfo):
    """A member's header, whose defects end the reading; tarfile takes some for the end."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        header = super().frombuf(buf, encoding, errors)
        if header.size < 0:
            raise tarfile.ReadError("negative size")
        return header

    @classmethod
    def fromtarfile(cls, tarfile_: tarfile.TarFile) -> Self:
        try:
            header = super().fromtarfile(tarfile_)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]  # the block of zeros
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error)) from error
        if header.size < 0:
            raise tarfile.ReadError("negative size")
        return header


class _Counted:
    def __init__(self, file: IO[bytes] | gzip.GzipFile, allowed: int) -> None:
        self._file, self._allowed, self._total = file, allowed, 0
        self.left = _HEADER_BYTES
        self.name = "(first)"  # the latest member known by name

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self._total += len(data)
        self.left -= len(data)
        _check_total(self._total, self.name, self._allowed)
        if self.left < 0:
            raise _refused(self.name, f"is followed by a header of over {_HEADER_BYTES:,} bytes")
        return data


def _read_tar(path: Path, limits: Limits, *, compressed: bool) -> Iterator[tuple[str, bytes]]:
    with path.open("rb") as raw:
        file: Any = gzip.GzipFile(fileobj=raw) if compressed else raw
        allowed = limits.total_for(path.stat().st_size)
        counted = _Counted(file, allowed + _HEADER_BYTES)
        stream: Any = counted  # the stream mode only calls its read method
        with tarfile.open(fileobj=stream, mode="r|", tarinfo=_Header) as archive:
            count = total = 0
            while (member := archive.next()) is not None:
                count += 1
                counted.name = member.name
                size = 0 if member.isdir() else member.size
                name = _checked(count, member.name, size, _tar_problem(member), limits)
                total += member.size
                _check_total(total, member.name, allowed)
                counted.left = member.size + _HEADER_BYTES
                archive.members = []  # type: ignore[attr-defined]  # else it remembers them all
                content = archive.extractfile(member)
                if content is not None:
                    yield name, content.read()
        counted.left = allowed + _HEADER_BYTES
        while counted.read(_CHUNK):  # to the end, where gzip keeps its check sum
            pass


def _tar_problem(member: tarfile.TarInfo) -> str:
    if member.issym() or member.islnk():
        return f"is a link to {member.linkname!r}"
    if member.isdev():
        return "is a device or a pipe"
    plain = member.isdir() or (member.isreg() and not member.issparse())
    return "" if plain else "is neither a plain file nor a folder"
