import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable

import numpy as np
import pytest
from PIL import ImageColor

from agelens.reports import charts
from agelens.reports.charts import Axes, Line, canvas

X = np.arange(12)
AGES = Axes("age, years", "faces", 23704)
SHAPE = np.stack([np.linspace(20, 180, 68), np.linspace(30, 190, 68)], axis=1)

KINDS: dict[str, Callable[[], str]] = {
    "bars": lambda: charts.bars(list("abc"), {"one": [1, 2, 3], "two": [3, 2, 1]}, AGES),
    "histogram": lambda: charts.histogram(np.arange(13), {"f": X, "m": X[::-1]}, AGES),
    "pyramid": lambda: charts.pyramid([str(x) for x in X], ("f", X), ("m", X + 1), AGES),
    "heat": lambda: charts.heat(X.reshape(3, 4), list("abc"), list("wxyz"), AGES, unit="faces"),
    "lines": lambda: charts.lines({"a": Line(X, X, X - 1, X + 1), "b": Line(X, X * 2)}, AGES),
    "scatter": lambda: charts.scatter(X, X * 2, AGES),
    "forest": lambda: charts.forest(["a"], [1], [0.5], [np.nan], AGES, [2]),
    "reliability": lambda: charts.reliability(X / 12, X / 12, X, AGES),
    "outlines": lambda: charts.outlines({"0-9": SHAPE, "10-19": SHAPE + 1}, [slice(0, 17)], AGES),
}


def words(svg: str) -> list[str]:
    tree = ElementTree.fromstring(svg)  # noqa: S314  # our own
    return [node.text or "" for node in tree.iter("{http://www.w3.org/2000/svg}text")]


@pytest.fixture(scope="module")
def others() -> set[str]:
    return set(re.findall(r'\bid="([^"]*)"', charts.bars(["x"], {"one": [1]}, AGES)))


@pytest.mark.parametrize("kind", KINDS)
def test_is_embeddable_deterministic_and_labelled(kind: str, others: set[str]) -> None:
    svg = KINDS[kind]()
    assert svg == KINDS[kind]()
    assert svg.startswith("<svg ")
    assert "<style" not in svg  # it would hold for the whole page
    assert not re.search(r"20\d\d-\d\d-\d\dT", svg)
    ids = re.findall(r'\bid="([^"]*)"', svg)
    assert len(set(ids)) == len(ids) > 5 and not others & set(ids)
    assert all(used in ids for used in re.findall(r'(?:href="#|url\(#)([^")]*)', svg))
    assert kind == "outlines" or "n = 23,704 faces" in words(svg)
    assert "age, years" in words(svg)


def test_heat_writes_its_numbers_and_leaves_gaps_empty() -> None:
    svg = charts.heat([[1, np.nan], [3000, 4]], ["a", "b"], ["c", "d"], AGES, unit="faces")
    assert {"1", "3,000", "4", "faces"} <= set(words(svg)) and "nan" not in svg


def test_words_are_escaped() -> None:
    svg = charts.bars(["<script>"], {"a&b": [1], "c": [2]}, Axes("x<y", "z"))
    assert "<script>" not in svg and {"<script>", "a&b", "x<y"} <= set(words(svg))


def test_series_that_stand_together_differ_on_a_grey_print() -> None:
    def lightness(colour: str) -> float:  # CIE L*, 0 to 100
        linear = [(v / 255) ** 2.2 for v in ImageColor.getrgb(colour)]
        luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
        return 116 * luminance ** (1 / 3) - 16

    light = [lightness(colour) for colour in canvas.PALETTE]
    assert np.diff(sorted(light)).min() > 8, light
    assert abs(light[0] - light[1]) > 40  # the two genders
    assert len(set(canvas.DASHES)) == len(set(canvas.MARKERS)) == len(canvas.PALETTE)


def test_import_leaves_matplotlib_alone() -> None:
    code = "import sys, agelens.reports.rendering; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
