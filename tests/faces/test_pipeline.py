"""FacePipeline: chips cut in order, errors as values; prefetching: in order, a few items ahead."""

import itertools
import threading

import numpy as np
import pytest

from agelens.errors import BadPicture
from agelens.faces.pipeline import FacePipeline, Settings, prefetch
from agelens.images.sources import Source
from agelens.inference.runtime import CHIP
from agelens.provenance import Stopwatch
from agelens.results import Reason


def pipeline(threads: int = 1) -> FacePipeline:
    settings = Settings(longest=640, threads=threads)
    return FacePipeline(Stopwatch(("decode", "detect", "align")), settings)


def test_faces_are_cut_and_unreadable_inputs_carry_their_error(astronaut) -> None:
    found = pipeline().process(Source("a", astronaut), chips=False, keep_picture=True)
    assert (found.name, found.width, found.height, found.error) == ("a", 512, 512, None)
    assert found.chips.shape == (1, CHIP, CHIP, 3)
    assert len(found.faces) == len(found.quality_issues) == 1 and found.picture is not None
    bad = pipeline().process(Source("b", b"no picture"), chips=False, keep_picture=True)
    assert isinstance(bad.error, BadPicture)
    assert (bad.faces, len(bad.chips), bad.picture) == ([], 0, None)


def test_an_aligned_chip_is_used_as_it_is() -> None:
    grey = np.full((50, 50, 3), 90, np.uint8)
    found = pipeline().process(Source("chip", grey), chips=True, keep_picture=False)
    assert found.faces is None and found.chips.shape == (1, CHIP, CHIP, 3)
    assert (found.chips == 90).all() and Reason.BLURRED in found.quality_issues[0]


@pytest.mark.parametrize("threads", [1, 3])
def test_pictures_come_in_order_with_any_number_of_threads(threads: int) -> None:
    sources = [Source(str(i), np.full((40 + i, 40, 3), 90, np.uint8)) for i in range(9)]
    found = pipeline(threads).stream(sources, chips=False, keep_pictures=False)
    assert [(one.name, one.height) for one in found] == [(str(i), 40 + i) for i in range(9)]


def test_the_time_of_a_failing_stage_counts() -> None:
    watch = Stopwatch(("decode", "detect"))
    with pytest.raises(ValueError, match="broken"), watch.timed("decode"):
        sum(range(1000))
        raise ValueError("broken")
    assert watch["decode"] > 0 == watch["detect"]


def test_results_come_in_order_while_others_are_in_progress() -> None:
    second = threading.Event()

    def work(number: int) -> int:
        if number == 0:
            assert second.wait(30)  # the first cannot end before the second has begun
        if number == 1:
            second.set()
        return number * number

    assert list(prefetch(work, range(20), 2)) == [n * n for n in range(20)]


def test_endless_iterables_are_consumed_only_a_few_ahead() -> None:
    taken = itertools.count()
    results = prefetch(lambda number: number, taken, 3)
    assert list(itertools.islice(results, 5)) == [0, 1, 2, 3, 4]
    results.close()
    assert next(taken) <= 5 + 3 + 1


def test_an_exception_is_raised_in_place_of_its_result() -> None:
    results = prefetch(lambda number: 1 // number, [2, 1, 0, 3], 2)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)
