"""Photos that are there more than once, byte for byte or re-encoded, and labels that differ."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import cv2
import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from agelens.images.decode import Picture

BITS, WORDS = 256, 4
REACH = 15  # differing bits of copies; more would escape `neighbours`
SAME_PHOTO = 0.15  # distance of dlib's descriptors below which chips show one photo (by UTKFace)
SAME_FACE = 0.6  # from which they are of two people (King, 2017)
_HASH_SIDE, _HASH_KEPT = 64, 16
_BLOCK = 1024  # rows of the table of distances that are computed at a time
Group = NDArray[np.int64]  # rows that show one photo, ascending


def perceptual_hash(picture: Picture) -> NDArray[np.uint64]:
    """Hash uint8 (H, W, 3) RGB to uint64 (4,), of which re-encoding and scaling change few bits.

    A bit says whether one of the 16 x 16 lowest frequencies of the grey picture (discrete cosine
    transform) is above their median (pHash; Zauner, 2010). He has 64 bits; aligned faces are more
    alike.
    """
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (_HASH_SIDE, _HASH_SIDE), interpolation=cv2.INTER_AREA)
    low = cv2.dct(small.astype(np.float32))[:_HASH_KEPT, :_HASH_KEPT].ravel()
    # the first is the brightness, which says nothing of the picture
    bits = low > np.median(low[1:])
    # neighbouring frequencies go to different words, which makes these alike in worth
    return np.packbits(bits.reshape(-1, BITS // _HASH_KEPT).T.ravel()).view(np.uint64)


def neighbours(hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Give all pairs of rows of hashes (N, 4) that differ in at most 15 bits, (P, 2).

    Such hashes agree in at least one of 16 parts, so only rows that share a part are compared
    (multi-index hashing; Norouzi, Punjani and Fleet, CVPR 2012).
    """
    found = [np.empty((0, 2), np.int64)]
    for part in np.ascontiguousarray(hashes).view(np.uint16).T:
        order = np.argsort(part, kind="stable")
        starts = np.flatnonzero(np.diff(part[order], prepend=-1, append=-1))
        # in each run of equal values every row meets those after it
        ends = np.repeat(starts[1:], np.diff(starts))
        for step in range(1, int(np.diff(starts).max(initial=1))):
            left = np.flatnonzero(np.arange(len(order)) + step < ends)
            pair = np.column_stack([order[left], order[left + step]])
            bits = np.bitwise_count(hashes[pair[:, 0]] ^ hashes[pair[:, 1]]).sum(axis=1)
            found.append(np.sort(pair[bits <= REACH], axis=1))
    return np.unique(np.concatenate(found), axis=0)


@dataclass(frozen=True, slots=True, eq=False)
class Copies:
    """What is there more than once."""

    identical: list[Group]  # byte for byte
    near: list[Group]  # re-encoded or re-cropped: of two different files or more, with their copies

    def groups(self) -> Iterator[Group]:
        """Give every group once: the near ones, and the identical ones outside them."""
        taken = {int(row) for group in self.near for row in group}
        yield from self.near
        yield from (group for group in self.identical if int(group[0]) not in taken)


def find(
    digests: NDArray[np.str_], hashes: NDArray[np.uint64], sound: NDArray[np.bool_],
    descriptors: NDArray[np.float32] | None = None,
) -> Copies:  # fmt: skip
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
    pairs = rows[neighbours(hashes[rows])]
    if descriptors is not None:
        apart = np.linalg.norm(descriptors[pairs[:, 0]] - descriptors[pairs[:, 1]], axis=1)
        pairs = np.concatenate([pairs[apart < SAME_FACE], rows[_close(descriptors[rows])]])
    links = coo_array(
        (np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), (len(digests), len(digests))
    )
    parent = connected_components(links, directed=False)[1].astype(np.int64)
    whole = parent[original]  # the copies of a file go where it goes
    changed = np.isin(whole, np.unique(parent[pairs]))
    return Copies(identical, _groups(whole[changed], np.flatnonzero(changed)))


def _close(descriptors: NDArray[np.float32]) -> NDArray[np.int64]:
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
    found = [pair for group in groups for pair in combinations(group, 2)]
    pairs = np.array(found, np.int64).reshape(-1, 2)
    a, b = samples[pairs[:, 0]], samples[pairs[:, 1]]
    years = np.abs(a["age"].to_numpy().astype(int) - b["age"].to_numpy().astype(int))
    # a missing label differs from none
    other = [int((a[name] != b[name]).sum()) for name in ("gender", "race", "fold")]
    mean = float(years.mean()) if found else 0.0
    return Conflicts(len(pairs), int((years > 0).sum()), mean, int((years > 5).sum()), *other)


def _groups(number: NDArray[np.int64], rows: NDArray[np.int64]) -> list[Group]:
    order = np.argsort(number, kind="stable")
    cuts = np.flatnonzero(np.diff(number[order])) + 1
    found = [group for group in np.split(rows[order], cuts) if len(group) > 1]
    return sorted(found, key=lambda group: (-len(group), int(group[0])))
