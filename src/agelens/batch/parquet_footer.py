"""The end of a Parquet file, where its schema and its metadata stand, read without the rest."""

import io
import struct
from collections.abc import Callable

import polars as pl

TAIL = 65536  # bytes; most footers are shorter
_MAGIC = b"PAR1"
_LONGEST = 256 * 2**20


def read(tail: Callable[[int], bytes]) -> io.BytesIO:
    """Give a file with the footer alone, for readers that look no further.

    `tail(n)` gives the last n bytes of the file, or all of a shorter one. Raises ValueError for
    what is no Parquet file.
    """
    data = tail(TAIL)
    if len(data) < 12 or data[-4:] != _MAGIC:
        raise ValueError("not a Parquet file, or cut short")
    (length,) = struct.unpack("<I", data[-8:-4])
    if length > _LONGEST:
        raise ValueError(f"a footer of {length:,} bytes: over the limit of {_LONGEST:,}")
    if length + 8 > len(data):
        data = tail(length + 8)
    if length + 8 > len(data):
        raise ValueError("a Parquet file that is cut short")
    return io.BytesIO(_MAGIC + data[-length - 8 :])


def metadata(tail: Callable[[int], bytes]) -> dict[str, str]:
    """Give the metadata of a Parquet file. Raises ValueError for what is none."""
    footer = read(tail)
    try:
        return pl.read_parquet_metadata(footer)
    except Exception as error:  # polars' exceptions share no public base class
        raise ValueError(f"unreadable Parquet: {error}") from error


def schema(tail: Callable[[int], bytes]) -> tuple[dict[str, pl.DataType], int]:
    """Give columns with their types, and the number of rows. Raises ValueError for what is none."""
    footer = read(tail)
    try:
        columns = pl.read_parquet_schema(footer)
        rows = pl.scan_parquet(footer).select(pl.len()).collect().item()
    except Exception as error:  # polars' exceptions share no public base class
        raise ValueError(f"unreadable Parquet: {error}") from error
    return dict(columns), int(rows)
