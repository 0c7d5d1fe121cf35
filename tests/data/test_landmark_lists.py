from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agelens.data.atomic_files import write_parquet
from agelens.data.landmark_lists import (
    POINTS,
    join,
    read_line,
    read_list,
    write_line,
)
from agelens.errors import DatasetError

SHAPE = np.arange(136, dtype=np.float32).reshape(68, 2) + np.float32(0.5)
NUMBERS = [str(value) for value in SHAPE.ravel().tolist()]
NAME = "26_1_3_20170117154908291.jpg"


@pytest.mark.parametrize(
    "line",
    [
        f"{NAME} " + " ".join(NUMBERS) + " \n",  # as released: a blank at the end
        f"{NAME}\t" + "\t".join(NUMBERS),
        f"{NAME}," + ",".join(NUMBERS) + "\r\n",
        f'"{NAME}"; ' + "; ".join(NUMBERS),
        f"  {NAME}   " + "  ".join(NUMBERS),
    ],
)
def test_variants_of_a_line(line: str) -> None:
    file, shape = read_line(line)
    assert file == NAME
    np.testing.assert_array_equal(shape, SHAPE)


def test_a_published_name_holds_a_blank() -> None:
    file, _ = read_line("24_0_1_20170116220224657 .jpg " + " ".join(NUMBERS))
    assert file == "24_0_1_20170116220224657 .jpg"


@pytest.mark.parametrize(
    "line",
    [
        NAME,
        f"{NAME} " + " ".join(NUMBERS[1:]),
        f"{NAME} 1 " + " ".join(NUMBERS),
        f"{NAME} nan " + " ".join(NUMBERS[1:]),
        f"{NAME} 1e9 " + " ".join(NUMBERS[1:]),
        f"{NAME} x " + " ".join(NUMBERS[1:]),
        " ".join(NUMBERS),
        f"{NAME} " + " ".join("1" * 100 for _ in range(136)),
    ],
)
def test_lines_that_are_wrong(line: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        read_line(line)


@given(st.integers(0, 2**32), st.floats(0.001, 9999), st.sampled_from([NAME, "a b.jpg", "50.jpg"]))
def test_what_is_written_is_read(seed: int, spread: float, name: str) -> None:
    shape = np.random.default_rng(seed).uniform(-spread, spread, (POINTS, 2)).astype(np.float32)
    file, read = read_line(write_line(name, shape))
    assert file == name
    np.testing.assert_allclose(read, shape, atol=0.006)


def test_reads_a_list_and_tells_its_problems(tmp_path: Path) -> None:
    path = tmp_path / "landmark_list_part1.txt"
    other = SHAPE + 1
    path.write_text(
        write_line(NAME, SHAPE) + "\n" + "broken.jpg 1 2 3\n" + "x" * 50_000 + "\n"
        + write_line("b.jpg", SHAPE) + write_line("b.jpg", other)
    )  # fmt: skip
    found = read_list(path)
    assert list(found.shapes) == [NAME, "b.jpg"]
    np.testing.assert_array_equal(found.shapes["b.jpg"], other)
    assert [number for number, _ in found.problems] == [3, 4]
    assert "4 words" in found.problems[0][1]


def test_what_is_no_list(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xff\xd8\x00binary\n" * 10)
    with pytest.raises(DatasetError, match="expected lines of a file name and 136 numbers"):
        read_list(tmp_path / "a.txt")
    with pytest.raises(DatasetError, match="No such file"):
        read_list(tmp_path / "none.txt")


def test_joins_chips_to_the_points_of_their_photos(tmp_path: Path) -> None:
    path = tmp_path / "l.txt"
    path.write_text(write_line(NAME, SHAPE) + write_line("plain.png", SHAPE + 1))
    table = read_list(path).table()
    write_parquet(tmp_path / "landmarks.parquet", table)
    assert pl.read_parquet(tmp_path / "landmarks.parquet").equals(table)
    samples = pl.DataFrame({"file": ["z.jpg", NAME + ".chip.jpg", "plain.png"], "age": [1, 2, 3]})
    joined = join(samples, table)
    assert joined["file"].to_list() == samples["file"].to_list()
    assert joined["age"].to_list() == [1, 2, 3]
    assert joined["points"].is_null().to_list() == [True, False, False]
    np.testing.assert_array_equal(joined["points"][1].to_numpy(), SHAPE)
