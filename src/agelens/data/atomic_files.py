"""Files that are either the old or the whole new version, even after a crash."""

import csv
import io
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

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


def write_csv(path: Path, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write a CSV file in UTF-8. Undecodable bytes of a name are written by their numbers."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    write_atomic(path, text.getvalue().encode(errors="backslashreplace"))


def write_parquet(path: Path, table: "pl.DataFrame") -> None:
    """Write a Parquet file."""
    content = io.BytesIO()
    table.write_parquet(content)
    write_atomic(path, content.getvalue())


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
