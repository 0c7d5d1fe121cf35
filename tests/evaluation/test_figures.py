import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics as sklearn

from agelens.evaluation import figures, metrics
from agelens.evaluation.bootstrap import Estimate
from agelens.evaluation.figures import Faces
from labelled import bells, draws

N = 2000


def labels(seed: int = 0) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    random = np.random.default_rng(seed)
    return random.integers(0, 101, N), random.random(N) < 0.45


def one_hot(ages: NDArray[np.int64]) -> NDArray[np.float32]:
    return np.eye(117, dtype=np.float32)[ages]


def measure(*faces: object, resamples: int = 300) -> dict[str, Estimate]:
    made = Faces.from_distributions(*faces)  # type: ignore[arg-type]
    return figures.headline_figures(made, draws(len(made), resamples))


def test_a_perfect_predictor() -> None:
    age, female = labels()
    found = measure(age, female, one_hot(age), female.astype(float))
    for name in ("age_mae", "age_mae_of_mean", "age_rmse", "age_bias", "age_median_error",
                 "gender_brier", "gender_ece"):  # fmt: skip
        assert found[name].value == pytest.approx(0, abs=1e-6), name
    for name in ("age_exact", "age_within_5", "age_group_accuracy_adience", "gender_accuracy",
                 "age_group_accuracy_fairface", "gender_balanced_accuracy", "gender_auc",
                 "female_precision", "female_recall", "female_f1", "male_f1",
                 "interval_coverage"):  # fmt: skip
        assert (found[name].value, found[name].low, found[name].high) == (1, 1, 1), name
    assert found["gender_log_loss"].value == pytest.approx(0, abs=1e-6)
    assert found["interval_width"].value == 0  # the first year is the last


def test_a_constant_predictor() -> None:
    age, female = labels()
    found = measure(age, female, one_hot(np.full(N, 37)), np.full(N, 0.5))
    expected = {
        "age_mae": np.abs(age - 37).mean(), "age_bias": 37 - age.mean(),
        "age_rmse": np.sqrt(age.var() + (37 - age.mean()) ** 2), "age_exact": (age == 37).mean(),
        "gender_accuracy": female.mean(),  # a half is female
        "gender_balanced_accuracy": 0.5, "female_recall": 1, "male_recall": 0,
        "male_precision": np.nan,  # nobody was called male
        "gender_auc": 0.5, "gender_brier": 0.25, "gender_log_loss": np.log(2),
        "gender_ece": 0.5 - female.mean(),
    }  # fmt: skip
    assert {name: found[name].value for name in expected} == pytest.approx(expected, nan_ok=True)


def test_a_random_predictor() -> None:
    age, female = labels()
    random = np.random.default_rng(9)
    found = measure(age, female, one_hot(random.integers(0, 101, N)), random.random(N))
    near = {
        "age_mae": (100 / 3, 1.5), "age_rmse": (100 / np.sqrt(6), 1.5),  # of two uniform ages
        "age_bias": (0, 2.5), "age_exact": (1 / 101, 0.008), "gender_accuracy": (0.5, 0.035),
        "gender_balanced_accuracy": (0.5, 0.035), "gender_auc": (0.5, 0.04),
        "gender_brier": (1 / 3, 0.025), "gender_log_loss": (1, 0.08),
        "gender_ece": (0.25, 0.035),  # 75 % sure, 50 % right
    }  # fmt: skip
    for name, (theory, tolerance) in near.items():
        assert found[name].value == pytest.approx(theory, abs=tolerance), name
        assert found[name].low < found[name].value < found[name].high, name


def test_calibrated_distributions_reach_their_nominal_coverage() -> None:
    random = np.random.default_rng(5)
    centre = random.uniform(25, 90, N)
    spread = bells(centre, 8)
    age = (spread.cumsum(axis=1) < random.random((N, 1))).sum(axis=1)
    found = measure(age, age > 0, spread.astype(np.float32), np.ones(N))
    # whole years: the ends are rounded outwards, which adds about one year of mass
    assert 0.89 < found["interval_coverage"].value < 0.94
    assert found["interval_width"].value == pytest.approx(2 * 1.645 * 8, rel=0.02)
    assert np.isnan(found["gender_auc"].value)  # one gender only


