"""Where a run keeps what it makes: a folder, or a place behind a URL.

A file is there whole or not at all: in a folder it is written under a temporary name, synced
and renamed; in an object store it is put in one request.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from agelens.batch import locations
from agelens.errors import BatchError, SourceError

_ASIDE = ".aside"


class Store(Protocol):
    """A folder of named files; names have `/` between their parts."""

    def write(self, name: str, data: bytes) -> None:
        """Put a file there whole, in place of an older one. Raises BatchError if it cannot."""

    def read(self, name: str) -> bytes:
        """Give a file's content. Raises FileNotFoundError."""

    def tail(self, name: str, size: int) -> bytes:
        """Give the last `size` bytes of a file, or all of a shorter one."""

    def sizes(self, folder: str = "") -> dict[str, int]:
        """Give the names of the files directly in a folder, with their bytes."""

    def remove(self, name: str) -> None:
        """Delete a file; it may be gone already."""

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the store for one run at a time. Raises BatchError while another runs."""


def open_store(place: str) -> Store:
    """Give the store at a path or URL; a folder is made with the first file."""
    return _Remote(place) if locations.is_url(place) else _Folder(Path(locations.local(place)))


class _Folder:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, name: str, data: bytes) -> None:
        target = self._folder / name
        # of two machines that share the folder, processes may have the same number
        aside = target.with_name(f".{target.name}.{secrets.token_hex(4)}{_ASIDE}")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                with aside.open("wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                aside.replace(target)
            except BaseException:
                aside.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise _cannot_write(str(target), error) from error

    def read(self, name: str) -> bytes:
        try:
            return (self._folder / name).read_bytes()
        except NotADirectoryError as error:
            raise _cannot_use(str(self._folder), error) from error

    def tail(self, name: str, size: int) -> bytes:
        with (self._folder / name).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - size))
            return file.read()

    def sizes(self, folder: str = "") -> dict[str, int]:
        try:
            with os.scandir(self._folder / folder) as found:
                files = [item for item in found if item.is_file() and not _is_aside(item.name)]
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise _cannot_use(str(self._folder), error) from error
        return {item.name: item.stat().st_size for item in files}

    def remove(self, name: str) -> None:
        (self._folder / name).unlink(missing_ok=True)

    @contextmanager
    def alone(self) -> Iterator[None]:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = (self._folder / ".lock").open("w")
        except OSError as error:
            raise _cannot_use(str(self._folder), error) from error
        with lock:
            try:
                import fcntl

                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except ImportError:  # Windows: two runs at once write the same parts twice, no more
                pass
            except OSError:
                raise BatchError(
                    f"another run is writing to {str(self._folder)!r}: let it end, or stop it"
                ) from None
            self._sweep()
            try:
                yield
            finally:
                self._sweep()

    def _sweep(self) -> None:
        """Remove what killed processes left half-written."""
        for aside in self._folder.glob(f"**/.*{_ASIDE}"):
            aside.unlink(missing_ok=True)


class _Remote:
    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._fs, self._root = locations.filesystem(self._url)

    def write(self, name: str, data: bytes) -> None:
        where = f"{self._root}/{name}"
        try:
            locations.persistently(
                lambda: self._fs.pipe_file(where, data), f"write {self._url}/{name}"
            )
        except OSError as error:  # no such bucket, no permission
            raise _cannot_write(f"{self._url}/{name}", error) from error

    def read(self, name: str) -> bytes:
        data: bytes = locations.persistently(
            lambda: self._fs.cat_file(f"{self._root}/{name}"), f"read {self._url}/{name}"
        )
        return data

    def tail(self, name: str, size: int) -> bytes:
        data: bytes = locations.persistently(
            lambda: self._fs.tail(f"{self._root}/{name}", size), f"read {self._url}/{name}"
        )
        return data

    def sizes(self, folder: str = "") -> dict[str, int]:
        where = f"{self._root}/{folder}".rstrip("/")
        try:
            found = locations.persistently(
                lambda: self._fs.ls(where, detail=True), f"list {self._url}/{folder}"
            )
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise _cannot_use(self._url, error) from error
        return {
            item["name"].rpartition("/")[2]: int(item["size"])
            for item in found
            if item["type"] == "file"
        }

    def remove(self, name: str) -> None:
        try:
            self._fs.rm_file(f"{self._root}/{name}")
        except FileNotFoundError:
            return

    @contextmanager
    def alone(self) -> Iterator[None]:
        # An object store has no locks; two runs at once put the same parts twice, no more.
        yield


def _is_aside(name: str) -> bool:
    return name.startswith(".")


def _cannot_write(where: str, error: OSError) -> BatchError:
    return BatchError(
        f"cannot write {where!r}: {error.strerror or error}; make room or mend it, then run the "
        "same command again: what is committed stays"
    )


def _cannot_use(where: str, error: OSError) -> SourceError:
    return SourceError(
        f"cannot use --output {where!r}: {error.strerror or error}; expected a folder that may "
        "be written, or a new one"
    )
