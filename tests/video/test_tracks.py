"""Tracks as plain values and as text."""

import json

import numpy as np

from agelens.results import Gender, Prediction
from agelens.video.tracks import Track

AGES = np.zeros(117, np.float32)
AGES[34] = 1
ONE = Prediction(34.2, (28.4, 40.6), AGES, Gender.FEMALE, 0.9, None, None, None)
TRACK = Track(2, 12, 60, 2.4004, 7.0, 9, ONE)


def test_plain_values() -> None:
    plain = json.loads(json.dumps(TRACK.to_dict()))
    assert plain.items() >= {
        "person": 2, "views": 9, "first_frame": 12, "last_frame": 60,
        "first_time": 2.4, "last_time": 7.0, "age": 34.2, "gender": "female",
    }.items()  # fmt: skip
    assert plain == TRACK.span() | ONE.to_dict()


def test_words() -> None:
    assert str(TRACK) == "woman, 34 (28-41), 2.4-7.0 s"
