"""Files at local paths and at URLs that fsspec understands (s3://, gs://, az://, ...)."""

import io
import os
import random
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar
from urllib.request import url2pathname

from agelens.errors import BatchError, SourceError, SourceUnreachable, require

Result = TypeVar("Result")

RETRY_SECONDS = (0.5, 1.0, 2.0, 4.0)  # between attempts at a store, each up to half longer
_TIMEOUTS = {"connect_timeout": 10, "read_timeout": 60}  # seconds
_NOT_RETRIED = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)
_SHARED = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "memory")  # others: one a host
_FOOTER_BYTES = 65_536  # most Parquet footers are shorter
_MAX_FOOTER_BYTES = 256 * 2**20
_MAGIC = b"PAR1"
_TEMPORARY = ".aside"


def is_url(place: str) -> bool:
    """Return whether a place is behind a URL; `file://` counts as a local path."""
    return "://" in place and not place.startswith("file://")


def local_path(place: str) -> str:
    """Return a local place as a plain path."""
    return url2pathname(place.removeprefix("file://")) if place.startswith("file://") else place


def filesystem(url: str) -> tuple[Any, str]:
    """Return the fsspec file system of a URL, and the path in it.

    Raises MissingExtra without fsspec, SourceError for an unknown protocol or without its package.
    """
    protocol, _, rest = url.partition("://")
    fs = _filesystem(protocol, "" if protocol in _SHARED else rest.partition("/")[0])
    return fs, fs._strip_protocol(url)


@cache
def _filesystem(protocol: str, host: str) -> Any:
    require("batch", "fsspec")
    import fsspec

    options = {"config_kwargs": _TIMEOUTS} if protocol in ("s3", "s3a") else {}
    try:
        # A cache of listings would grow with the bucket and become stale.
        fs, _ = fsspec.core.url_to_fs(f"{protocol}://{host}", use_listings_cache=False, **options)
    except (ImportError, ValueError) as error:  # an ImportError names the package
        raise SourceError(
            f"cannot read {protocol}:// URLs: {error}; expected a protocol that fsspec knows, "
            "such as s3://, gs:// or az://, and its package"
        ) from error
    return fs


def request(verb: str, url: str, method: str, *args: Any, **options: Any) -> Any:
    """Call a method of the URL's file system on its path, with retries."""
    fs, path = filesystem(url)
    return retry(lambda: getattr(fs, method)(path, *args, **options), f"{verb} {url}")


def retry(action: Callable[[], Result], what: str) -> Result:
    """Call `action` up to five times, until the store responds.

    FileNotFoundError and PermissionError count as a response and are raised at once. Raises
    SourceUnreachable, which names `what` was tried, when all attempts fail.
    """
    waits = iter(RETRY_SECONDS)
    while True:
        try:
            return action()
        except _NOT_RETRIED:
            raise
        except Exception as error:  # each file system raises its own kinds
            if (wait := next(waits, None)) is None:
                raise SourceUnreachable(
                    f"cannot {what} after {len(RETRY_SECONDS) + 1} tries: "
                    f"{str(error).strip() or type(error).__name__}"
                ) from error
            time.sleep(wait * random.uniform(1, 1.5))  # noqa: S311  (spreads the attempts)


def read(place: str, limit: int | None = None) -> bytes:
    """Return the content of a file, at most its first `limit` bytes."""
    if not is_url(place):
        with Path(place).open("rb") as file:
            return file.read(-1 if limit is None else limit)
    fs, path = filesystem(place)
    options = {} if limit is None else {"start": 0, "end": limit}

    def fetch() -> bytes:
        try:
            return bytes(fs.cat_file(path, **options))
        except Exception as error:  # stores refuse to send the first bytes of an empty file
            if isinstance(error, FileNotFoundError) or fs.size(path) != 0:
                raise
            return b""

    return retry(fetch, f"read {place}")


def tail(place: str, size: int) -> bytes:
    """Return the last `size` bytes of a file, or all of a shorter one."""
    if is_url(place):
        return bytes(request("read", place, "tail", size))
    with Path(place).open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - size))
        return file.read()


