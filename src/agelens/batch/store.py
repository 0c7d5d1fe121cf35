"""The output of a run: a local folder, or a prefix in an object store.

A file is there whole or not at all: a local file is written under a temporary name, synced and
renamed; in an object store a file is one request.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agelens.batch import locations
from agelens.errors import BatchError, SourceError

_TEMPORARY = ".aside"


def open_store(place: str) -> "Store":
    """Return the store at a path or URL; a folder is created with its first file."""
    if locations.is_url(place):
        return _ObjectStore(place.rstrip("/"))
    return Store(locations.local_path(place))


class Store:
    """A local folder of files, whose names have `/` between their parts."""

    def __init__(self, place: str) -> None:
        self.place = place

    def read(self, name: str) -> bytes:
        """Return the content of a file. Raises FileNotFoundError."""
        try:
            return locations.read(f"{self.place}/{name}")
        except NotADirectoryError as error:
            raise self._unusable(error) from error

    def tail(self, name: str, size: int) -> bytes:
        """Return the last `size` bytes of a file, or all of a shorter one."""
        return locations.tail(f"{self.place}/{name}", size)

    def write(self, name: str, data: bytes) -> None:
        """Write or replace a whole file. Raises BatchError if it cannot be written."""
        target = Path(self.place, name)
        # process ids could be equal on two machines that share the folder
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}{_TEMPORARY}")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                with temporary.open("wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                temporary.replace(target)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise self._unwritable(name, error) from error

    def sizes(self, folder: str = "") -> dict[str, int]:
        """Return the names of the files directly in a folder, with their sizes in bytes."""
        try:
            with os.scandir(Path(self.place, folder)) as found:
                files = [item for item in found if item.is_file() and item.name[0] != "."]
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise self._unusable(error) from error
        return {item.name: item.stat().st_size for item in files}

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Lock the store for one run at a time. Raises BatchError while another one runs."""
        folder = Path(self.place)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = (folder / ".lock").open("w")
        except OSError as error:
            raise self._unusable(error) from error
        with lock:
            try:
                import fcntl

                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except ImportError:  # Windows: two runs at once write the same parts twice, no more
                pass
            except OSError:
                raise BatchError(
                    f"another run is writing to {self.place!r}: wait for it, or stop it"
                ) from None
            self._remove_temporary(folder)
            try:
                yield
            finally:
                self._remove_temporary(folder)

    def _remove_temporary(self, folder: Path) -> None:
        """Remove what killed processes left half-written."""
        for temporary in folder.glob(f"**/.*{_TEMPORARY}"):
            temporary.unlink(missing_ok=True)

    def _unwritable(self, name: str, error: OSError) -> BatchError:
        return BatchError(
            f"cannot write {f'{self.place}/{name}'!r}: {error.strerror or error}; fix that, then "
            "run the same command again: committed parts are kept"
        )

    def _unusable(self, error: OSError) -> SourceError:
        return SourceError(
            f"cannot use --output {self.place!r}: {error.strerror or error}; expected a writable "
            "folder, or a new one"
        )


class _ObjectStore(Store):
    """A prefix behind a URL."""

    def __init__(self, place: str) -> None:
        super().__init__(place)
        locations.filesystem(place)  # raises early if it cannot be used

    def write(self, name: str, data: bytes) -> None:
        try:
            locations.request("write", f"{self.place}/{name}", "pipe_file", data)
        except OSError as error:  # no such bucket, no permission
            raise self._unwritable(name, error) from error

    def sizes(self, folder: str = "") -> dict[str, int]:
        url = f"{self.place}/{folder}".rstrip("/")
        try:
            found = locations.request("list", url, "ls", detail=True)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise self._unusable(error) from error
        files = [item for item in found if item["type"] == "file"]
        return {item["name"].rpartition("/")[2]: int(item["size"]) for item in files}

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        # An object store has no locks; two runs at once write the same parts twice, no more.
        yield
