"""Assign pictures to folds: some to train on, others to measure on.

Ten folds, 0 to 9. The folds v1 of UTKFace ship with the package; in them byte-identical and
near-identical pictures are one group. Other pictures are grouped by identical bytes. The five
splits rotate the folds as the Facial-Age-Estimation-Benchmark does (CVPR 2024; 60/20/20).
"""

import csv
import functools
import hashlib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

from agelens.data.labels import photo_key
from agelens.errors import BadLabel, DatasetError

FOLDS = 10
_FIRST_FOLD = (0, 2, 4, 5, 6)  # of the training part, by split; the protocol's table
SPLITS = len(_FIRST_FOLD)


@dataclass(frozen=True, slots=True)
class SplitFolds:
    """The folds of each part of one split, in order."""

    train: tuple[int, ...]  # 6 folds
    validation: tuple[int, ...]  # 2 folds
    test: tuple[int, ...]  # 2 folds


def split_folds(split: int) -> SplitFolds:
    """Return the folds of split 0 to 4. Raises DatasetError for another number."""
    if split not in range(SPLITS):
        raise DatasetError(f"no split {split!r}: expected 0 to {SPLITS - 1}")
    turned = tuple((_FIRST_FOLD[split] + step) % FOLDS for step in range(FOLDS))
    return SplitFolds(turned[:6], turned[6:8], turned[8:])


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
    try:
        return _published_by_key().get(photo_key(name))
    except BadLabel:
        return None


def hashed_fold(name: str) -> int:
    """Return the fold of a group whose alphabetically first file has this name, as v1 does."""
    return int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) % FOLDS


def assign_folds(
    digests: Mapping[str, str], subjects: Mapping[str, str] | None = None
) -> dict[str, int]:
    """Assign each file to a fold.

    `digests` has by file name the SHA-256 of its bytes, `subjects` the name of the person.
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
