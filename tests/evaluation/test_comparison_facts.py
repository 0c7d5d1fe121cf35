import cv2
import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from agelens.evaluation import age_standardization, bootstrap, data_quality, error_analysis
from agelens.evaluation.age_standardization import against_rest
from agelens.evaluation.comparison_facts import compare
from agelens.evaluation.data_quality import THIRDS
from agelens.evaluation.figures import Faces, face_values
from agelens.evaluation.groups import Group, face_groups
from labelled import bells, draws

N = 1200


def faces(said: NDArray[np.float64], age: NDArray[np.int64], sigma: float = 8) -> Faces:
    female = np.arange(len(age)) % 2 == 0
    return Faces.from_distributions(
        age, female, bells(said, sigma).astype(np.float32), np.where(female, 0.8, 0.2)
    )


def honest(sigma: float, said_sigma: float) -> Faces:
    random = np.random.default_rng(1)
    centre = random.uniform(40, 80, N)
    age = (bells(centre, sigma).cumsum(axis=1) < random.random((N, 1))).sum(axis=1)
    return faces(centre, age, said_sigma)


def samples(**columns: list) -> pl.DataFrame:
    count = len(next(iter(columns.values())))
    rest = {"age": [30] * count, "gender": ["male"] * count, "race": [None] * count}
    return pl.DataFrame({**rest, **columns}, strict=False)


def test_simultaneous_intervals_hold_together() -> None:
    random, missed_any, missed_one = np.random.default_rng(3), 0, 0
    rows = [np.arange(400) % 10 == k for k in range(10)]
    weights = draws(400, 300)
    for _ in range(60):
        values = random.normal(0, 1, 400)
        found = bootstrap.estimate_group_means(rows, values, weights)
        columns = np.where(np.column_stack(rows), values[:, None], np.nan)
        plain = bootstrap.estimate(bootstrap.mean(columns), weights)
        missed_any += any(figure.excludes_zero for figure in found)
        missed_one += any(figure.excludes_zero for figure in plain)
    assert missed_any <= 9  # 3 expected; a group of 40 covers a little less
    assert missed_one > 15  # 24 expected where each is looked at by itself


def test_small_groups_get_no_interval() -> None:
    rows = [np.arange(100) < 19, np.arange(100) >= 19]
    few, many = bootstrap.estimate_group_means(rows, np.arange(100.0), draws(100, 200))
    assert few.value == 9 and np.isnan(few.low)
    assert many.low < many.value < many.high


def test_standardization_removes_gaps_of_age() -> None:
    # the old are harder, and one group is older; within an age both are alike
    random = np.random.default_rng(0)
    age = np.r_[random.choice([5, 18, 33, 50, 70], 600, p=[0.1, 0.1, 0.1, 0.1, 0.6]),
                random.choice([5, 18, 33, 50, 70], 600, p=[0.6, 0.1, 0.1, 0.1, 0.1])]  # fmt: skip
    error = age / 10 * random.exponential(1, N)
    older, weights = np.arange(N) < 600, draws(N, 500)
    groups = [Group("race", "older", older), Group("race", "younger", ~older)]
    assert error[older].mean() - error[~older].mean() > 2

    def gap(values: NDArray[np.float64]) -> dict:
        figures = {"age_mae": values, "gender_accuracy": np.ones(N)}
        (found,) = age_standardization.measure(groups, age, figures, weights)
        assert found["left_out"] == []
        return found["largest_gap"]["age_mae"]

    assert gap(error)["more_than_chance"] is False and gap(error)["value"] < 0.6
    stays = gap(error + 2 * older)  # one that is there at every age
    assert stays["more_than_chance"] is True
    assert (stays["higher"], stays["lower"]) == ("older", "younger")
    assert stays["value"] == pytest.approx(2, abs=0.6)


def test_group_with_an_empty_age_band_is_left_out() -> None:
    age = np.tile([5, 18, 33, 50, 70], 120)
    third = np.arange(600) % 3
    rows = {"a": third == 0, "b": third == 1, "c": (third == 2) & (age < 60)}
    groups = [Group("race", name, members) for name, members in rows.items()]
    values = {"age_mae": np.ones(600), "gender_accuracy": np.ones(600)}
    found = age_standardization.measure(groups, age, values, draws(600, 50))[0]
    assert [row["group"] for row in found["groups"]] == ["a", "b"]
    assert found["left_out"] == ["c"]
    values |= {"age_bias": np.ones(600), "interval_coverage": np.ones(600)}
    row = against_rest(groups, age, values, draws(600, 50))[2]["figures"]["age_mae"]
    assert row["against_rest"] == {"value": None, "low": None, "high": None}


