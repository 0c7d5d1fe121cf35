"""Faces found and cut out: errors as values, in order, a few pictures ahead."""

import numpy as np
import pytest

from agelens.errors import BadPicture, ConfigError
from agelens.faces.pipeline import Finder
from agelens.inference.runtime import CHIP
from agelens.results import Reason
from agelens.stopwatch import Stopwatch


def finder(**settings) -> Finder:
    usual = {"longest": 640, "min_face": 0, "max_faces": None, "threads": 1}
    return Finder(Stopwatch(("decode", "detect", "align")), **usual | settings)


def test_faces_are_cut_out_and_what_cannot_be_read_has_its_error(astronaut) -> None:
    found = finder().find("a", astronaut, chips=False, keep=True)
    assert (found.name, found.width, found.height, found.error) == ("a", 512, 512, None)
    assert found.chips.shape == (1, CHIP, CHIP, 3)
    assert len(found.faces) == len(found.poor) == 1
    assert found.picture is not None
    bad = finder().find("b", b"no picture", chips=False, keep=True)
    assert isinstance(bad.error, BadPicture)
    assert (bad.faces, len(bad.chips), bad.picture) == ([], 0, None)


def test_a_chip_is_taken_as_it_is() -> None:
    grey = np.full((50, 50, 3), 90, np.uint8)
    found = finder().find("chip", grey, chips=True, keep=False)
    assert found.faces is None
    assert (found.chips == 90).all()
    assert found.chips.shape == (1, CHIP, CHIP, 3)
    assert Reason.BLURRED in found.poor[0]


@pytest.mark.parametrize("threads", [1, 3])
def test_pictures_come_in_order_whatever_the_threads(threads: int) -> None:
    named = [(str(i), np.full((40 + i, 40, 3), 90, np.uint8)) for i in range(9)]
    found = finder(threads=threads).find_ahead(named, chips=False, keep=False)
    assert [(one.name, one.height) for one in found] == [(str(i), 40 + i) for i in range(9)]


def test_settings_out_of_range_are_told() -> None:
    for wrong in ({"min_face": -1}, {"max_faces": 0}, {"threads": 0}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            finder(**wrong)


def test_a_stage_that_fails_takes_its_time_too() -> None:
    watch = Stopwatch(("decode", "detect"))
    with pytest.raises(ValueError, match="broken"), watch.timed("decode"):
        sum(range(1000))
        raise ValueError("broken")
    assert watch["decode"] > 0
    assert watch["detect"] == 0
