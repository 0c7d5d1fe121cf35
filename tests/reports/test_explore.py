import csv
import json
import re
from collections import Counter
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from agelens.data.exploration.balance import compare_splits, measure_imbalance
from agelens.data.exploration.facts import Facts
from agelens.data.exploration.label_statistics import bands_of, describe_labels
from agelens.data.exploration.picture_statistics import Place, Shortcuts, describe_pictures
from agelens.data.importer import import_dataset
from agelens.data.landmarks import write_line
from agelens.errors import DatasetError
from agelens.reports.explore import explore
from agelens.reports.explore_rules import findings
from commands import invoke
from explored import HEAPED, LEVEL, measured, samples, shape
from labelled import drawn, faces, table, write_folder

RANGED = samples([1, 6, 70, 6]).with_columns(
    age_low=pl.Series([0, 3, 70, 3], dtype=pl.Int16),
    age_high=pl.Series([2, 9, 116, 9], dtype=pl.Int16),
)
FOLDS = [i % 10 for i in range(3000)]
FOLDED = samples([20 + i // 10 % 40 + 6 * (i % 10 == 7) for i in range(3000)], "male", folds=FOLDS)
PICTURES = samples([25, 65] * 30)


@pytest.mark.parametrize("case", [
    (samples(HEAPED), {},
     "30 is the label of one face in twelve (350), 3.5 times as many",
     "Labels also heap at 33 (1.9 times the ages around).", "47 (20 for 100)"),
    (samples(LEVEL), {}, "!heap", "!is the label of"),
    (RANGED, {}, "The most frequent age group, 3-9, holds two faces (50 %)."),
    (samples([3, 4, 6, 91, 91, 93, 115]), {},
     "Four faces are older than 90: 2 at 91, 1 at 93 and 1 at 115.",
     "One face is labelled 110 or older",
     "107 of the 113 ages from 3 to 115 have no face, and none is younger than 3."),
    (samples([0, 1, 3, 4]), {}, "Between 0 and 4 no face is labelled 2."),
    (samples([0, 1, 2]), {}, "Every age from 0 to 2 occurs."),
    (pl.concat([samples([25] * 300, "female"), samples([55] * 300, "male")]), {},
     "50 % are labelled female, 50 % male; the female ones are younger",
     "100 % are female in the age group 20-29, 0 % in 50-59"),
    (samples([25, 25, 55, 55] * 100), {}, "No face carries a race label", "!depends"),
    (pl.concat([samples([25] * 300, race="asian"), samples([65] * 200, race="white")]), {},
     "Race labels, for breakdowns only: asian 60 % and white 40 %.",
     "The median age of faces labelled white is 65, of those labelled asian 25",
     "of the 200 faces from 60 years on 100 % are labelled white, of all faces 40 %"),
    (samples([20] * 9, "male"), {}, "All faces are labelled male: no gender can be learnt"),
    (samples([20, 30] * 9, None), {}, "No face carries a gender", "!female"),
    (pl.concat([samples([20, 30] * 9), samples([40], None)]), {}, "One face carries no gender"),
    (FOLDED, {},
     "more than chance, after Holm's correction: age between 7 and the others",
     "That may be large enough to matter."),
    (PICTURES, {"measured": 0}, "Not one of the pictures can be read."),
    (PICTURES, {"problems": 2}, "Two pictures cannot be read; agelens data audit names them."),
    (PICTURES, {"square": 59}, "One picture of 60 is wider than high, or higher than wide"),
    (PICTURES, {"smaller": 60},
     "Every picture has a side under 200 px and is enlarged for a model"),
    (PICTURES, {"grey": 60}, "Every picture is grey."),
    (PICTURES, {"black_rim": 6},
     "Six pictures (10 %) have a rim of which 20 % or more is black"),
    (PICTURES, {"no_face": 60}, "The detector finds a face in none of the pictures."),
    (PICTURES, {"no_face": 6},
     "The detector finds no face in six pictures (10 %). Are these chips?"),
    (PICTURES, {"no_face": 1}, "The detector finds no face in one picture of 60; it is shown"),
    (PICTURES, {"several_faces": 3}, "Three pictures show more than one face."),
    (PICTURES, {"places": [Place("nose", 0, 0, 1, 1, 15.0)]}, "the nose is 15 px off (median"),
    (PICTURES, {"turned": 3}, "and 5.0 % by more than about 26. Figures measured here"),
])  # fmt: skip
def test_facts_in_words(case: tuple[pl.DataFrame, dict[str, Any], *tuple[str, ...]]) -> None:
    frame, changes, *expected = case
    bands = bands_of(frame)
    facts = Facts(
        describe_labels(frame, bands),
        replace(describe_pictures(frame, measured(frame), bands), **changes),
        Shortcuts(60, 9.0, 10.0, 0.7), None, measure_imbalance(frame, bands), "square root",
        compare_splits(frame),
    )  # fmt: skip
    text = "\n".join(one.text for one in findings(facts))
    for words in expected:
        assert words in text if words[0] != "!" else words[1:] not in text


RANGES = table("file,age", [(f"{i}.jpg", "20-29" if i % 2 else "3-9") for i in range(12)])
SETS = {
    "plain": faces(26),
    "ranges without gender and race": {
        "labels.csv": RANGES, **{f"{i}.jpg": drawn(i, (60, 40)) for i in range(12)}
    },
    "one age and gender": {
        f"30_0_0_2020010100000{i:04}.jpg": drawn(i, (200, 200)) for i in range(30)
    },
}  # fmt: skip


@pytest.mark.parametrize("kind", SETS)
def test_whole_reports_of_sets_that_lack_something(kind: str, tmp_path: Path) -> None:
    name = "<b>a & b<b>"  # as a folder may be called
    import_dataset(write_folder(tmp_path / "source", SETS[kind]), tmp_path / name)
    done = invoke("data", "explore", tmp_path / name, "-o", tmp_path / "out")
    assert done.exit_code == 0, done.output
    html = (tmp_path / "out" / "explore.html").read_text("utf-8")
    facts = json.loads((tmp_path / "out" / "explore.json").read_text("utf-8"))
    assert "<b>a" not in html and "Explored: &lt;b&gt;a &amp; b&lt;b&gt;" in html
    assert not re.search(r"\b(nan|None|inf)\b", re.sub(r"<[^>]*>|default-src 'none'", " ", html))
    assert facts["labels"]["faces"] == sum(facts["labels"]["genders"].values())
    assert facts["made"]["seconds"].keys() >= {"measure the pictures", "draw the page"}
    texts = [finding["text"] for finding in facts["findings"]]
    assert len(set(texts)) == len(texts) > 5
    assert all(re.fullmatch(r"[A-Z\d].*\.", text) for text in texts)
    opening, chapters = html.split("<section", 1)
    assert all(escape(text) in chapters for text in texts)
    assert sum(escape(text) in opening for text in texts) == 5
    with (tmp_path / "out" / "weights.csv").open(newline="") as file:
        weights = {row["file"]: float(row["weight"]) for row in csv.DictReader(file)}
    assert weights.keys() == set(pl.read_parquet(tmp_path / name / "samples.parquet")["file"])
    assert 0 < min(weights.values()) <= max(weights.values()) == 1
    text = "\n".join(texts)
    if kind.startswith("ranges"):
        assert "female" not in text and "race label" in text.lower()
        assert "Every picture is wider than high, or higher than wide" in text
        assert facts["labels"]["bands"] == ["3-9", "20-29"]
    if kind.startswith("one"):
        assert "all labelled 30: no age can be learnt here" in text
        assert "All faces are labelled male" in text
        assert [one["by"] for one in facts["imbalance"]] == []


def test_a_report_with_landmarks_and_pictures_that_are_gone(tmp_path: Path) -> None:
    files = {f"{5 + i % 2}_{i // 2 % 2}_0_2020010100000{i:04}.jpg": drawn(i) for i in range(22)}
    data = import_dataset(write_folder(tmp_path / "s", files), tmp_path / "d").dataset
    lines = [write_line(file, shape(120)) for file in data.samples["file"]]
    (tmp_path / "l.txt").write_text("".join(lines))
    (data.folder / "images" / str(data.samples["file"][3])).unlink()
    reported: Counter[str] = Counter()
    done = explore(
        tmp_path / "d", tmp_path / "out", tmp_path / "l.txt", "agelens",
        lambda step, *_: reported.update([step]),
    )  # fmt: skip
    assert done.facts.pixels.problems == 1
    assert any("One picture cannot be read" in one.text for one in done.findings)
    assert done.facts.shapes is not None and done.facts.shapes.faces == 22
    assert "Shapes: 68 landmarks" in done.page.read_text("utf-8")
    assert set(done.seconds) == set(reported)
    assert json.loads(done.json.read_text("utf-8"))["shapes"]["mean_shapes"]


def test_what_cannot_be_explored_is_an_error(tmp_path: Path) -> None:
    words = ("data", "explore", tmp_path, "-o", tmp_path / "out")
    assert invoke(*words[:3]).exit_code == 2  # where to write was not said
    assert invoke(*words, "--landmarks", tmp_path / "none.txt").exit_code == 2
    with pytest.raises(DatasetError, match="not a dataset folder"):
        raise invoke(*words).exception
    samples([]).write_parquet(tmp_path / "samples.parquet")
    with pytest.raises(DatasetError, match="holds no sample"):
        explore(tmp_path, tmp_path / "out")
    samples([5]).write_parquet(tmp_path / "samples.parquet")
    (tmp_path / "file").write_text("x")
    with pytest.raises(DatasetError, match="cannot make"):
        explore(tmp_path, tmp_path / "file" / "out")
