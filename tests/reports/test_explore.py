"""What `agelens data explore` finds, on sets whose answer is known."""

import csv
import json
import re
from collections import Counter
from dataclasses import replace
from html import escape
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from agelens.cli.app import app
from agelens.data import quality
from agelens.data.atomic_files import write_parquet
from agelens.data.dataset import SCHEMA
from agelens.data.exploration.age_bands import bands_of
from agelens.data.exploration.balance import Comparison, compare_splits, holm
from agelens.data.exploration.class_weights import face_weights, measure_imbalance
from agelens.data.exploration.facts import Facts
from agelens.data.exploration.formats import as_json, percent
from agelens.data.exploration.label_statistics import LabelStatistics, describe_labels
from agelens.data.exploration.landmark_statistics import describe_landmarks, read_points
from agelens.data.exploration.picture_statistics import Place, describe_pictures
from agelens.data.exploration.shortcuts import Shortcuts, measure_shortcuts
from agelens.data.importer import import_dataset
from agelens.data.landmark_lists import LandmarkList, write_line
from agelens.errors import DatasetError
from agelens.faces.alignment import TEMPLATE
from agelens.reports.explore.explore import explore
from agelens.reports.explore.rules import findings, label_rules, split_rules
from agelens.reports.findings import write
from agelens.reports.wording import faces_of, interval, listed, number, signed
from labelled import drawn, faces, table, write_folder


def samples(
    ages: list[int],
    gender: str | None = "both",
    race: str | None = None,
    folds: list[int] | None = None,
) -> pl.DataFrame:
    """Make the table of a dataset; every other face is female, folds go round."""
    count = len(ages)
    genders = [("female", "male")[i % 2] if gender == "both" else gender for i in range(count)]
    return pl.DataFrame(
        {
            "file": [f"{i:06}.jpg" for i in range(count)], "age": ages, "gender": genders,
            "race": [race] * count, "width": [200] * count, "height": [200] * count,
            "sha256": [f"{i:064x}" for i in range(count)],
            "fold": folds or [i // 2 % 10 for i in range(count)],
        },
        schema=SCHEMA,
    )  # fmt: skip


def labels_of(frame: pl.DataFrame) -> LabelStatistics:
    return describe_labels(frame, bands_of(frame))


def findings_of(frame: pl.DataFrame) -> str:
    facts = SimpleNamespace(labels=labels_of(frame))
    found = write("explore/findings.jinja", label_rules(facts.labels), facts)
    return "\n".join(one.text for one in found)


LEVEL = [age for age in range(20, 61) for _ in range(100)]


def test_a_planted_heap_and_dip_are_named() -> None:
    ages = [age for age in LEVEL if age != 47] + [30] * 250 + [47] * 20 + [33] * 90
    labels = labels_of(samples(ages))
    assert [(heap.age, heap.faces, heap.around) for heap in labels.heaps] == [
        (30, 350, 100.0), (33, 190, 100.0)
    ]  # fmt: skip
    assert [(dip.age, dip.faces) for dip in labels.dips] == [(47, 20)]
    text = findings_of(samples(ages))
    assert "30 is the label of one face in twelve (350), 3.5 times as many" in text
    assert "Labels also heap at 33 (1.9 times the ages around)." in text
    assert "47 (20 for 100)" in text


def test_a_level_set_has_no_heap() -> None:
    labels = labels_of(samples(LEVEL))
    assert labels.heaps == labels.dips == labels.missing == []
    assert labels.whipple == pytest.approx(500 * 800 / 3800)  # ages 60 to 62 are not all there
    assert "heap" not in findings_of(samples(LEVEL))
    assert "is the label of" not in findings_of(samples(LEVEL))


def test_falling_counts_are_no_heap() -> None:
    ages = [age for age in range(1, 40) for _ in range(round(900 * 0.88**age))]
    assert labels_of(samples(ages)).heaps == []


def test_whipples_index() -> None:
    once = list(range(23, 63)) * 10
    assert labels_of(samples(once)).whipple == pytest.approx(100)
    assert labels_of(samples([25, 40, 55, 60] * 60)).whipple == pytest.approx(500)
    assert labels_of(samples(list(range(23, 63)))).whipple is None  # too few to tell


def test_missing_ages_and_the_oldest() -> None:
    labels = labels_of(samples([3, 4, 6, 91, 91, 93, 115]))
    assert labels.missing[:3] == [5, 7, 8]
    assert labels.beyond_90 == {91: 2, 93: 1, 115: 1}


def test_the_error_of_a_constant_guess() -> None:
    assert labels_of(samples([10, 20, 60])).median_guess_mae == pytest.approx(50 / 3)


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (samples([3, 4, 6, 91, 91, 93, 115]), (
            "Four faces are older than 90: 2 at 91, 1 at 93 and 1 at 115.",
            "One face is labelled 110 or older",
            "107 of the 113 ages from 3 to 115 have no face, and none is younger than 3.",
        )),
        (samples([0, 1, 3, 4]), ("Between 0 and 4 no face is labelled 2.",)),
        (samples([0, 1, 2]), ("Every age from 0 to 2 occurs.",)),
        (pl.concat([samples([25] * 300, "female"), samples([55] * 300, "male")]), (
            "50 % are labelled female, 50 % male; the female ones are younger",
            "100 % are female in the age group 20-29, 0 % in 50-59",
        )),
        (samples([25, 25, 55, 55] * 100), ("No face carries a race label", "!depends")),
        (pl.concat([samples([25] * 300, race="asian"), samples([65] * 200, race="white")]), (
            "Race labels, for breakdowns only: asian 60 % and white 40 %.",
            "The median age of faces labelled white is 65, of those labelled asian 25",
            "of the 200 faces from 60 years on 100 % are labelled white, of all faces 40 %",
        )),
        (samples([20] * 9, "male"), ("All faces are labelled male: no gender can be learnt",)),
        (samples([20, 30] * 9, None), ("No face carries a gender", "!female")),
        (pl.concat([samples([20, 30] * 9), samples([40], None)]), (
            "One face carries no gender",
        )),
    ],
)  # fmt: skip
def test_labels_in_words(frame: pl.DataFrame, expected: tuple[str, ...]) -> None:
    text = findings_of(frame)
    for words in expected:
        assert words in text if words[0] != "!" else words[1:] not in text


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


