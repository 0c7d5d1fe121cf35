"""Places of files: local paths, and URLs that fsspec understands (s3://, gs://, az://, ...)."""

import random
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar
from urllib.request import url2pathname

from agelens.errors import MissingExtra, SourceError, SourceUnreachable

Result = TypeVar("Result")

WAITS = (0.5, 1.0, 2.0, 4.0)
"""Seconds between the tries at a store that does not answer, each up to half longer."""
CONNECT_SECONDS = 10
READ_SECONDS = 60
_FINAL = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)


def is_url(place: str) -> bool:
    """Tell whether a place is behind a URL; `file://` is not, it is a local path."""
    return "://" in place and not place.startswith("file://")


def local(place: str) -> str:
    """Give a local place as a plain path."""
    return url2pathname(place.removeprefix("file://")) if place.startswith("file://") else place


def beside(place: str, name: str) -> str:
    """Give `name` as seen from the file at `place`: as it is where it is absolute or a URL."""
    if "://" in name or Path(name).is_absolute():
        return name if is_url(name) else local(name)
    return f"{place.rpartition('/')[0]}/{name}" if is_url(place) else str(Path(place).parent / name)


def filesystem(url: str) -> tuple[Any, str]:
    """Give the fsspec file system of a URL, and the path in it.

    Raises MissingExtra without fsspec, SourceError for a protocol that fsspec does not know or
    whose package is not installed.
    """
    protocol, _, rest = url.partition("://")
    fs = _filesystem(protocol, "" if protocol in _BUCKETS else rest.partition("/")[0])
    return fs, fs._strip_protocol(url)


_BUCKETS = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "memory")
"""Protocols with one file system for all their places; others have one for each host."""


@cache
def _filesystem(protocol: str, host: str) -> Any:
    try:
        import fsspec
    except ImportError as error:
        raise MissingExtra("fsspec", "batch") from error
    options: dict[str, Any] = {}
    if protocol in ("s3", "s3a"):
        limits = {"connect_timeout": CONNECT_SECONDS, "read_timeout": READ_SECONDS}
        options = {"config_kwargs": limits}
    try:
        # Listings are not kept: they would grow with the bucket, and go stale.
        fs, _ = fsspec.core.url_to_fs(f"{protocol}://{host}", use_listings_cache=False, **options)
    except ImportError as error:  # it names the package
        raise SourceError(f"cannot read {protocol}:// places: {error}") from error
    except ValueError as error:
        raise SourceError(
            f"cannot read {protocol}:// places: {error}; expected one that fsspec knows, "
            "such as s3://, gs:// or az://"
        ) from error
    return fs


def persistently(action: Callable[[], Result], what: str) -> Result:
    """Do something with a store, up to five times, until it answers.

    A file that is not there or may not be read is an answer: FileNotFoundError or
    PermissionError. Raises SourceUnreachable when all tries fail; `what` says what was tried.
    """
    for wait in (*WAITS, None):
        try:
            return action()
        except _FINAL:
            raise
        except Exception as error:  # each file system raises of its own kinds
            if wait is None:
                raise SourceUnreachable(
                    f"cannot {what} after {len(WAITS) + 1} tries: "
                    f"{str(error).strip() or type(error).__name__}"
                ) from error
            time.sleep(wait * random.uniform(1, 1.5))  # noqa: S311  (spreads the tries)
    raise AssertionError("unreachable")
