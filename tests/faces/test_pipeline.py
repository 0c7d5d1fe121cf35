"""FacePipeline: chips cut in order, errors as values; prefetching: in order, a few items ahead."""

import itertools
import threading
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from agelens.errors import BadPicture
from agelens.faces.pipeline import DETECTORS, FacePipeline, Settings, prefetch
from agelens.images.sources import Source
from agelens.inference.runtime import CHIP
from agelens.provenance import Stopwatch
from agelens.results import Reason

STAGES = ("decode", "detect", "align")


def pipeline(threads: int = 1) -> FacePipeline:
    settings = Settings(longest=640, threads=threads)
    return FacePipeline(Stopwatch(STAGES), settings)


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


def test_a_doubtful_detection_is_dropped_unless_asked_for(astronaut, monkeypatch) -> None:
    (face,) = pipeline().process(Source("a", astronaut), chips=False, keep_picture=False).faces
    blocks = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    texture = np.kron(blocks, np.ones((32, 32, 1), np.uint8))

    def kept(picture, score: float, **settings) -> int:
        detector = SimpleNamespace(detect=lambda _: [replace(face, score=score)])
        monkeypatch.setitem(DETECTORS, "fake", lambda longest: detector)
        faces = FacePipeline(Stopwatch(STAGES), Settings(detector="fake", **settings))
        found = faces.process(Source("a", picture), chips=False, keep_picture=False)
        assert len(found.faces) == len(found.chips) == len(found.quality_issues)
        return len(found.faces)

    assert kept(texture, 0.8) == 0
    assert (
        kept(texture, 0.8, keep_doubtful=True) == kept(texture, 0.95) == kept(astronaut, 0.8) == 1
    )


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
