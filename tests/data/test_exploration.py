import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agelens.data.exploration import balance
from agelens.data.exploration.balance import compare_splits, face_weights, measure_imbalance
from agelens.data.exploration.facts import as_json, percent
from agelens.data.exploration.label_statistics import bands_of, describe_labels
from agelens.data.exploration.landmark_statistics import describe_landmarks, read_points
from agelens.data.exploration.picture_statistics import describe_pictures, measure_shortcuts
from agelens.data.landmarks import LandmarkList, write_line
from agelens.data.storage import write_parquet
from agelens.errors import DatasetError
from agelens.faces.alignment import TEMPLATE
from explored import HEAPED, LEVEL, labels_of, measured, samples, shape


def test_a_planted_heap_and_dip_are_found_and_no_others() -> None:
    labels = labels_of(samples(HEAPED))
    assert [(heap.age, heap.faces, heap.around) for heap in labels.heaps] == [
        (30, 350, 100.0), (33, 190, 100.0)
    ]  # fmt: skip
    assert [(dip.age, dip.faces) for dip in labels.dips] == [(47, 20)]
    labels = labels_of(samples(LEVEL))
    assert labels.heaps == labels.dips == labels.missing == []
    assert labels.whipple == pytest.approx(500 * 800 / 3800)  # ages 60 to 62 are not all there
    ages = [age for age in range(1, 40) for _ in range(round(900 * 0.88**age))]
    assert labels_of(samples(ages)).heaps == []


def test_whipples_index_missing_ages_and_a_constant_guess() -> None:
    once = list(range(23, 63))
    for ages, index in ((once * 10, 100), ([25, 40, 55, 60] * 60, 500), (once, None)):
        assert labels_of(samples(ages)).whipple == (index and pytest.approx(index))
    labels = labels_of(samples([3, 4, 6, 91, 91, 93, 115]))
    assert labels.missing[:3] == [5, 7, 8]
    assert labels.beyond_90 == {91: 2, 93: 1, 115: 1}
    assert labels_of(samples([10, 20, 60])).median_guess_mae == pytest.approx(50 / 3)


def test_effective_sizes_of_a_known_imbalance() -> None:
    frame = samples([30] * 90 + [40] * 10, "male")
    (age,) = [one for one in measure_imbalance(frame, bands_of(frame)) if one.by == "age"]
    assert (age.largest, age.smallest, age.ratio) == (("30", 90), ("40", 10), 9.0)
    assert age.equal_classes == pytest.approx(np.exp(-(0.9 * np.log(0.9) + 0.1 * np.log(0.1))))
    schemes = {scheme.name: scheme for scheme in age.schemes}
    # weights 1/90 and 1/10: (1 + 1)^2 / (1/90 + 1/10)
    assert schemes["inverse"].effective == pytest.approx(36)
    assert schemes["inverse"].by_class == pytest.approx({"30": 100 / 180, "40": 5})
    # weights 90^-1/2 and 10^-1/2: (90^1/2 + 10^1/2)^2 / 2
    assert schemes["square root"].effective == pytest.approx(80)
    # Cui et al.: (1 - b) / (1 - b^n)
    w = 0.01 / (1 - 0.99 ** np.array([90, 10]))
    worth = (w @ [90, 10]) ** 2 / (w**2 @ [90, 10])
    assert schemes["effective number, 0.99"].effective == pytest.approx(worth)
    assert schemes["effective number, 0.99"].ratio == pytest.approx(w[1] / w[0])
    for scheme in age.schemes:
        mean = (90 * scheme.by_class["30"] + 10 * scheme.by_class["40"]) / 100
        assert mean == pytest.approx(1)
    # Far apart, the neighbours of an age add nothing to the square root.
    assert schemes["smoothed square root"].effective == pytest.approx(80, abs=0.1)
    frame = samples([20, 20, 40, 40] * 25)  # equal classes need no weights
    for one in measure_imbalance(frame, bands_of(frame)):
        assert one.equal_classes == pytest.approx(one.classes)
        if one.by != "age":
            assert all(s.effective == pytest.approx(100) for s in one.schemes)


