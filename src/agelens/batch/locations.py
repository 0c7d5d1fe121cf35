"""Files at local paths and at URLs that fsspec understands (s3://, gs://, az://, ...)."""

import io
import os
import random
import struct
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar
from urllib.request import url2pathname

import polars as pl

from agelens.errors import MissingExtra, SourceError, SourceUnreachable

Result = TypeVar("Result")

RETRY_SECONDS = (0.5, 1.0, 2.0, 4.0)
"""Waits between the attempts at a store that does not respond, each up to half longer."""
_TIMEOUTS = {"connect_timeout": 10, "read_timeout": 60}  # seconds
_NOT_RETRIED = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)
_SHARED = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "memory")
"""Protocols with one file system for all URLs; other protocols have one for each host."""
_FOOTER_BYTES = 65_536  # most Parquet footers are shorter
_MAX_FOOTER_BYTES = 256 * 2**20
_MAGIC = b"PAR1"


def is_url(place: str) -> bool:
    """Return whether a place is behind a URL; `file://` counts as a local path."""
    return "://" in place and not place.startswith("file://")


def local_path(place: str) -> str:
    """Return a local place as a plain path."""
    return url2pathname(place.removeprefix("file://")) if place.startswith("file://") else place


def resolve(name: str, manifest: str) -> str:
    """Return a name in a manifest as a place: relative names start at the manifest's folder."""
    if "://" in name or Path(name).is_absolute():
        return name if is_url(name) else local_path(name)
    if is_url(manifest):
        return f"{manifest.rpartition('/')[0]}/{name}"
    return str(Path(manifest).parent / name)


def filesystem(url: str) -> tuple[Any, str]:
    """Return the fsspec file system of a URL, and the path in it.

    Raises MissingExtra if fsspec is not installed, SourceError for a protocol that fsspec does
    not know or whose package is not installed.
    """
    protocol, _, rest = url.partition("://")
    fs = _filesystem(protocol, "" if protocol in _SHARED else rest.partition("/")[0])
    return fs, fs._strip_protocol(url)


@cache
def _filesystem(protocol: str, host: str) -> Any:
    try:
        import fsspec
    except ImportError as error:
        raise MissingExtra("fsspec", "batch") from error
    options = {"config_kwargs": _TIMEOUTS} if protocol in ("s3", "s3a") else {}
    try:
        # A cache of listings would grow with the bucket and become stale.
        fs, _ = fsspec.core.url_to_fs(f"{protocol}://{host}", use_listings_cache=False, **options)
    except ImportError as error:  # it names the package
        raise SourceError(f"cannot read {protocol}:// URLs: {error}") from error
    except ValueError as error:
        raise SourceError(
            f"cannot read {protocol}:// URLs: {error}; expected a protocol that fsspec knows, "
            "such as s3://, gs:// or az://"
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
    for wait in (*RETRY_SECONDS, None):
        try:
            return action()
        except _NOT_RETRIED:
            raise
        except Exception as error:  # each file system raises its own kinds
            if wait is None:
                raise SourceUnreachable(
                    f"cannot {what} after {len(RETRY_SECONDS) + 1} tries: "
                    f"{str(error).strip() or type(error).__name__}"
                ) from error
            time.sleep(wait * random.uniform(1, 1.5))  # noqa: S311  (spreads the attempts)
    raise AssertionError("unreachable")


def read(place: str, limit: int | None = None) -> bytes:
    """Return the content of a file, at most its first `limit` bytes."""
    if is_url(place):
        options = {} if limit is None else {"start": 0, "end": limit}
        data: bytes = request("read", place, "cat_file", **options)
        return data
    with Path(place).open("rb") as file:
        return file.read(-1 if limit is None else limit)


def tail(place: str, size: int) -> bytes:
    """Return the last `size` bytes of a file, or all of a shorter one."""
    if is_url(place):
        data: bytes = request("read", place, "tail", size)
        return data
    with Path(place).open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - size))
        return file.read()


def parquet_metadata(tail: Callable[[int], bytes]) -> dict[str, str]:
    """Return the key-value metadata of a Parquet file from its last bytes, as `tail(n)` gives them.

    Raises ValueError for a file that is not Parquet or damaged.
    """
    return _from_footer(tail, pl.read_parquet_metadata)


def parquet_schema(tail: Callable[[int], bytes]) -> tuple[dict[str, pl.DataType], int]:
    """Return the columns of a Parquet file with their types, and the number of rows.

    Raises ValueError for a file that is not Parquet or damaged.
    """
    return _from_footer(
        tail,
        lambda footer: (
            dict(pl.read_parquet_schema(footer)),
            int(pl.scan_parquet(footer).select(pl.len()).collect().item()),
        ),
    )


def _from_footer(tail: Callable[[int], bytes], read: Callable[[io.BytesIO], Result]) -> Result:
    """Read something from the footer at the end of a Parquet file."""
    data = tail(_FOOTER_BYTES)
    if len(data) < 12 or data[-4:] != _MAGIC:
        raise ValueError("not a Parquet file, or cut short")
    (length,) = struct.unpack("<I", data[-8:-4])
    if length > _MAX_FOOTER_BYTES:
        raise ValueError(f"footer of {length:,} bytes: the limit is {_MAX_FOOTER_BYTES:,}")
    if length + 8 > len(data):
        data = tail(length + 8)
    if length + 8 > len(data):
        raise ValueError("a Parquet file that is cut short")
    try:
        return read(io.BytesIO(_MAGIC + data[-length - 8 :]))
    except Exception as error:  # polars' exceptions share no public base class
        raise ValueError(f"unreadable Parquet: {error}") from error
