from dataclasses import replace

import numpy as np

from agelens.training.batches.augmentation import Augment
from agelens.training.batches.distributed import Worker
from agelens.training.batches.loader import Loader
from agelens.training.recipes.config import AugmentConfig


def test_a_loader_gives_each_face_once_and_the_same_order_for_a_seed() -> None:
    chips = np.arange(10, dtype=np.uint8).repeat(200 * 200 * 3).reshape(10, 200, 200, 3)
    rows = np.array([1, 3, 4, 7, 9])
    loader = Loader(chips, rows, rows * 10, rows % 2, 2)
    assert [batch.ages.tolist() for batch in loader.in_order()] == [[10, 30], [40, 70], [90]]
    augment = Augment(AugmentConfig(brightness=0, contrast=0, saturation=0, erase=0, degrade=0))

    def ages(seed: int, epoch: int) -> list[int]:
        batches = list(loader.shuffled(augment, 32, seed, epoch))
        for batch in batches:
            assert len(batch.ages) > 1  # batch statistics need two
            assert np.abs(batch.chips.mean((1, 2, 3)) * 10 - batch.ages).max() < 10
        return [age for batch in batches for age in batch.ages.tolist()]

    assert sorted(ages(0, 0)) == [10, 30, 40, 70, 90]
    assert ages(0, 0) == ages(0, 0)
    assert len({tuple(ages(seed, epoch)) for seed in range(3) for epoch in range(3)}) > 3


def test_the_shards_of_all_workers_make_the_whole_batch() -> None:
    rows = np.arange(10)
    whole = Loader(np.zeros((10, 200, 200, 3), np.uint8), rows, rows, rows % 2, 4)
    shards = [replace(whole, worker=Worker(rank, 3)) for rank in range(3)]
    augment = Augment(AugmentConfig())
    together = zip(*(one.shuffled(augment, 32, 0, 0) for one in shards), strict=True)
    for batches, of_one in zip(together, whole.shuffled(augment, 32, 0, 0), strict=False):
        assert [batch.ages[0] for batch in batches] == of_one.ages[:3].tolist()
    seen = [age for one in shards for batch in one.in_order() for age in batch.ages]
    assert sorted(seen) == list(range(10))
    assert {len(list(one.shuffled(augment, 32, 0, 0))) for one in shards} == {2}
