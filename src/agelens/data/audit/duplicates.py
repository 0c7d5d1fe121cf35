"""Photos that are there more than once, byte for byte or re-encoded, and labels that differ."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from agelens.data.audit import perceptual_hash

SAME_PHOTO = 0.15
"""Distance of dlib's face descriptors below which two chips show one photo (by UTKFace)."""
SAME_FACE = 0.6
"""Distance from which dlib's descriptors are of two people (King, 2017)."""
_BLOCK = 1024  # rows of the table of distances that are computed at a time

Group = NDArray[np.int64]
"""Rows that show one photo, ascending."""


@dataclass(frozen=True, slots=True, eq=False)
class Copies:
    """What is there more than once."""

    identical: list[Group]  # byte for byte
    near: list[
        Group
    ]  # re-encoded or re-cropped: two different files or more in each, with their copies
    pairs: pl.DataFrame  # of different files: a, b (rows), bits, distance (null: not measured)

    def groups(self) -> Iterator[Group]:
        """Give every group once: the near ones, and the identical ones outside them."""
        taken = {int(row) for group in self.near for row in group}
        yield from self.near
        yield from (group for group in self.identical if int(group[0]) not in taken)


def find(
    digests: NDArray[np.str_],
    hashes: NDArray[np.uint64],
    sound: NDArray[np.bool_],
    descriptors: NDArray[np.float32] | None = None,
) -> Copies:
    """Find copies among N pictures.

    Takes SHA-256 digests (N,), perceptual hashes (N, 4), which could be read (N,), and dlib's
    face descriptors (N, 128) where there are some. Near are pictures whose hashes differ in at
    most 15 of 256 bits; with descriptors only if these are not of two people, and also pictures
    whose descriptors are nearer than 0.15, which finds photos cut or turned otherwise.
    """
    _, first, number = np.unique(digests, return_index=True, return_inverse=True)
    original = first[number]
    identical = _groups(original, np.arange(len(digests)))
    # one of each set of identical files stands for all
    rows = np.flatnonzero(sound & (original == np.arange(len(digests))))
    pairs = rows[perceptual_hash.neighbours(hashes[rows])[0]]
    distance = np.full(len(pairs), np.nan)
    if descriptors is not None:
        pairs = pairs[_distances(descriptors, pairs) < SAME_FACE]
        close = rows[_close(descriptors[rows])]
        pairs = np.unique(np.concatenate([pairs, close]), axis=0)
        distance = _distances(descriptors, pairs)
    parent = _components(pairs, len(digests))
    whole = parent[original]  # the copies of a file go where it goes
    changed = np.isin(whole, np.unique(parent[pairs]))
    near = _groups(whole[changed], np.flatnonzero(changed))
    table = pl.DataFrame(
        {"a": pairs[:, 0], "b": pairs[:, 1], "bits": perceptual_hash.differing(hashes, pairs)}
    ).with_columns(pl.Series("distance", distance).fill_nan(None))
    return Copies(identical, near, table)


def _distances(descriptors: NDArray[np.float32], pairs: NDArray[np.int64]) -> NDArray[np.float64]:
    apart = descriptors[pairs[:, 0]] - descriptors[pairs[:, 1]]
    return np.asarray(np.linalg.norm(apart, axis=1), np.float64)


def _close(descriptors: NDArray[np.float32]) -> NDArray[np.int64]:
    """Give the pairs of rows nearer than SAME_PHOTO, (P, 2), by comparing all with all."""
    square = (descriptors**2).sum(axis=1)
    found = [np.empty((0, 2), np.int64)]
    for start in range(0, len(descriptors), _BLOCK):
        ours, rest = descriptors[start : start + _BLOCK], descriptors[start:]
        apart = square[start : start + _BLOCK, None] + square[start:] - 2 * ours @ rest.T
        a, b = np.nonzero(apart < SAME_PHOTO**2)
        found.append(np.column_stack([a, b])[a < b] + start)
    return np.concatenate(found)


@dataclass(frozen=True, slots=True)
class Conflicts:
    """How far the labels of pairs of copies differ."""

    pairs: int
    other_age: int
    age_difference: float  # years, mean over all pairs
    beyond_5: int  # pairs whose ages differ by more than 5 years
    other_gender: int
    other_race: int
    other_fold: int  # such a photo stands on both sides of a split


def conflicts(samples: pl.DataFrame, groups: list[Group]) -> Conflicts:
    """Compare the labels of every pair within each group."""
    pairs = perceptual_hash.pairs_within(groups)
    a, b = samples[pairs[:, 0]], samples[pairs[:, 1]]
    years = np.abs(a["age"].to_numpy().astype(int) - b["age"].to_numpy().astype(int))

    def differ(column: str) -> int:
        return int((a[column] != b[column]).sum())  # a missing label differs from none

    return Conflicts(
        len(pairs), int((years > 0).sum()), float(years.mean()) if len(years) else 0.0,
        int((years > 5).sum()), differ("gender"), differ("race"), differ("fold"),
    )  # fmt: skip


def _components(pairs: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    links = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), (count, count))
    found: NDArray[np.int64] = connected_components(links, directed=False)[1].astype(np.int64)
    return found


def _groups(number: NDArray[np.int64], rows: NDArray[np.int64]) -> list[Group]:
    """Gather rows (M,) by number (M,), those with another of the same number; largest first."""
    order = np.argsort(number, kind="stable")
    cuts = np.flatnonzero(np.diff(number[order])) + 1
    found = [group for group in np.split(rows[order], cuts) if len(group) > 1]
    return sorted(found, key=lambda group: (-len(group), int(group[0])))