def test_against_rest_finds_only_the_difficult_band() -> None:
    random = np.random.default_rng(4)
    age = random.integers(0, 100, N)
    said = age + np.where(age > 60, -6.0, 0) + random.normal(0, 2, N)
    one = faces(said.clip(0, 116), age)
    table = samples(age=age.tolist(), race=["ab"[k % 2] for k in range(N)])
    rows = against_rest(face_groups(table), age, face_values(one), draws(N, 500))
    proven = {row["group"] for row in rows if row["figures"]["age_mae"]["more_than_chance"]}
    assert proven & {"61+", "a", "b"} == {"61+"}
    old = next(row for row in rows if row["group"] == "61+")["figures"]
    assert old["age_bias"]["value"] == pytest.approx(-6, abs=0.4)
    error, aged = np.abs(one.age_median - age), age > 60
    gap = error[aged].mean() - error[~aged].mean()
    assert old["age_mae"]["against_rest"]["value"] == pytest.approx(gap)
    assert gap > 3


def test_coverage_tells_calibrated_narrow_and_wide_distributions_apart() -> None:
    weights = draws(N, 200)
    told = error_analysis.reliability(honest(8, 8), weights)
    coverage, quantiles = told["age"]["coverage"], told["age"]["quantiles_of_labels"]
    assert [p["value"] for p in coverage] == pytest.approx([p["said"] for p in coverage], abs=0.035)
    assert sum(quantiles) == pytest.approx(1) and max(quantiles) < 0.13  # 0.1 each
    shares = [told["doubt"][key]["value"] for key in ("seen", "said")]
    assert shares[0] == pytest.approx(shares[1], abs=0.03)
    narrow, wide = (
        error_analysis.reliability(honest(*sigmas), weights)["age"] for sigmas in ((8, 4), (4, 8))
    )
    at = [point["said"] for point in narrow["coverage"]].index(0.8)
    assert narrow["coverage"][at]["high"] < 0.6
    assert wide["coverage"][at]["low"] > 0.9
    assert narrow["quantiles_of_labels"][0] > 0.2  # labels lie at the ends
    assert wide["quantiles_of_labels"][0] < 0.03


def test_calibration_of_the_gender() -> None:
    female = np.arange(1000) % 2 == 0
    p = np.where(np.arange(1000) % 10 == 0, np.where(female, 0.2, 0.8), np.where(female, 0.8, 0.2))
    one = Faces.from_distributions(np.full(1000, 30), female, bells(np.full(1000, 30.0), 4), p)
    told = error_analysis.reliability(one, draws(1000, 200))["gender"]
    gaps = told["accuracy_minus_confidence"]
    assert gaps["all"]["value"] == pytest.approx(0.1)  # right nine times in ten, said with 0.8
    assert gaps["all"]["low"] > 0 and set(gaps) == {"all", "13 and older"}
    assert sum(told["bins"]["faces"]) == 1000
    assert told["bins"]["said"][2] == pytest.approx(0.2) and told["bins"]["said"][5] is None


def test_confusion_of_known_answers() -> None:
    age = np.array([1, 5, 15, 25, 25, 35])
    said = np.array([1.0, 12, 15, 25, 31, 55])
    female = np.array([1, 1, 0, 0, 0, 1], bool)
    p = np.array([0.9, 0.1, 0.2, 0.7, 0.1, 0.8])
    one = Faces.from_distributions(age, female, np.eye(117, dtype=np.float32)[said.astype(int)], p)
    told = error_analysis.confusion(one, draws(6, 50))
    assert told["gender"]["counts"] == [[2, 1], [1, 2]]
    assert told["gender"]["shares"][0] == pytest.approx([2 / 3, 1 / 3])
    counts = np.array(told["age_groups"]["counts"])
    assert (counts[[0, 1, 2, 3, 3, 4], [0, 2, 2, 3, 4, 6]] == 1).all()
    assert told["age_groups"]["shares"][8] == [None] * 9  # nobody is 70
    assert told["one_off"]["value"] == pytest.approx(5 / 6)
    assert told["wrong_genders"] == {"faces": 2, "under_13": 1, "share_under_13": 0.5}


def test_error_quantiles_and_worst_faces() -> None:
    one = faces(50 + np.arange(100.0) / 4, np.full(100, 50))  # errors 0 to 24.75
    table = samples(file=[f"{k}.jpg" for k in range(100)])
    told = error_analysis.largest_errors(table, one, draws(100, 100))
    quantiles = [row["value"] for row in told["error_quantiles"]]
    assert quantiles == pytest.approx([12.25, 18.5, 22.25, 23.5], abs=0.3)
    assert told["far_off"]["value"] == pytest.approx(0.59, abs=0.01)
    assert [row["file"] for row in told["worst_ages"][:2]] == ["99.jpg", "98.jpg"]
    assert told["worst_genders"] == []


