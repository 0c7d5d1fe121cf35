import cv2
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agelens.data.audit import duplicates
from agelens.images import decode
from photos import encoded, photo


def bits(a: np.ndarray, b: np.ndarray) -> int:
    return int(np.bitwise_count(a ^ b).sum())


def test_a_hash_survives_encoding_and_scaling_and_differs_between_photos() -> None:
    hashes = [duplicates.perceptual_hash(photo(seed)) for seed in range(12)]
    for seed, own in enumerate(hashes):
        small = np.asarray(cv2.resize(photo(seed), (120, 120), interpolation=cv2.INTER_AREA))
        brighter = np.clip(photo(seed) * 0.8 + 30, 0, 255).astype(np.uint8)
        for changed in (decode.read(encoded(photo(seed), 40)), small, brighter):
            assert bits(own, duplicates.perceptual_hash(changed)) <= duplicates.REACH
    apart = [bits(a, b) for i, a in enumerate(hashes) for b in hashes[:i]]
    assert min(apart) > 80


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_neighbours_are_those_of_a_comparison_of_all_with_all(seed: int) -> None:
    random = np.random.default_rng(seed)
    hashes = random.integers(0, 2**64, (12, 4), np.uint64)
    hashes = hashes[random.integers(0, 12, 40)]
    for row in range(0, 40, 2):  # let some differ in a few bits
        for bit in random.choice(256, random.integers(0, 20), replace=False):
            hashes[row, bit // 64] ^= np.uint64(1) << np.uint64(bit % 64)
    every = [
        [a, b] for a in range(40) for b in range(a + 1, 40) if bits(hashes[a], hashes[b]) <= 15
    ]
    assert duplicates.neighbours(hashes).tolist() == every
    for count in (0, 1):
        assert duplicates.neighbours(hashes[:count]).shape == (0, 2)


# rows 0 and 1 are one file; 2 is row 0 encoded anew; 3 and 4 are others
DIGESTS = np.array(["a", "a", "b", "c", "d"])


def rows(groups: list[np.ndarray]) -> list[list[int]]:
    return [group.tolist() for group in groups]


def test_copies_by_bytes_by_hash_and_by_face() -> None:
    pictures = (photo(0), photo(0), decode.read(encoded(photo(0), 60)), photo(1), photo(2))
    hashed = np.stack([duplicates.perceptual_hash(pixels) for pixels in pictures])
    found = duplicates.find(DIGESTS, hashed, np.ones(5, bool))
    assert (rows(found.identical), rows(found.near)) == ([[0, 1]], [[0, 1, 2]])
    assert rows(list(found.groups())) == [[0, 1, 2]]
    alone = duplicates.find(DIGESTS[[0, 1, 3]], hashed[[0, 1, 3]], np.ones(3, bool))
    assert (rows(alone.near), rows(list(alone.groups()))) == ([], [[0, 1]])
    unreadable = np.zeros((5, 4), np.uint64)
    found = duplicates.find(np.array(list("abcde")), unreadable, np.zeros(5, bool))
    assert rows(list(found.groups())) == []
    descriptors = np.zeros((5, 128), np.float32)
    descriptors[:, 0] = [0, 0, 0.4, 3, 3.1]
    found = duplicates.find(DIGESTS, hashed, np.ones(5, bool), descriptors)
    # like hashes, one person: a copy; unlike hashes, one face: a copy cut otherwise
    assert rows(found.near) == [[0, 1, 2], [3, 4]]
    descriptors[2, 0] = 0.7  # like hashes, two people
    found = duplicates.find(DIGESTS, hashed, np.ones(5, bool), descriptors)
    assert rows(found.near) == [[3, 4]]


def test_close_faces_are_found_across_blocks(monkeypatch) -> None:
    monkeypatch.setattr(duplicates, "_BLOCK", 3)
    random = np.random.default_rng(0)
    descriptors = random.normal(0, 1, (11, 128)).astype(np.float32)
    descriptors[9] = descriptors[1] + 0.01
    descriptors[10] = descriptors[9]
    names = np.array([str(i) for i in range(11)])
    hashes = random.integers(0, 2**64, (11, 4), np.uint64)
    found = duplicates.find(names, hashes, np.ones(11, bool), descriptors)
    assert rows(found.near) == [[1, 9, 10]]


def test_conflicts_count_every_pair() -> None:
    samples = pl.DataFrame(
        {
            "age": [10, 10, 30, 50, 53],
            "gender": ["male", "female", "male", None, "male"],
            "race": ["white"] * 5,
            "fold": [0, 0, 1, 2, 2],
        }
    )
    groups = [np.array([0, 1, 2]), np.array([3, 4])]
    counted = duplicates.conflicts(samples, groups)
    assert counted == duplicates.Conflicts(
        pairs=4, other_age=3, age_difference=pytest.approx(43 / 4), beyond_5=2,
        other_gender=2, other_race=0, other_fold=2,
    )  # fmt: skip
    assert duplicates.conflicts(samples, []).pairs == 0