def read_footer(place: str, read: Callable[[io.BytesIO], Result]) -> Result:
    """Return what `read` returns for a Parquet file that has the footer of `place`, and no rows.

    Only the end of the file is fetched. Raises ValueError if it is not Parquet or damaged.
    """
    data = tail(place, _FOOTER_BYTES)
    if len(data) < 12 or data[-4:] != _MAGIC:
        raise ValueError("not a Parquet file, or cut short")
    length = int.from_bytes(data[-8:-4], "little") + 8
    if length > _MAX_FOOTER_BYTES:
        raise ValueError(f"footer of {length:,} bytes: the limit is {_MAX_FOOTER_BYTES:,}")
    if length > len(data) and len(data := tail(place, length)) < length:
        raise ValueError("a Parquet file that is cut short")
    try:
        return read(io.BytesIO(_MAGIC + data[-length:]))
    except Exception as error:  # polars' exceptions share no public base class
        raise ValueError(f"unreadable Parquet: {error}") from error


class Store:
    """The output of a run: a local folder, or a prefix in an object store.

    The names of its files have `/` between their parts. A file is there whole or not at all: a
    local file is written under a temporary name, synced and renamed; in an object store a file is
    one request.
    """

    def __init__(self, place: str) -> None:
        """Open the store at a path or URL; a folder is created with its first file."""
        self._remote = is_url(place)
        self.place = place.rstrip("/") if self._remote else local_path(place)
        if self._remote:
            filesystem(place)  # raises early if it cannot be used

    def path(self, name: str) -> str:
        """Return the path or URL of a file."""
        return f"{self.place}/{name}".rstrip("/")

    def read(self, name: str) -> bytes:
        """Return the content of a file. Raises FileNotFoundError."""
        try:
            return read(self.path(name))
        except NotADirectoryError as error:
            raise self._unusable(error) from error

    def write(self, name: str, data: bytes) -> None:
        """Write or replace a whole file. Raises BatchError if it cannot be written."""
        try:
            if self._remote:
                request("write", self.path(name), "pipe_file", data)
                return
            target = Path(self.place, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            # process ids could be equal on two machines that share the folder
            temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}{_TEMPORARY}")
            try:
                with temporary.open("wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                temporary.replace(target)
            finally:
                temporary.unlink(missing_ok=True)
        except OSError as error:  # no space, no permission, no such bucket
            raise BatchError(
                f"cannot write {self.path(name)!r}: {error.strerror or error}; fix that, then "
                "run the same command again: committed parts are kept"
            ) from error

    def sizes(self, folder: str = "") -> dict[str, int]:
        """Return the names of the files directly in a folder, with their sizes in bytes."""
        try:
            if self._remote:
                found = request("list", self.path(folder), "ls", detail=True)
                files = [item for item in found if item["type"] == "file"]
                return {item["name"].rpartition("/")[2]: int(item["size"]) for item in files}
            with os.scandir(Path(self.place, folder)) as items:
                shown = [item for item in items if item.is_file() and item.name[0] != "."]
            return {item.name: item.stat().st_size for item in shown}
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise self._unusable(error) from error

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Lock the store for one run at a time. Raises BatchError while another one runs.

        Object stores and Windows have no such lock: there two runs at once write the same parts
        twice, no more.
        """
        if self._remote:
            yield
            return
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
            except ImportError:
                pass
            except OSError:
                raise BatchError(
                    f"another run is writing to {self.place!r}: wait for it, or stop it"
                ) from None
            try:
                self._remove_temporary()
                yield
            finally:
                self._remove_temporary()

    def _remove_temporary(self) -> None:
        for temporary in Path(self.place).glob(f"**/.*{_TEMPORARY}"):
            temporary.unlink(missing_ok=True)

    def _unusable(self, error: OSError) -> SourceError:
        return SourceError(
            f"cannot use --output {self.place!r}: {error.strerror or error}; expected a writable "
            "folder, or a new one"
        )
