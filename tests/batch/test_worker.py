import io
from dataclasses import asdict
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from agelens.batch.worker import SCALE, SCHEMA, Rows, quantize
from agelens.predictor import Answer, Predictor, load


@pytest.fixture(scope="module")
def predictor(tiny_model: Path) -> Predictor:
    return load(tiny_model, threads=1)


def frame(rows: Rows) -> pl.DataFrame:
    return pl.read_parquet(io.BytesIO(rows.parquet()))


def test_a_face_keeps_its_answer(predictor: Predictor, astronaut) -> None:
    people = predictor.predict(astronaut)
    rows = Rows("e" * 64)
    rows.add(Answer("a.jpg", people, None, None, 512, 512))
    (row,) = frame(rows).rows(named=True)
    one = people[0]
    assert (row["source"], row["face"], row["width"], row["height"]) == ("a.jpg", 1, 512, 512)
    assert row["age"] == pytest.approx(one.age, abs=1e-4)
    assert (row["age_low"], row["age_high"]) == pytest.approx(one.age_interval, abs=1e-4)
    for side, pixels in asdict(one.box).items():
        assert row[side] == pytest.approx(pixels, abs=1e-3)
    np.testing.assert_allclose(row["landmarks"], one.landmarks.array(), atol=1e-3)
    given = np.array(row["age_distribution"]) / SCALE
    np.testing.assert_allclose(given, one.age_probabilities, atol=0.5 / SCALE + 1e-9)
    expected = (one.gender, one.status, list(one.reasons), "e" * 64, None)
    assert tuple(row[n] for n in ("gender", "status", "reasons", "model", "error")) == expected


def test_pictures_without_faces_and_with_errors_have_one_row(predictor, astronaut) -> None:
    people = predictor.predict(astronaut)
    for order in ([people, []], [[], people], [[], []]):
        rows = Rows("e" * 64)
        for number, found in enumerate(order):
            rows.add(Answer(f"{number}.jpg", found, None, None, 30, 20))
        rows.add_error("bad.jpg", "not a picture")
        table = frame(rows)
        assert dict(table.schema) == SCHEMA
        empty = [not found for found in order] + [True]
        assert table["landmarks"].is_null().to_list() == empty
        assert table["age_distribution"].is_null().to_list() == empty
    assert table.select("source", "face", "status", "error", "width").rows()[1:] == [
        ("1.jpg", 0, "no_face", None, 30), ("bad.jpg", 0, "error", "not a picture", None)
    ]  # fmt: skip
    assert (rows.pictures, rows.faces, rows.errors, len(rows)) == (3, 0, 1, 3)


def test_chips_have_no_box(predictor: Predictor) -> None:
    rows = Rows("e" * 64)
    chip = np.full((60, 60, 3), 99, np.uint8)
    rows.add(Answer("c.png", predictor.predict(chip, chips=True), None, None, 60, 60))
    (row,) = frame(rows).rows(named=True)
    assert (row["left"], row["landmarks"], row["detection_score"]) == (None, None, None)
    assert row["age"] == pytest.approx(99 * 100 / 255, abs=0.1)


def test_quantized_probabilities_stay_in_range() -> None:
    assert quantize(np.array([0, 1e-9, 0.5, 1.0000001, -1e-9])).tolist() == [0, 0, 32768, SCALE, 0]
