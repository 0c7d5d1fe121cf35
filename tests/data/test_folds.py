from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agelens.data.dataset import assign_folds, hashed_fold, published, published_fold, split_folds
from agelens.data.labels import read_label
from agelens.errors import DatasetError


@pytest.mark.parametrize(
    ("split", "train", "validation", "test"),
    [
        (0, (0, 1, 2, 3, 4, 5), (6, 7), (8, 9)),
        (1, (2, 3, 4, 5, 6, 7), (8, 9), (0, 1)),
        (2, (4, 5, 6, 7, 8, 9), (0, 1), (2, 3)),
        (3, (5, 6, 7, 8, 9, 0), (1, 2), (3, 4)),
        (4, (6, 7, 8, 9, 0, 1), (2, 3), (4, 5)),
    ],
)
def test_splits_are_the_protocols(
    split: int, train: tuple[int, ...], validation: tuple[int, ...], test: tuple[int, ...]
) -> None:
    folds = split_folds(split)
    assert (folds.train, folds.validation, folds.test) == (train, validation, test)
    for other in (-1, 5):
        with pytest.raises(DatasetError, match=f"no split {other}: expected 0 to 4"):
            split_folds(other)


def test_published_folds_are_whole() -> None:
    folds = published()
    assert len(folds) == 23_704
    assert set(folds.values()) == set(range(10))
    assert min(Counter(folds.values()).values()) > 2_200
    for name in folds:
        read_label(name)
    # Most pictures are a group of their own, whose fold is the hash of their name.
    own = sum(hashed_fold(name) == fold for name, fold in folds.items())
    assert own / len(folds) > 0.95


def test_published_folds_know_plain_names_too_but_no_others() -> None:
    assert published_fold("100_0_0_20170112215240346.jpg.chip.jpg") == 8
    assert published_fold("100_0_0_20170112215240346.jpg") == 8
    assert published_fold("30_0_0_20200101000000000.jpg") is None
    assert published_fold("readme.txt") is None


def test_hash_is_the_documented_one() -> None:
    # printf a.jpg | sha256sum gives 509b0d46..., which is 1352338758
    assert hashed_fold("a.jpg") == 1352338758 % 10


def test_copies_follow_the_first_by_name() -> None:
    folds = assign_folds({"30_0_0_b.jpg": "same", "20_0_0_a.jpg": "same", "40_0_0_c.jpg": "other"})
    assert folds == {
        "20_0_0_a.jpg": hashed_fold("20_0_0_a.jpg"),
        "30_0_0_b.jpg": hashed_fold("20_0_0_a.jpg"),
        "40_0_0_c.jpg": hashed_fold("40_0_0_c.jpg"),
    }


def test_copies_of_a_published_picture_get_its_fold() -> None:
    known = "100_0_0_20170112215240346.jpg.chip.jpg"
    for first in ("0_0_0_before.jpg", "99_0_0_after.jpg"):
        assert assign_folds({first: "same", known: "same"}) == {first: 8, known: 8}


@given(st.dictionaries(st.from_regex(r"[a-z]{1,4}\.jpg", fullmatch=True), st.sampled_from("abcde")))
def test_no_digest_stands_in_two_folds(digests: dict[str, str]) -> None:
    folds = assign_folds(digests)
    assert folds.keys() == digests.keys()
    assert all(0 <= fold <= 9 for fold in folds.values())
    assert len({(digests[name], fold) for name, fold in folds.items()}) == len(
        set(digests.values())
    )