def test_equal_classes_need_no_weights() -> None:
    frame = samples([20, 20, 40, 40] * 25)
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
    assert found.untested == ["race"]
    assert len(found.tests) == 5 * 3 + 11
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
    (text,) = write("explore/findings.jinja", split_rules(found), SimpleNamespace(balance=found))
    assert "more than chance, after Holm's correction: age between 7 and the others" in text.text
    assert "That may be large enough to matter." in text.text
    assert [p.faces for p in found.folds] == np.bincount(fold).tolist()


def test_holm() -> None:
    def test(p: float) -> Comparison:
        return Comparison("folds", "age", "a", p, 0.1, None)

    assert [t.p_holm for t in holm([test(0.01), test(0.04), test(0.03)])] == pytest.approx(
        [0.03, 0.06, 0.06]
    )
    assert [t.differs for t in holm([test(0.01), test(0.04)])] == [True, True]
    assert holm([]) == []


def test_identical_files_in_two_folds_are_counted() -> None:
    frame = samples([20] * 6, folds=[0, 1, 2, 2, 3, 4]).with_columns(
        sha256=pl.Series(["a", "a", "b", "b", "c", "d"])
    )
    found = compare_splits(frame)
    assert (found.identical, found.identical_across_folds) == (4, 2)
    assert found.tests == []  # too few to be compared