def test_smoothing_lets_neighbours_count() -> None:
    ages = [30] * 500 + [31] * 5 + [70] * 5
    name, weights = face_weights(samples(ages), bands_of(samples(ages)))
    assert name == "smoothed square root"
    by_age = dict(zip(ages, weights["weight"], strict=True))
    assert by_age[70] == 1
    assert by_age[31] < 1.2 * by_age[30] < by_age[70] / 5


def test_a_balanced_set_differs_nowhere() -> None:
    ages = [age for age in range(20, 60) for _ in range(20)]
    frame = samples(ages, race="white", folds=[i // 2 % 10 for i in range(len(ages))])
    found = compare_splits(frame)
    assert (found.untested, len(found.tests)) == (["race"], 5 * 3 + 11)
    assert not any(test.differs for test in found.tests)
    assert max(test.effect for test in found.tests if test.of == "gender") == 0


def test_a_planted_difference_is_called_and_the_others_are_not() -> None:
    random = np.random.default_rng(5)
    fold = random.integers(0, 10, 6000)
    ages = random.integers(20, 60, 6000) + np.where(fold == 7, 6, 0)
    found = compare_splits(samples(ages.tolist(), folds=fold.tolist()))
    called = {(test.where, test.between) for test in found.tests if test.differs}
    assert ("folds", "7 and the others") in called
    assert {where for where, _ in called if where != "folds"} >= {"split 0"}
    assert all(test.of == "age" for test in found.tests if test.differs)
    (seven,) = [t for t in found.tests if t.between == "7 and the others"]
    assert seven.years == pytest.approx(6, abs=1.5)
    assert [p.faces for p in found.folds] == np.bincount(fold).tolist()


def test_holm() -> None:
    given = [balance.Comparison("folds", "age", "a", p, 0.1, None) for p in (0.01, 0.04, 0.03)]
    corrected = [test.p_holm for test in balance.holm(given)]
    assert corrected == pytest.approx([0.03, 0.06, 0.06])
    assert [test.differs for test in balance.holm(given[:2])] == [True, True]
    assert balance.holm([]) == []


def test_identical_files_in_two_folds_are_counted() -> None:
    digests = pl.Series(["a", "a", "b", "b", "c", "d"])
    found = compare_splits(samples([20] * 6, folds=[0, 1, 2, 2, 3, 4]).with_columns(sha256=digests))
    assert (found.identical, found.identical_across_folds) == (4, 2)
    assert found.tests == []  # too few to be compared


def test_ranges_are_bands_of_their_own() -> None:
    frame = samples([1, 6, 70, 6]).with_columns(
        age_low=pl.Series([0, 3, 70, 3], dtype=pl.Int16),
        age_high=pl.Series([2, 9, 116, 9], dtype=pl.Int16),
    )
    bands = bands_of(frame)
    assert bands.names == ["0-2", "3-9", "70+"]
    assert bands_of(samples([0, 9, 10, 89, 90, 116])).names == ["0-9", "10-19", "80-89", "90+"]
    assert bands.of.tolist() == [0, 1, 2, 1]
    labels = describe_labels(frame, bands)
    assert labels.ranged
    assert (labels.heaps, labels.missing, labels.whipple) == ([], [], None)
    name, weights = face_weights(frame, bands)
    assert name == "square root"
    assert weights["weight"].to_list() == pytest.approx([1, 0.5**0.5, 1, 0.5**0.5], abs=1e-5)


def test_pictures_are_summed_up() -> None:
    frame = samples([25] * 50 + [65] * 50)
    light = [float(v) for v in range(100)]
    grey = [False] * 70 + [True] * 30
    table = measured(
        frame, brightness=light, grey=grey, faces=[0] + [1] * 98 + [2], yaw=[None] + [0.3] * 99
    )
    found = describe_pictures(frame, table, bands_of(frame))
    assert found.ranges["brightness"].p50 == pytest.approx(49.5)
    assert found.by_band["brightness"]["60-69"].mean == pytest.approx(74.5)
    assert found.grey_by_band == {"20-29": 0.0, "60-69": 0.6}
    assert (found.no_face, found.one_face, found.several_faces, found.turned) == (1, 98, 1, 99)
    assert found.ranges["width"].p50 == pytest.approx(0.8)
    assert max(place.off for place in found.places) < 1e-4
    relations = {one.figure: one for one in found.relations}
    assert relations["brightness"].age_correlation == pytest.approx(0.866, abs=0.001)
    # Females are the even rows, so each is darker than the male after it, and than 49 of 50 more.
    assert relations["brightness"].female_higher == pytest.approx(49 * 50 / 2 / 2500)
    assert relations["contrast"].age_correlation is None  # it never changes


def test_a_shortcut_is_found_where_there_is_one_only() -> None:
    random = np.random.default_rng(1)
    ages = random.integers(10, 70, 900)
    frame = samples(ages.tolist())
    noise = random.normal(0, 1, 900)
    lit = measured(frame, brightness=(ages + noise).tolist(), sharpness=noise.tolist())
    found = measure_shortcuts(frame, lit)
    assert found.age_mae < 4 < 14 < found.median_guess_mae
    assert found.gender_auc == pytest.approx(0.5, abs=0.07)
    few = measure_shortcuts(frame.head(60), lit.head(60))
    assert few.age_mae is few.gender_auc is None


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_mean_shapes_by_age(scale: float, tmp_path: Path) -> None:
    frame = samples([5] * 30 + [45] * 30 + [85] * 3)
    shapes = {  # a photo's points lie elsewhere
        file: (shape(100 if age < 20 else 140) * scale + (0 if scale == 1 else 50)).astype("f4")
        for file, age in frame.head(62).select("file", "age").iter_rows()
    }
    write_parquet(tmp_path / "l.parquet", LandmarkList(shapes, []).table())
    points = read_points(tmp_path / "l.parquet")
    found = describe_landmarks(frame, points, measured(frame), bands_of(frame))
    assert (found.faces, found.without, found.aligned) == (62, 1, scale != 1)
    assert list(found.mean_shapes) == ["0-9", "40-49"]  # three faces make no mean
    distance = float(np.hypot(*(TEMPLATE[1] - TEMPLATE[0])))
    assert found.chin_by_band["0-9"] == pytest.approx(100 / distance, rel=1e-3)
    assert found.chin_by_band["40-49"] == pytest.approx(140 / distance, rel=1e-3)
    assert np.abs(found.mean_shapes["0-9"][30] - TEMPLATE[2]).max() < 1e-2
    assert found.turned == 0


def test_a_list_of_other_faces_is_refused(tmp_path: Path) -> None:
    frame = samples([5, 6])
    (tmp_path / "l.txt").write_text(write_line("other.jpg", shape(100)))
    points = read_points(tmp_path / "l.txt")
    with pytest.raises(DatasetError, match=r"first is 'other\.jpg'"):
        describe_landmarks(frame, points, measured(frame), bands_of(frame))
    frame.write_parquet(tmp_path / "wrong.parquet")
    (tmp_path / "no.parquet").write_bytes(b"nothing")
    for name, why in (("wrong", "expected file and points"), ("no", "cannot read")):
        with pytest.raises(DatasetError, match=why):
            read_points(tmp_path / f"{name}.parquet")


@given(st.floats(0, 1))
def test_shares_are_never_rounded_to_all_or_none(share: float) -> None:
    text = percent(share)
    assert text.endswith(" %")
    assert (text == "100 %", text == "0 %") == (share == 1, share == 0)
    if text[0].isdigit():
        assert float(text[:-2]) == pytest.approx(100 * share, abs=0.5)


@given(st.dictionaries(st.text(max_size=3), st.lists(st.floats() | st.integers(), max_size=4)))
def test_plain_facts_are_json(value: Any) -> None:
    text = json.dumps(as_json(value), allow_nan=False)
    assert json.loads(text) == as_json(json.loads(text))
