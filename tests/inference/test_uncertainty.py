"""Uncertainty: the error probability, status and reasons of predictions."""

import numpy as np
import pytest

from agelens.inference.uncertainty import assess, large_error_probability
from agelens.results import Reason, Status


def bell(centre: float, sigma: float) -> np.ndarray:
    p = np.exp(-((np.arange(117) - centre) ** 2) / (2 * sigma**2))
    return (p / p.sum()).astype(np.float32)


def test_the_large_error_probability_is_the_mass_beyond_ten_years() -> None:
    ages = np.stack([bell(40, 10 / 1.96), bell(40, 2), np.full(117, 1 / 117, np.float32)])
    probability = large_error_probability(np.array([40.0, 40.0, 58.0]), ages)
    assert probability[0] == pytest.approx(0.05, abs=0.02)
    assert probability[1] < 1e-5
    assert probability[2] == pytest.approx(96 / 117, abs=1e-6)


def test_each_reason_has_its_cause() -> None:
    ages = np.stack([bell(40, 2), bell(40, 15), bell(40, 2), bell(40, 15)])
    female = np.array([0.99, 0.01, 0.6, 0.45], np.float32)
    assessed = assess(np.full(4, 40.0), ages, female)
    assert [one.status for one in assessed] == [Status.OK] + [Status.UNSURE] * 3
    assert [one.reasons for one in assessed] == [
        (), (Reason.AGE_UNCLEAR,), (Reason.GENDER_UNCLEAR,),
        (Reason.AGE_UNCLEAR, Reason.GENDER_UNCLEAR),
    ]  # fmt: skip
    probabilities = [one.error_probability for one in assessed]
    assert min(probabilities) == probabilities[0]
    assert probabilities[2] == pytest.approx(0.4, abs=1e-3)
    assert all(0 <= p <= 1 for p in probabilities)


def test_a_poorly_visible_face_is_poor_even_if_the_model_is_certain() -> None:
    ages = np.stack([bell(40, 2), bell(40, 15), bell(40, 2)])
    issues = [(Reason.BLURRED,), (Reason.TOO_SMALL, Reason.DARK), ()]
    female = np.full(3, 0.99, np.float32)
    assessed = assess(np.full(3, 40.0), ages, female, quality_issues=issues)
    assert [one.status for one in assessed] == [Status.POOR, Status.POOR, Status.OK]
    assert assessed[1].reasons == (Reason.TOO_SMALL, Reason.DARK, Reason.AGE_UNCLEAR)
    assert assessed[0].error_probability == assessed[2].error_probability  # the model's own


def test_no_face_gives_no_assessment() -> None:
    none = np.zeros(0, np.float32)
    assert assess(np.zeros(0), np.zeros((0, 117), np.float32), none) == []
