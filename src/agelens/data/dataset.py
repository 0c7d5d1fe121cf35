"""A dataset folder, as `agelens data import` makes it, and the folds of its pictures.

samples.parquet  one row for each picture, sorted by file (the columns: SCHEMA)
rejects.csv      file, reason
dataset.json     where it came from
images/          the pictures, by the names in `file`

Ten folds, 0 to 9. The folds v1 of UTKFace ship with the package; in them byte-identical and
near-identical pictures are one group. Other pictures are grouped by identical bytes. The five
splits rotate the folds as the Facial-Age-Estimation-Benchmark does (CVPR 2024; 60/20/20).
"""

import csv
import functools
import hashlib
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from importlib import resources
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from agelens.data.labels import photo_key
from agelens.errors import BadLabel, DatasetError, require

require("data", "polars")  # the base install has none
import polars as pl  # noqa: E402

SCHEMA = {  # the columns of `samples.parquet`
    "file": pl.String,  # name in images/, unique
    "age": pl.Int16,  # years, 0 to 116
    "gender": pl.String,  # "female" or "male", or null where the source has none
    "race": pl.String,  # one of labels.RACES, or null; for breakdowns only
    "width": pl.Int32,  # pixels
    "height": pl.Int32,  # pixels
    "sha256": pl.String,  # of the file, 64 hex digits
    "fold": pl.Int8,  # 0 to 9
}
OPTIONAL = {  # further columns, there only where the source fills them
    "age_low": pl.Int16,  # years, where the source gives a range; `age` is then its middle
    "age_high": pl.Int16,  # years, included
    "subject": pl.String,  # who it is, where the source names people; one person is in one fold
}


FOLDS = 10
_FIRST_FOLD = (0, 2, 4, 5, 6)  # of the training part, by split; the protocol's table
SPLITS = len(_FIRST_FOLD)

Part = TypeVar("Part")


class Split(NamedTuple, Generic[Part]):
    """The folds of each part of a split, in order, or its rows: ascending, int64."""

    train: Part  # 6 folds
    validation: Part  # 2 folds
    test: Part  # 2 folds


class Dataset:
    """An open dataset folder. Raises DatasetError for one that is not complete.

    `samples` is a polars DataFrame of N rows; row numbers, as in `split`, are its own. A part
    as a frame: `dataset.samples[dataset.split(0).test]`.
    """

    def __init__(self, folder: str | Path) -> None:
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

    def split(self, split: int) -> Split[NDArray[np.int64]]:
        """Return the rows of split 0 to 4.

        Raises DatasetError for another number, and where samples carry no gender, which
        both training and evaluation need.
        """
        folds = split_folds(split)
        self.need_genders()
        fold = self.samples["fold"].to_numpy()
        return Split(*(np.flatnonzero(np.isin(fold, part)).astype(np.int64) for part in folds))

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


def split_folds(split: int) -> Split[tuple[int, ...]]:
    """Return the folds of split 0 to 4. Raises DatasetError for another number."""
    if split not in range(SPLITS):
        raise DatasetError(f"no split {split!r}: expected 0 to {SPLITS - 1}")
    turned = tuple((_FIRST_FOLD[split] + step) % FOLDS for step in range(FOLDS))
    return Split(turned[:6], turned[6:8], turned[8:])


@functools.cache
def published() -> Mapping[str, int]:
    """Read the shipped folds v1: file name (`....jpg.chip.jpg`) to fold, 23,704 of them."""
    text = (resources.files("agelens.data") / "folds-v1.csv").read_text("utf-8")
    return {row["file"]: int(row["fold"]) for row in csv.DictReader(text.splitlines())}


@functools.cache
def _published_by_key() -> Mapping[str, int]:
    return {photo_key(name): fold for name, fold in published().items()}


def published_fold(name: str) -> int | None:
    """Return the v1 fold of a UTKFace file, plain or `.chip.jpg`; None where v1 knows no such."""
    with suppress(BadLabel):
        return _published_by_key().get(photo_key(name))
    return None


def hashed_fold(name: str) -> int:
    """Return the fold of a group whose alphabetically first file has this name, as v1 does."""
    return int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) % FOLDS


def assign_folds(
    digests: Mapping[str, str], subjects: Mapping[str, str] | None = None
) -> dict[str, int]:
    """Assign each file to a fold, by the SHA-256 of its bytes and the name of the person.

    Byte-identical files, and all files of one person, always share a fold, also in chains, so that
    no picture stands on both sides of a split: the v1 fold of the first among them that v1 knows,
    or else the hash of the first.
    """
    parent = {name: name for name in digests}

    def root(name: str) -> str:
        while parent[name] != name:
            parent[name] = name = parent[parent[name]]
        return name

    for key in (digests, subjects or {}):
        first: dict[str, str] = {}
        for name, value in key.items():
            parent[root(name)] = root(first.setdefault(value, name))
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for name in sorted(digests):
        groups[root(name)].append(name)
    folds: dict[str, int] = {}
    for names in groups.values():
        known = (fold for name in names if (fold := published_fold(name)) is not None)
        folds |= dict.fromkeys(names, next(known, hashed_fold(names[0])))
    return folds
