"""A dataset folder: labelled pictures with their folds, as `agelens data import` makes it.

samples.parquet  one row for each picture, sorted by file (the columns: SCHEMA)
rejects.csv      file, reason
dataset.json     where it came from
images/          the pictures, by the names in `file`
"""

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agelens.data.folds import split_folds
from agelens.errors import DatasetError, MissingExtra

try:
    import polars as pl
except ModuleNotFoundError as error:  # the base install has none
    raise MissingExtra("polars", "data") from error

SCHEMA = {
    "file": pl.String,  # name in images/, unique
    "age": pl.Int16,  # years, 0 to 116
    "gender": pl.String,  # "female" or "male", or null where the source has none
    "race": pl.String,  # one of utkface.RACES, or null; for breakdowns only
    "width": pl.Int32,  # pixels
    "height": pl.Int32,  # pixels
    "sha256": pl.String,  # of the file, 64 hex digits
    "fold": pl.Int8,  # 0 to 9
}
"""The columns of `samples.parquet`."""

OPTIONAL = {
    "age_low": pl.Int16,  # years, where the source gives a range; `age` is then its middle
    "age_high": pl.Int16,  # years, included
    "subject": pl.String,  # who it is, where the source names people; one person is in one fold
}
"""Further columns, there only where the source fills them."""


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """The row numbers of each part of a split, ascending, int64; no row is in two parts."""

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]


class Dataset:
    """An open dataset folder.

    `samples` is a polars DataFrame of N rows; row numbers, as in `split`, are its own. A part
    as a frame: `dataset.samples[dataset.split(0).test]`.
    """

    def __init__(self, folder: str | Path) -> None:
        """Open a folder. Raises DatasetError when it is not a complete dataset folder."""
        self.folder = Path(folder)
        table = self.folder / "samples.parquet"
        if not table.is_file():
            raise DatasetError(
                f"{str(folder)!r} is not a dataset folder: it has no samples.parquet; "
                f"make one with  agelens data import SOURCE {folder}"
            )
        try:
            samples = pl.read_parquet(table)
        except Exception as error:  # polars' exceptions share no public base class
            raise DatasetError(
                f"cannot read {str(table)!r}: {error}; delete it and import again"
            ) from error
        wrong = [
            f"{name} ({samples.schema.get(name, 'missing')}, expected {kind.__name__})"
            for name, kind in SCHEMA.items()
            if samples.schema.get(name) != kind
        ]
        if wrong:
            raise DatasetError(
                f"{str(table)!r} has other columns than a dataset's: {', '.join(wrong)}; import "
                "the source again with `agelens data import`"
            )
        self.samples: pl.DataFrame = samples

    def __len__(self) -> int:
        return self.samples.height

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256, 64 hex digits, of every picture with its labels, whatever the row order."""
        rows = self.samples.sort("file").select("file", "sha256", "age", "gender").iter_rows()
        lines = "".join("\t".join(map(str, row)) + "\n" for row in rows)
        return hashlib.sha256(lines.encode()).hexdigest()

    def split(self, split: int) -> Split:
        """Return the rows of split 0 to 4.

        Raises DatasetError for another number, and where samples carry no gender, which
        both training and evaluation need.
        """
        folds = split_folds(split)
        self.need_genders()
        fold = self.samples["fold"].to_numpy()
        parts = (folds.train, folds.validation, folds.test)
        return Split(*(np.flatnonzero(np.isin(fold, part)).astype(np.int64) for part in parts))

    def need_genders(self) -> None:
        """Raise DatasetError where samples carry no gender."""
        if untold := self.samples["gender"].null_count():
            raise DatasetError(
                f"{untold:,} of {len(self):,} samples in {str(self.folder)!r} carry no gender: "
                "training and evaluation need both labels; use a source with genders"
            )

    def image_path(self, row: int | str) -> Path:
        """Return the picture of a row, by row number (IndexError if there is none) or file name."""
        file = row if isinstance(row, str) else self.samples["file"][row]
        return self.folder / "images" / str(file)

    def missing(self) -> list[str]:
        """Name the pictures that the table lists and `images/` lacks, sorted."""
        images = self.folder / "images"
        present = {path.name for path in images.iterdir()} if images.is_dir() else set()
        return sorted(set(self.samples["file"]) - present)