def test_ranges_are_bands_of_their_own() -> None:
    ends = [(0, 2), (3, 9), (70, 116), (3, 9)]
    frame = samples([1, 6, 70, 6]).with_columns(
        age_low=pl.Series([low for low, _ in ends], dtype=pl.Int16),
        age_high=pl.Series([high for _, high in ends], dtype=pl.Int16),
    )
    bands = bands_of(frame)
    assert bands.names == ["0-2", "3-9", "70+"]
    assert bands.of.tolist() == [0, 1, 2, 1]
    labels = describe_labels(frame, bands)
    assert labels.ranged
    assert (labels.heaps, labels.missing, labels.whipple) == ([], [], None)
    assert "The most frequent age group, 3-9, holds two faces (50 %)." in findings_of(frame)
    name, weights = face_weights(frame, bands)
    assert name == "square root"
    assert weights["weight"].to_list() == pytest.approx([1, 0.5**0.5, 1, 0.5**0.5], abs=1e-5)


def test_decades_end_with_one_for_the_very_old() -> None:
    assert bands_of(samples([0, 9, 10, 89, 90, 116])).names == ["0-9", "10-19", "80-89", "90+"]


def measured(frame: pl.DataFrame, **columns: Any) -> pl.DataFrame:
    """Make a table of quality: every picture the same but for what is given."""
    base = {"brightness": 120.0, "contrast": 40.0, "sharpness": 50.0, "saturation": 60.0,
            "colours": 8.0, "grey": False, "black_rim": 0.0, "faces": 1, "left": 20.0,
            "top": 0.0, "right": 180.0, "bottom": 200.0, "score": 0.9, "yaw": 0.0,
            "pitch": 0.57, "roll": 0.0, "checked": False}  # fmt: skip
    for name, (x, y) in zip(quality.POINTS, TEMPLATE.tolist(), strict=True):
        base |= {f"{name}_x": x, f"{name}_y": y}
    filled = {name: [value] * len(frame) for name, value in base.items()} | columns
    nothing = [None] * len(frame)
    return pl.DataFrame(
        {"file": frame["file"], "problem": nothing} | filled, schema_overrides=quality.SCHEMA
    ).select(quality.SCHEMA.keys())


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


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"measured": 0}, "Not one of the pictures can be read."),
        ({"problems": 2}, "Two pictures cannot be read; agelens data audit names them."),
        ({"square": 59}, "One picture of 60 is wider than high, or higher than wide"),
        ({"smaller": 60}, "Every picture has a side under 200 px and is enlarged for a model"),
        ({"grey": 60}, "Every picture is grey."),
        ({"black_rim": 6}, "Six pictures (10 %) have a rim of which 20 % or more is black"),
        ({"no_face": 60}, "The detector finds a face in none of the pictures."),
        ({"no_face": 6}, "The detector finds no face in six pictures (10 %). Are these chips?"),
        ({"no_face": 1}, "The detector finds no face in one picture of 60; it is shown"),
        ({"several_faces": 3}, "Three pictures show more than one face."),
        ({"places": [Place("nose", 0, 0, 1, 1, 15.0)]}, "the nose is 15 px off (median"),
        ({"turned": 3}, "and 5.0 % by more than about 26. Figures measured here"),
    ],
)  # fmt: skip
def test_pictures_in_words(changes: dict[str, Any], expected: str) -> None:
    frame = samples([25, 65] * 30)
    table, bands = measured(frame), bands_of(frame)
    facts = Facts(
        describe_labels(frame, bands), replace(describe_pictures(frame, table, bands), **changes),
        Shortcuts(60, 9.0, 10.0, 0.7), None, measure_imbalance(frame, bands), "square root",
        compare_splits(frame),
    )  # fmt: skip
    assert expected in "\n".join(one.text for one in findings(facts))


def test_a_shortcut_is_found_where_there_is_one_only() -> None:
    random = np.random.default_rng(1)
    ages = random.integers(10, 70, 900)
    frame = samples(ages.tolist())
    noise = random.normal(0, 1, 900)
    lit = measured(frame, brightness=(ages + noise).tolist(), sharpness=noise.tolist())
    found = measure_shortcuts(frame, lit)
    assert found.age_mae is not None
    assert found.median_guess_mae is not None
    assert found.age_mae < 4 < 14 < found.median_guess_mae
    assert found.gender_auc == pytest.approx(0.5, abs=0.07)
    few = measure_shortcuts(frame.head(60), lit.head(60))
    assert few.age_mae is few.gender_auc is None