def test_comparison_names_the_better_model_by_group() -> None:
    random = np.random.default_rng(6)
    age = random.integers(0, 100, N)
    noise = random.normal(0, 1, N)
    models = [faces((age + noise + 5 * off).clip(0, 116), age) for off in (age > 40, age <= 40)]
    groups = face_groups(samples(age=age.tolist()))
    (pair,) = compare(["a", "b"], models, [""] * N, groups, draws(N, 300))["pairs"]
    rows = pair["by_group"]
    better = {row["group"]: row["figures"]["age_mae"]["better"] for row in rows}
    assert (better["21-40"], better["61+"]) == ("a", "b")
    assert rows[0]["figures"]["gender_accuracy"]["better"] is None


def test_independent_errors_gain_from_averaging() -> None:
    random = np.random.default_rng(7)
    age = random.integers(20, 80, N)
    models = [faces(age + random.normal(0, 6, N), age, 6) for _ in range(2)]
    (pair,) = compare(["a", "b"], models, [""] * N, [], draws(N, 300))["pairs"]
    together = pair["together"]
    assert together["error_correlation"] == pytest.approx(0, abs=0.1)
    assert together["age_mae_gain"]["high"] < -0.5
    # the mean of two independent errors
    assert together["age_mae"]["value"] == pytest.approx(6 / np.sqrt(np.pi), rel=0.1)


def test_suspect_labels_contradict_all_models() -> None:
    age = np.array([20, 50, 50, 80])
    said = np.array([[20, 30, 30, 80], [21, 31, 47, 78], [22, 33, 30, 79]], float)
    models = [faces(one, age, 2) for one in said]
    told = compare(["a", "b", "c"], models, list("wxyz"), [], draws(4, 20))["doubtful_labels"]
    assert told["faces"] == 1 and told["worst"] == [{"file": "x", "age": 50, "said_age": 31}]


def test_label_noise_of_known_copies() -> None:
    genders = ["male", "male", "female", "male", "female", "female"]
    table = samples(sha256=list("aaabcc"), age=[20, 20, 28, 40, 50, 51], gender=genders)
    told = data_quality.label_noise(table)
    assert (told["pairs"], told["pictures"], told["genders_differ"]) == (4, 5, 2)
    assert (told["ages_differ"], told["ages_differ_by_over_5"]) == (3 / 4, 2 / 4)
    assert told["mean_difference"] == (0 + 8 + 8 + 1) / 4
    assert data_quality.label_noise(table[3:5])["mean_difference"] is None


def test_detail_grows_with_the_size_of_the_original() -> None:
    random = np.random.default_rng(0)
    sides = []
    for side in (32, 64, 125):
        small = random.integers(110, 146, (side, side, 3), np.uint8)
        chip = cv2.resize(small, (200, 200), interpolation=cv2.INTER_CUBIC)
        sides.append(data_quality.measure_detail(np.asarray(chip, np.uint8)))
    assert sides[0] < sides[1] < sides[2]
    assert data_quality.measure_detail(random.integers(0, 256, (200, 200, 3), np.uint8)) == 200
    assert (
        data_quality.measure_detail(np.full((200, 200, 3), 99, np.uint8)) == data_quality.SIDES[0]
    )


def test_quality_groups_are_in_order() -> None:
    table = pl.DataFrame({
        "brightness": [float(k) for k in range(9)],
        "contrast": [1.0] * 9,  # all alike: no parts
        "sharpness": [None, *(float(k) for k in range(8))],
        "yaw": [-0.9, 0.0, 0.1, -0.2, 0.3, 0.0, 0.8, 0.1, 0.2],
        "grey": [True, *[False] * 7, None],
        "width": [200] * 9, "height": [200, 90, *[200] * 7],
    })  # fmt: skip
    named = data_quality.group_by_quality(table, np.array([48.0] * 3 + [80.0] * 3 + [160.0] * 3))
    assert "contrast" not in named
    assert named["light"].tolist() == [name for name in THIRDS["light"] for _ in range(3)]
    assert named["sharpness"][0] is None
    assert named["pose"][0] == named["pose"][6] == "turned third"  # to either side
    assert named["colour"].tolist() == ["grey", *["in colour"] * 7, None]
    details = ["up to 48 px", "49 to 80 px", "over 80 px"]
    assert data_quality.ordered_names("detail", named["detail"]) == details
    told = data_quality.describe(named, np.arange(9))
    dark = next(row for row in told if row["group"] == "dark third")
    assert (dark["faces"], dark["mean_age"]) == (3, 1.0)
    groups = face_groups(samples(age=[30] * 9), named)
    assert [g.name for g in groups if g.by == "light"] == list(THIRDS["light"])
