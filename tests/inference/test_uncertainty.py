"""Doubt: how likely an answer is far off, by its own distribution."""

import numpy as np
import pytest

from agelens.inference.uncertainty import assess, large_error_probability
from agelens.results import Reason, Status


def bell(centre: float, sigma: float) -> np.ndarray:
    p = np.exp(-((np.arange(117) - centre) ** 2) / (2 * sigma**2))
    return (p / p.sum()).astype(np.float32)


def test_the_chance_to_be_far_off_is_the_mass_beyond_ten_years() -> None:
    ages = np.stack([bell(40, 10 / 1.96), bell(40, 2), np.full(117, 1 / 117, np.float32)])
    chance = large_error_probability(np.array([40.0, 40.0, 58.0]), ages)
    assert chance[0] == pytest.approx(0.05, abs=0.02)
    assert chance[1] < 1e-5
    assert chance[2] == pytest.approx(96 / 117, abs=1e-6)


def test_each_reason_has_its_cause() -> None:
    ages = np.stack([bell(40, 2), bell(40, 15), bell(40, 2), bell(40, 15)])
    female = np.array([0.99, 0.01, 0.6, 0.45], np.float32)
    verdicts = assess(np.full(4, 40.0), ages, female)
    assert [v.status for v in verdicts] == [Status.OK] + [Status.UNSURE] * 3
    assert [set(v.reasons) for v in verdicts] == [
        set(), {Reason.AGE_UNCLEAR}, {Reason.GENDER_UNCLEAR},
        {Reason.AGE_UNCLEAR, Reason.GENDER_UNCLEAR},
    ]  # fmt: skip
    assert sorted(v.error_probability for v in verdicts)[0] == verdicts[0].error_probability
    assert verdicts[2].error_probability == pytest.approx(0.4, abs=1e-3)
    assert all(0 <= v.error_probability <= 1 for v in verdicts)


def test_a_face_that_is_not_seen_well_is_poor_however_sure_the_model_is() -> None:
    ages = np.stack([bell(40, 2), bell(40, 15), bell(40, 2)])
    poor = [(Reason.BLURRED,), (Reason.TOO_SMALL, Reason.DARK), ()]
    verdicts = assess(np.full(3, 40.0), ages, np.full(3, 0.99, np.float32), quality_issues=poor)
    assert [v.status for v in verdicts] == [Status.POOR, Status.POOR, Status.OK]
    assert verdicts[1].reasons == (Reason.TOO_SMALL, Reason.DARK, Reason.AGE_UNCLEAR)
    assert verdicts[0].error_probability == verdicts[2].error_probability  # it is the model's own


def test_no_face_no_verdict() -> None:
    none = np.zeros(0, np.float32)
    assert assess(np.zeros(0), np.zeros((0, 117), np.float32), none) == []