def shape(chin: float) -> np.ndarray:
    """68 points with eyes, nose and mouth on the template; the chin at a height."""
    points = np.zeros((68, 2))
    points[36:42], points[42:48] = TEMPLATE[0], TEMPLATE[1]
    points[30], points[48], points[54] = TEMPLATE[2], TEMPLATE[3], TEMPLATE[4]
    points[8] = TEMPLATE[:2].mean(axis=0) + np.array([0, chin])
    return points.astype(np.float32)


def landmarks(frame: pl.DataFrame, scale: float = 1.0) -> pl.DataFrame:
    shapes = {
        row["file"]: (shape(100 if row["age"] < 20 else 140) * scale + (0 if scale == 1 else 50))
        for row in frame.iter_rows(named=True)
    }
    return LandmarkList({k: v.astype(np.float32) for k, v in shapes.items()}, []).table()


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_mean_shapes_by_age(scale: float, tmp_path: Path) -> None:
    frame = samples([5] * 30 + [45] * 30 + [85] * 3)
    write_parquet(tmp_path / "l.parquet", landmarks(frame.head(62), scale))
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
    with pytest.raises(DatasetError, match="expected file and points"):
        read_points(tmp_path / "wrong.parquet")
    (tmp_path / "no.parquet").write_bytes(b"nothing")
    with pytest.raises(DatasetError, match="cannot read"):
        read_points(tmp_path / "no.parquet")


# Whole runs, on drawn pictures: what can be missing is missing.


def plain_set(folder: Path) -> Path:
    return write_folder(folder, faces(26))


def tiny_set(folder: Path) -> Path:
    """A dozen faces with ranges for ages, no gender and no race."""
    files = {f"{i}.jpg": drawn(i, (60, 40)) for i in range(12)}
    rows = [(name, "20-29" if i % 2 else "3-9") for i, name in enumerate(files)]
    return write_folder(folder, files | {"labels.csv": table("file,age", rows)})


def one_gender(folder: Path) -> Path:
    """Thirty faces of one age and one gender, of one colour each."""
    files = {f"30_0_0_2020010100000{i:04}.jpg": drawn(i, (200, 200)) for i in range(30)}
    return write_folder(folder, files)


@pytest.mark.parametrize("make", [plain_set, tiny_set, one_gender])
def test_whole_reports_of_sets_that_lack_something(make: Any, tmp_path: Path) -> None:
    name = "<b>a & b<b>"  # as a folder may be called
    import_dataset(make(tmp_path / "source"), tmp_path / name)
    done = CliRunner().invoke(
        app, ["data", "explore", str(tmp_path / name), "-o", str(tmp_path / "out")]
    )
    assert done.exit_code == 0, done.output
    html = (tmp_path / "out" / "explore.html").read_text("utf-8")
    facts = json.loads((tmp_path / "out" / "explore.json").read_text("utf-8"))
    assert "<b>a" not in html
    assert "Explored: &lt;b&gt;a &amp; b&lt;b&gt;" in html
    assert not re.search(r"\b(nan|None|inf)\b", re.sub(r"<[^>]*>|default-src 'none'", " ", html))
    assert facts["labels"]["faces"] == sum(facts["labels"]["genders"].values())
    assert facts["made"]["seconds"].keys() >= {"measure the pictures", "draw the page"}
    texts = [finding["text"] for finding in facts["findings"]]
    assert len(set(texts)) == len(texts) > 5
    assert all(text[0].isupper() or text[0].isdigit() for text in texts)
    assert all(text.endswith(".") for text in texts)
    opening, chapters = html.split("<section", 1)
    assert all(escape(text) in chapters for text in texts)
    assert sum(escape(text) in opening for text in texts) == 5
    with (tmp_path / "out" / "weights.csv").open(newline="") as file:
        weights = {row["file"]: float(row["weight"]) for row in csv.DictReader(file)}
    assert weights.keys() == set(pl.read_parquet(tmp_path / name / "samples.parquet")["file"])
    assert max(weights.values()) == 1
    assert min(weights.values()) > 0
    text = "\n".join(texts)
    if make is tiny_set:
        assert "female" not in text
        assert "Every picture is wider than high, or higher than wide" in text
        assert "race label" in text.lower()
        assert facts["labels"]["bands"] == ["3-9", "20-29"]
    if make is one_gender:
        assert "all labelled 30: no age can be learnt here" in text
        assert "All faces are labelled male" in text
        assert [one["by"] for one in facts["imbalance"]] == []


