"""Labels that models find implausible; the files such answers are read from."""

import numpy as np
import polars as pl
import pytest

from agelens.data.audit import label_errors, out_of_fold
from agelens.data.audit.out_of_fold import OutOfFoldPredictions
from agelens.errors import DatasetError
from agelens.inference import distribution
from labelled import bells

GRID = np.arange(distribution.AGES)


def planted(count: int = 2000, wrong: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give ages of which the first are wrong by 25 to 40 years, what is said, and the truth."""
    random = np.random.default_rng(0)
    true = random.integers(20, 60, count)
    said = bells(np.clip(true + random.normal(0, 4, count), 0, 116))
    ages = np.clip(true + np.rint(random.normal(0, 2, count)).astype(int), 0, 116)
    ages[:wrong] = true[:wrong] + random.integers(25, 41, wrong)
    return ages, said, true


def test_planted_ages_come_first_and_about_as_many_are_suspect() -> None:
    ages, said, _ = planted()
    doubt = label_errors.score_ages(ages, said)
    assert set(doubt.order()[:60]) == set(range(60))
    assert 50 <= doubt.suspect.sum() <= 75
    assert doubt.suspect[:60].mean() > 0.8
    assert (doubt.plausibility[doubt.suspect] < 0.5).all()
    assert doubt.suspects().tolist() == [row for row in doubt.order() if doubt.suspect[row]]


def test_sound_labels_are_hardly_suspect() -> None:
    ages, said, _ = planted(wrong=0)
    assert label_errors.score_ages(ages, said).suspect.sum() <= 2


def test_a_sure_model_doubts_a_smaller_error_than_an_unsure_one() -> None:
    ages = np.array([30, 30])
    said = np.concatenate([bells(np.array([45]), 2), bells(np.array([45]), 15)])
    doubt = label_errors.score_ages(ages, said)
    assert doubt.score[0] > doubt.score[1]
    assert doubt.plausibility[0] < doubt.plausibility[1]


def test_the_ranked_score_of_a_certain_answer_is_its_error() -> None:
    said = np.eye(distribution.AGES)[[40, 40, 40]]
    assert label_errors.ranked_score(np.array([40, 47, 12]), said).tolist() == [0, 7, 28]


def test_flipped_genders_are_suspect() -> None:
    random = np.random.default_rng(1)
    true = random.integers(0, 2, 1000).astype(bool)
    logit = np.where(true, 3, -3) + random.normal(0, 1, 1000)
    female = true.copy()
    female[:30] ^= True
    doubt = label_errors.score_genders(female, 1 / (1 + np.exp(-logit)))
    assert set(doubt.order()[:25]) <= set(range(30))
    assert 15 <= doubt.suspect.sum() <= 40
    assert doubt.suspect[30:].mean() < 0.01


def test_one_gender_alone_and_nobody_are_no_trouble() -> None:
    assert not label_errors.score_genders(np.ones(5, bool), np.full(5, 0.9)).suspect.any()
    assert len(label_errors.score_genders(np.zeros(0, bool), np.zeros(0)).score) == 0
    assert len(label_errors.score_ages(np.zeros(0, int), np.zeros((0, 117))).score) == 0


def frame(ages: np.ndarray, genders: list[str | None]) -> pl.DataFrame:
    files = [f"{i}.jpg" for i in range(len(ages))]
    return pl.DataFrame({"file": files, "age": ages, "gender": genders})


def test_what_was_not_answered_or_not_told_is_not_judged() -> None:
    ages, said, _ = planted(400, 20)
    genders: list[str | None] = ["female"] * 400
    genders[0] = None
    probability = np.full(400, 0.95)
    probability[5] = 0.02
    said[1], probability[1] = np.nan, np.nan
    doubts = label_errors.score_labels(
        frame(ages, genders), OutOfFoldPredictions(said, probability)
    )
    assert np.isnan(doubts.age.score[1])
    assert doubts.age.order()[-1] == 1
    assert not doubts.age.suspect[1]
    assert doubts.age.suspect[0]
    assert np.isnan(doubts.gender.score[[0, 1]]).all()
    assert doubts.gender.order()[0] == 5
    assert doubts.predicted_gender(5) == "male (98.0 %)"
    assert doubts.age_low[2] < doubts.age_median[2] < doubts.age_high[2]


def test_answers_are_joined_by_file_name(tmp_path) -> None:
    ages = np.array([20, 30, 40])
    spread = bells(ages).astype(np.float32)
    table = frame(ages, ["male"] * 3).with_columns(
        pl.Series("age_probabilities", spread, pl.Array(pl.Float32, 117)),
        pl.Series("female_probability", [0.1, 0.2, 0.3]),
    )
    table[[2, 0]].write_parquet(tmp_path / "said.parquet")
    said = out_of_fold.read(tmp_path / "said.parquet", table)
    assert said.available.tolist() == [True, False, True]
    assert said.female_probability[[0, 2]].tolist() == [0.1, 0.3]
    assert said.age_probabilities[2] == pytest.approx(spread[2])


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"file": ["0.jpg"]}, "cannot read out-of-fold answers"),
        (
            {"file": ["x"], "age_probabilities": [[1.0]], "female_probability": [0.5]},
            "answers none of the 2 faces",
        ),
        (
            {"file": ["0.jpg"], "age_probabilities": [[1.0]], "female_probability": [0.5]},
            "expected 117 age_probabilities",
        ),
    ],
)
def test_other_files_are_refused(tmp_path, columns, said) -> None:
    pl.DataFrame(columns).write_parquet(tmp_path / "said.parquet")
    with pytest.raises(DatasetError, match=said):
        out_of_fold.read(tmp_path / "said.parquet", frame(np.array([1, 2]), ["male"] * 2))
    with pytest.raises(DatasetError, match="cannot read out-of-fold answers"):
        out_of_fold.read(tmp_path / "none.parquet", frame(np.array([1, 2]), ["male"] * 2))
