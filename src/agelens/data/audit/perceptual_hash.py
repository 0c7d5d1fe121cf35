"""Perceptual hashes: 256 bits that hardly change when a photo is re-encoded or scaled.

A bit says whether one of the 16 x 16 lowest frequencies of the grey picture (discrete cosine
transform) is above their median (pHash; Zauner, 2010, with more bits than his 64, since
aligned faces are much alike).
"""

import itertools
from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from agelens.images.decode import Picture

BITS, WORDS = 256, 4
_SIDE, _KEPT = 64, 16
REACH = 15
"""The largest number of differing bits that `neighbours` finds for certain."""


def perceptual(picture: Picture) -> NDArray[np.uint64]:
    """Hash uint8 (H, W, 3) RGB to uint64 (4,)."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.dct(small)[:_KEPT, :_KEPT].ravel()
    # the first is the brightness, which says nothing of the picture
    bits = low > np.median(low[1:])
    # neighbouring frequencies go to different words, which makes these alike in worth
    return np.packbits(bits.reshape(-1, BITS // _KEPT).T.ravel()).view(np.uint64)


def neighbours(
    hashes: NDArray[np.uint64], reach: int = REACH
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give all pairs of rows that differ in at most `reach` bits, (P, 2), and in how many, (P,).

    Takes uint64 (N, 4). Two hashes of 256 bits that differ in 15 at most agree in at least one
    of 16 parts, so only rows that share a part are compared (multi-index hashing; Norouzi,
    Punjani and Fleet, CVPR 2012). Rows with the same hash are compared once for all.
    Raises ValueError for a reach beyond 15.
    """
    if not 0 <= reach <= REACH:
        raise ValueError(f"reach {reach!r}: expected 0 to {REACH} bits")
    unique, member = np.unique(hashes, axis=0, return_inverse=True)
    parts = np.ascontiguousarray(unique).view(np.uint16)  # (U, 16)
    found = [np.empty((0, 2), np.int64)]
    for part in parts.T:
        order = np.argsort(part, kind="stable")
        starts = np.flatnonzero(np.diff(part[order], prepend=-1, append=-1))
        # in each run of equal values every row meets those after it
        ends = np.repeat(starts[1:], np.diff(starts))
        for step in range(1, int(np.diff(starts).max(initial=1))):
            left = np.flatnonzero(np.arange(len(order)) + step < ends)
            pair = np.column_stack([order[left], order[left + step]])
            found.append(np.sort(pair[differing(unique, pair) <= reach], axis=1))
    pairs = _spread(np.unique(np.concatenate(found), axis=0), member.ravel(), len(unique))
    return pairs, differing(hashes, pairs)


def differing(hashes: NDArray[np.uint64], pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give the number of differing bits, (P,), of pairs of rows (P, 2) of hashes (N, 4)."""
    differ = hashes[pairs[:, 0]] ^ hashes[pairs[:, 1]]
    bits: NDArray[np.int64] = np.bitwise_count(differ).sum(axis=1, dtype=np.int64)
    return bits


def pairs_within(groups: Iterable[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Give every pair of rows within each group, (P, 2)."""
    made = [np.empty((0, 2), np.int64)]
    for group in groups:
        i, j = np.triu_indices(len(group), 1)
        made.append(np.column_stack([group[i], group[j]]))
    return np.concatenate(made)


def _spread(pairs: NDArray[np.int64], member: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Turn pairs of different hashes into pairs of rows, and add rows with one hash."""
    order = np.argsort(member, kind="stable")
    bounds = np.searchsorted(member[order], np.arange(count + 1))
    rows = [order[a:b] for a, b in itertools.pairwise(bounds)]
    made = [np.empty((0, 2), np.int64)]
    for a, b in pairs:
        grid = np.meshgrid(rows[a], rows[b], indexing="ij")
        made.append(np.column_stack([one.ravel() for one in grid]))
    whole = np.sort(np.concatenate([*made, pairs_within(rows)]), axis=1)
    return whole[np.lexsort((whole[:, 1], whole[:, 0]))]