def test_a_report_with_landmarks_and_pictures_that_are_gone(tmp_path: Path) -> None:
    files = {f"{5 + i % 2}_{i // 2 % 2}_0_2020010100000{i:04}.jpg": drawn(i) for i in range(22)}
    data = import_dataset(write_folder(tmp_path / "s", files), tmp_path / "d").dataset
    (tmp_path / "l.txt").write_text(
        "".join(write_line(file, shape(120)) for file in data.samples["file"])
    )
    (data.folder / "images" / str(data.samples["file"][3])).unlink()
    reported: Counter[str] = Counter()
    done = explore(
        tmp_path / "d", tmp_path / "out", tmp_path / "l.txt", "agelens",
        lambda step, *_: reported.update([step]),
    )  # fmt: skip
    assert done.facts.pixels.problems == 1
    assert any("One picture cannot be read" in one.text for one in done.findings)
    assert done.facts.shapes is not None
    assert done.facts.shapes.faces == 22
    html = done.page.read_text("utf-8")
    assert "Shapes: 68 landmarks" in html
    assert set(done.seconds) == set(reported)
    assert json.loads(done.json.read_text("utf-8"))["shapes"]["mean_shapes"]


def test_what_cannot_be_explored_is_an_error(tmp_path: Path) -> None:
    def run(*words: object) -> Any:
        return CliRunner().invoke(app, ["data", "explore", *map(str, words)])

    assert run(tmp_path).exit_code == 2  # where to write was not said
    wrong = run(tmp_path, "-o", tmp_path / "out", "--landmarks", tmp_path / "none.txt")
    assert wrong.exit_code == 2
    none = run(tmp_path, "-o", tmp_path / "out")
    assert isinstance(none.exception, DatasetError)
    assert "not a dataset folder" in str(none.exception)
    samples([]).write_parquet(tmp_path / "samples.parquet")
    with pytest.raises(DatasetError, match="holds no sample"):
        explore(tmp_path, tmp_path / "out")
    samples([5]).write_parquet(tmp_path / "samples.parquet")
    (tmp_path / "file").write_text("x")
    with pytest.raises(DatasetError, match="cannot make"):
        explore(tmp_path, tmp_path / "file" / "out")


@given(st.floats(0, 1))
def test_shares_are_never_rounded_to_all_or_none(share: float) -> None:
    text = percent(share)
    assert text.endswith(" %")
    assert (text == "100 %") == (share == 1)
    assert (text == "0 %") == (share == 0)
    if text[0].isdigit():
        assert float(text[:-2]) == pytest.approx(100 * share, abs=0.5)


@given(st.integers(1, 50000), st.data())
def test_parts_in_words_are_true(total: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, total))
    text = faces_of(count, total)
    names = ["three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
    if match := re.fullmatch(r"one face in (\w+) \(([\d,]+)\)", text):
        assert int(match[2].replace(",", "")) == count
        assert total / count == pytest.approx(names.index(match[1]) + 3, rel=0.07)
    else:
        assert text == "every face" or "%" in text


@given(st.dictionaries(st.text(max_size=3), st.lists(st.floats() | st.integers(), max_size=4)))
def test_plain_facts_are_json(value: Any) -> None:
    text = json.dumps(as_json(value), allow_nan=False)
    assert json.loads(text) == as_json(json.loads(text))


def test_words() -> None:
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"], joint="or") == "a, b or c"
    assert listed(list("abcde"), 3) == "a, b, c and two more"
    assert signed(-0.001, 2) == "0.00"
    assert signed(-0.01, 2) == "-0.01"
    assert number(100) == "100"
    assert interval(4.31, 4.19, 4.52) == "4.3 (4.2 to 4.5)"
