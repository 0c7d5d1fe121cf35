import numpy as np
import pytest

from agelens.images.resample import cut, shrink


def test_identity_whole_shifts_and_quarter_turns_are_exact() -> None:
    picture = np.random.default_rng(1).integers(0, 255, (30, 30, 3), np.uint8)
    same = cut(picture, np.array([[1.0, 0, 0], [0, 1, 0]]), 30)
    np.testing.assert_array_equal(same, picture)
    moved = cut(picture, np.array([[1.0, 0, 5], [0, 1, 3]]), 20)
    np.testing.assert_array_equal(moved, picture[3:23, 5:25])
    turned = cut(picture, np.array([[0.0, -1, 30], [1, 0, 0]]), 30)
    np.testing.assert_array_equal(turned, np.rot90(picture))


@pytest.mark.parametrize("times", [2, 3, 8, 40])
def test_whole_shrinking_averages_blocks(times: int) -> None:
    picture = np.random.default_rng(2).integers(0, 255, (10 * times, 10 * times, 3), np.uint8)
    small = cut(picture, np.array([[times, 0.0, 0], [0, times, 0]]), 10)
    blocks = picture.reshape(10, times, 10, times, 3).mean((1, 3))
    assert np.abs(small.astype(float) - blocks).max() <= 1.5


def test_shrink_keeps_the_mean_and_returns_equal_sizes_unchanged() -> None:
    picture = np.random.default_rng(3).integers(0, 255, (64, 48, 3), np.uint8)
    assert shrink(picture, 48, 64) is picture
    small = shrink(picture, 12, 16)
    assert small.shape == (16, 12, 3) and abs(small.mean() - picture.mean()) < 1
    assert shrink(picture, 96, 128).shape == (128, 96, 3)


def test_bicubic_enlarging_keeps_more_detail() -> None:
    y, x = np.mgrid[:192, :192]
    fine = (127 + 60 * np.sin(x / 5) * np.cos(y / 7))[..., None].repeat(3, 2).round()
    small = cut(fine.astype(np.uint8), np.array([[4.0, 0, 0], [0, 4.0, 0]]), 48)
    enlarge = np.array([[0.25, 0, 0], [0, 0.25, 0]])
    loss = [
        np.abs(cut(small, enlarge, 192, cubic=cubic) - fine)[8:-8, 8:-8].mean()
        for cubic in (False, True)
    ]
    assert loss[1] < 0.7 * loss[0]
