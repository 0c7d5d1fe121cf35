import numpy as np
import polars as pl
import pytest

from agelens.data.audit import label_errors
from agelens.data.audit.label_errors import OutOfFoldPredictions
from agelens.errors import DatasetError
from agelens.inference import distribution
from labelled import bells


def planted(count: int = 2000, wrong: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Give ages of which the first are wrong by 25 to 40 years, and predictions."""
    random = np.random.default_rng(0)
    true = random.integers(20, 60, count)
    predicted = bells(np.clip(true + random.normal(0, 4, count), 0, 116))
    ages = np.clip(true + np.rint(random.normal(0, 2, count)).astype(int), 0, 116)
    ages[:wrong] = true[:wrong] + random.integers(25, 41, wrong)
    return ages, predicted


def test_planted_ages_come_first_and_about_as_many_are_suspect() -> None:
    scores = label_errors.score_ages(*planted())
    assert set(scores.order()[:60]) == set(range(60))
    assert 50 <= scores.suspect.sum() <= 75
    assert scores.suspect[:60].mean() > 0.8
    assert (scores.plausibility[scores.suspect] < 0.5).all()
    assert scores.suspects().tolist() == [row for row in scores.order() if scores.suspect[row]]
    assert label_errors.score_ages(*planted(wrong=0)).suspect.sum() <= 2


def test_a_confident_model_suspects_more() -> None:
    unsure = np.concatenate([bells(np.array([45]), 2), bells(np.array([45]), 15)])
    scores = label_errors.score_ages(np.array([30, 30]), unsure)
    assert scores.score[0] > scores.score[1]
    assert scores.plausibility[0] < scores.plausibility[1]
    certain = np.eye(distribution.AGES)[[40, 40, 40]]  # its score is its error
    assert label_errors.ranked_score(np.array([40, 47, 12]), certain).tolist() == [0, 7, 28]


def test_flipped_genders_are_suspect() -> None:
    random = np.random.default_rng(1)
    true = random.integers(0, 2, 1000).astype(bool)
    logit = np.where(true, 3, -3) + random.normal(0, 1, 1000)
    female = true.copy()
    female[:30] ^= True
    scores = label_errors.score_genders(female, 1 / (1 + np.exp(-logit)))
    assert set(scores.order()[:25]) <= set(range(30))
    assert 15 <= scores.suspect.sum() <= 40
    assert scores.suspect[30:].mean() < 0.01
    assert not label_errors.score_genders(np.ones(5, bool), np.full(5, 0.9)).suspect.any()
    assert len(label_errors.score_genders(np.zeros(0, bool), np.zeros(0)).score) == 0
    assert len(label_errors.score_ages(np.zeros(0, int), np.zeros((0, 117))).score) == 0


def frame(ages: np.ndarray, genders: list[str | None]) -> pl.DataFrame:
    files = [f"{i}.jpg" for i in range(len(ages))]
    return pl.DataFrame({"file": files, "age": ages, "gender": genders})


def test_a_label_without_a_prediction_is_not_judged() -> None:
    ages, predicted = planted(400, 20)
    genders: list[str | None] = ["female"] * 400
    genders[0] = None
    probability = np.full(400, 0.95)
    probability[5] = 0.02
    predicted[1], probability[1] = np.nan, np.nan
    scored = label_errors.score_labels(
        frame(ages, genders), OutOfFoldPredictions(predicted, probability)
    )
    assert np.isnan(scored.age.score[1])
    assert scored.age.order()[-1] == 1
    assert not scored.age.suspect[1]
    assert scored.age.suspect[0]
    assert np.isnan(scored.gender.score[[0, 1]]).all()
    assert (scored.gender.order()[0], scored.predicted_gender(5)) == (5, "male (98.0 %)")
    assert scored.age_low[2] < scored.age_median[2] < scored.age_high[2]


def test_predictions_are_joined_by_file_name(tmp_path) -> None:
    ages = np.array([20, 30, 40])
    spread = bells(ages).astype(np.float32)
    table = frame(ages, ["male"] * 3).with_columns(
        pl.Series("age_probabilities", spread, pl.Array(pl.Float32, 117)),
        pl.Series("female_probability", [0.1, 0.2, 0.3]),
    )
    table[[2, 0]].write_parquet(tmp_path / "predicted.parquet")
    predicted = label_errors.read_predictions(tmp_path / "predicted.parquet", table)
    assert predicted.available.tolist() == [True, False, True]
    assert predicted.female_probability[[0, 2]].tolist() == [0.1, 0.3]
    assert predicted.age_probabilities[2] == pytest.approx(spread[2])


SHORT = {"age_probabilities": [[1.0]], "female_probability": [0.5]}


@pytest.mark.parametrize(
    ("columns", "predicted"),
    [
        ({"file": ["0.jpg"]}, "cannot read out-of-fold answers"),
        ({"file": ["x"], **SHORT}, "answers none of the 2 faces"),
        ({"file": ["0.jpg"], **SHORT}, "expected 117 age_probabilities"),
    ],
)
def test_files_without_predictions_are_refused(tmp_path, columns, predicted) -> None:
    samples = frame(np.array([1, 2]), ["male"] * 2)
    pl.DataFrame(columns).write_parquet(tmp_path / "predicted.parquet")
    with pytest.raises(DatasetError, match=predicted):
        label_errors.read_predictions(tmp_path / "predicted.parquet", samples)
    with pytest.raises(DatasetError, match="cannot read out-of-fold answers"):
        label_errors.read_predictions(tmp_path / "none.parquet", samples)
