import numpy as np
import polars as pl
import pytest

from agelens.errors import DatasetError
from agelens.evaluation.recalibration.recalibrate import split_in_half
from agelens.evaluation.recalibration.verdicts import MIN_HALF


def table(folds: list[int], **columns: list[object]) -> pl.DataFrame:
    digests = [f"{number:064}" for number in range(len(folds))]
    return pl.DataFrame({"fold": folds, "sha256": digests, **columns})


def test_whole_folds_go_to_one_half() -> None:
    samples = table([number % 10 for number in range(1000)])
    halves = split_in_half(samples, 0)
    assert (halves.by, int(halves.fit.sum())) == ("folds", 500)
    folds = samples["fold"].to_numpy()
    assert not set(folds[halves.fit]) & set(folds[halves.check])
    assert np.array_equal(split_in_half(samples, 0).fit, halves.fit)
    assert any(
        not np.array_equal(split_in_half(samples, seed).fit, halves.fit) for seed in range(1, 5)
    )


def test_single_fold_is_split_by_people_or_photos() -> None:
    people = [f"p{number // 7}" if number % 3 else None for number in range(700)]
    samples = table([3] * 700, subject=people)
    halves = split_in_half(samples, 1)
    assert halves.by == "people"
    assert abs(halves.fit.mean() - 0.5) < 0.05
    told = np.array([one is not None for one in people])
    names = np.array(people, object)
    assert not set(names[halves.fit & told]) & set(names[halves.check & told])
    copies = table([3] * 700).with_columns(
        pl.Series("sha256", [f"{n // 2:064}" for n in range(700)])
    )
    halves = split_in_half(copies, 1)
    assert halves.by == "photos"
    assert np.array_equal(halves.fit[::2], halves.fit[1::2])


def test_too_small_halves_are_refused() -> None:
    assert int(split_in_half(table([n % 2 for n in range(2 * MIN_HALF)]), 0).fit.sum()) == MIN_HALF
    with pytest.raises(DatasetError, match=f"expected at least {MIN_HALF}"):
        split_in_half(table([n % 2 for n in range(2 * MIN_HALF - 2)]), 0)
    with pytest.raises(DatasetError, match="0 faces are too few"):
        split_in_half(table([]), 0)