def test_figures_are_those_of_metrics_and_sklearn() -> None:
    age, female = labels(3)
    random = np.random.default_rng(4)
    spread = random.dirichlet(np.full(117, 0.1), N).astype(np.float32)
    p = np.round(random.beta(1 + 2 * female, 3 - 2 * female), 2)  # many ties
    faces = Faces.from_distributions(age, female, spread, p)
    measured = measure(age, female, spread, p, resamples=2)
    found = {name: figure.value for name, figure in measured.items()}
    said = p >= 0.5
    expected = {
        "age_mae": metrics.age_mae(faces.age_median, age),
        "age_rmse": sklearn.mean_squared_error(age, faces.age_median) ** 0.5,
        "age_median_error": np.sort(np.abs(faces.age_median - age))[(N - 1) // 2],
        "age_within_5": metrics.cumulative_score(faces.age_median, age, 5),
        "age_group_accuracy_adience": np.nanmean(
            metrics.age_group_hits(faces.age_median, age, metrics.ADIENCE)
        ),
        "interval_coverage": metrics.interval_coverage(faces.age_low, faces.age_high, age),
        "gender_accuracy": metrics.gender_accuracy(p, female),
        "gender_ece": metrics.expected_calibration_error(p, female),
        "gender_auc": sklearn.roc_auc_score(female, p),
        "gender_balanced_accuracy": sklearn.balanced_accuracy_score(female, said),
        "female_precision": sklearn.precision_score(female, said),
        "female_recall": sklearn.recall_score(female, said),
        "female_f1": sklearn.f1_score(female, said),
        "male_precision": sklearn.precision_score(~female, ~said),
        "male_recall": sklearn.recall_score(~female, ~said),
        "male_f1": sklearn.f1_score(~female, ~said),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_weights_equal_repeated_faces() -> None:
    age, female = labels(6)
    random = np.random.default_rng(7)
    faces = Faces.from_distributions(
        age[:200], female[:200], random.dirichlet(np.ones(117), 200).astype(np.float32),
        np.round(random.random(200), 1),
    )  # fmt: skip
    counts = random.integers(0, 4, 200)
    repeated = faces.take(np.repeat(np.arange(200), counts))
    weights = counts[None].astype(np.float32)
    once = np.ones((1, len(repeated)))
    for statistic in (figures.area_under_curve, figures.calibration_error):
        assert statistic(faces, weights) == pytest.approx(statistic(repeated, once))


def test_subsets_divide_by_age() -> None:
    age, female = labels()
    probability = np.where(female, 0.9, 0.2)
    faces = Faces.from_distributions(age, female, one_hot(np.full(N, 30)), probability)
    found = figures.subsets(faces, draws(N, 50))
    middle, young = age[(age >= 21) & (age <= 60)], age[age < 13]
    assert {name: part["faces"] for name, part in found.items()} == {
        "all": N, "21-60": len(middle), "13 and older": N - len(young), "under 13": len(young)
    }  # fmt: skip
    bias = found["under 13"]["figures"]["age_bias"]["value"]
    assert bias == pytest.approx(30 - young.mean())
    curve = [point["value"] for point in found["21-60"]["cumulative_score"]]
    assert curve == pytest.approx([(np.abs(middle - 30) <= k).mean() for k in range(16)])
    grown = faces.take(age >= 13)
    found = figures.subsets(grown, draws(len(grown), 2))  # an empty one has no figures
    assert found["under 13"] == {"first_age": 0, "last_age": 12, "faces": 0}


def test_paired_differences_are_narrower_than_apart() -> None:
    age, female = labels()
    random = np.random.default_rng(1)
    said = np.clip(age + random.normal(0, 8, N).astype(int), 0, 116)
    better = np.clip(age + ((said - age) * 0.9).astype(int), 0, 116)
    first, ours = (
        Faces.from_distributions(age, female, one_hot(a), np.full(N, 0.6)) for a in (said, better)
    )
    weights = draws(N, 500)
    gap = figures.differences(ours, first, weights)["age_mae"]
    assert gap.value == pytest.approx(np.abs(better - age).mean() - np.abs(said - age).mean())
    assert gap.high < 0
    alone = figures.headline_figures(ours, weights)["age_mae"]
    assert gap.high - gap.low < (alone.high - alone.low) / 2
