"""The charts of an exploration, by name."""

from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from agelens.data.exploration.age_bands import UNLABELLED
from agelens.data.exploration.class_weights import SMOOTHED
from agelens.data.exploration.facts import Facts
from agelens.data.exploration.label_statistics import LabelStatistics, around_each
from agelens.data.exploration.landmark_statistics import PARTS, LandmarkStatistics
from agelens.data.exploration.picture_statistics import (
    FACE,
    LEAST,
    LIGHT,
    PictureStatistics,
    Range,
    with_width,
)
from agelens.inference.distribution import AGES
from agelens.reports import charts
from agelens.reports.charts import Axes, Line

MANY = 1000  # faces from which single years say something
FIGURES = {
    "brightness": ("brightness, grey level 0 to 255", 0),
    "contrast": ("contrast, standard deviation of grey levels", 0),
    "sharpness": ("sharpness, variance of the Laplacian", 0),
    "saturation": ("saturation, largest less smallest channel", 0),
    "width": ("width of the face box, share of the chip", 2),
    "yaw": ("yaw, eye distances", 2),
    "pitch": ("pitch: the nose between eyes (0) and mouth (1)", 2),
    "roll": ("roll, degrees", 1),
    "score": ("score of the detector", 2),
}
"""What each figure of a picture is, with its unit, and the digits after its decimal point."""

_BINS = 50
_SHOWN_WEIGHTS = (SMOOTHED, "square root", "effective number, 0.99", "inverse")


def draw(facts: Facts, quality: pl.DataFrame) -> dict[str, str]:
    """Draw every chart that the facts allow as SVG text; the names of others are "" strings."""
    drawn = dict.fromkeys(
        ("ages", "ages_narrow", "heaps", "digits", "gender", "race", "race_shares", "grey",
         "turned", "brightness_by_age", "sharpness_by_age", "shapes", "yaw_by_age", "weights",
         *FIGURES),
        "",
    )  # fmt: skip
    drawn |= _ages(facts.labels) | _groups(facts.labels) | _weights(facts)
    if facts.pixels.measured:
        drawn |= _pictures(facts.pixels, quality)
    if facts.shapes is not None:
        drawn |= _shapes(facts.shapes)
    return drawn


def _ages(labels: LabelStatistics) -> dict[str, str]:
    axes = Axes("age, years", "faces", labels.faces)
    if labels.ranged:
        totals = np.array(list(labels.band_by_gender.values())).sum(axis=0)
        return {
            name: charts.bars(labels.bands, {"faces": totals}, axes, wide=wide)
            for name, wide in (("ages", True), ("ages_narrow", False))
        }
    counts = np.zeros(AGES, np.int64)
    counts[list(labels.ages)] = list(labels.ages.values())
    inside = slice(min(labels.ages), max(labels.ages) + 1)
    edges = np.arange(inside.start, inside.stop + 1) - 0.5
    series: dict[str, ArrayLike] = {"faces": counts[inside]}
    around = around_each(counts)[inside]
    drawn = {}
    if labels.faces >= MANY and np.isfinite(around).all():
        series["median of the ages around"] = around
        ratio = np.where(around >= LEAST, counts[inside] / np.maximum(around, 1), np.nan)
        drawn["heaps"] = charts.lines(
            {"times": Line(np.arange(inside.start, inside.stop), ratio)},
            Axes("age, years", "times the median of the ages around", labels.faces),
            reference=1.0, markers=True, wide=True,
        )  # fmt: skip
    for name, wide in (("ages", True), ("ages_narrow", False)):
        shown = labels.heaps if wide else labels.heaps[:8]
        heaps = {heap.age - inside.start: str(heap.age) for heap in shown}
        drawn[name] = charts.histogram(edges, series, axes, peaks=heaps, wide=wide, height=4.2)
    if labels.last_digits is not None:
        shares = np.array(labels.last_digits) / max(sum(labels.last_digits), 1)
        words = Axes("last digit of the age", "share of faces", labels.whipple_faces)
        digits = [str(digit) for digit in range(10)]
        drawn["digits"] = charts.bars(digits, {"faces": shares}, words, share=True)
    return drawn


def _groups(labels: LabelStatistics) -> dict[str, str]:
    drawn = {}
    genders = _labelled(labels.band_by_gender)
    total = sum(map(sum, genders.values()))
    if len(genders) == 1:
        axes = Axes("age, years", "faces", total)
        drawn["gender"] = charts.bars(labels.bands, dict(genders), axes)
    elif genders:
        sides = (("female", genders["female"]), ("male", genders["male"]))
        axes = Axes("faces", "age, years", total)
        drawn["gender"] = charts.pyramid(labels.bands, *sides, axes)
    races = _labelled(labels.band_by_race)
    if len(races) > 1:
        counts = np.array(list(races.values()), float)
        shares = 100 * counts / counts.sum(axis=1, keepdims=True)
        names, axes = list(races), Axes("age, years", "race label", int(counts.sum()))
        drawn["race"] = charts.heat(counts, names, labels.bands, axes, unit="faces", wide=True)
        drawn["race_shares"] = charts.heat(
            shares, names, labels.bands, axes, unit="% of the race label", form="{:.1f}", wide=True
        )
    return drawn


def _labelled(counts: Mapping[str, list[int]]) -> dict[str, list[int]]:
    return {word: of for word, of in counts.items() if word != UNLABELLED}


def _pictures(pixels: PictureStatistics, quality: pl.DataFrame) -> dict[str, str]:
    table = with_width(quality)
    drawn = {}
    for figure in (*LIGHT, *FACE[:-1]):
        values = table[figure].drop_nulls().to_numpy().astype(np.float64)
        if len(values) >= LEAST and np.ptp(values) > 0:
            words, (low, high) = FIGURES[figure][0], np.percentile(values, [1, 99])
            if figure == "sharpness" and values.min() > 0:  # its tail is long
                words, values = f"log10 of {words}", np.log10(values)
                low, high = values.min(), values.max()
            reach = max(high - low, 1e-6) / 2
            ends = max(values.min(), low - reach), min(values.max(), high + reach)
            counts, edges = np.histogram(values, _BINS, ends)
            axes = Axes(words, "pictures", len(values), "pictures")
            drawn[figure] = charts.histogram(edges, {"pictures": counts}, axes)
    for figure in ("brightness", "sharpness"):
        if len(bands := pixels.by_band.get(figure, {})) > 1:
            axes = Axes(FIGURES[figure][0], "", pixels.measured, "pictures")
            drawn[f"{figure}_by_age"] = _ranges(bands, "p25", "p75", axes)
    for name, shares, of in (
        ("grey", pixels.grey_by_band if pixels.grey else {}, "pictures"),
        ("turned", pixels.turned_by_band if pixels.turned else {}, "faces"),
    ):
        if len(shares) > 1:
            axes = Axes("age, years", f"share of {of}", None)
            drawn[name] = charts.bars(list(shares), {name: list(shares.values())}, axes, share=True)
    return drawn


def _shapes(shapes: LandmarkStatistics) -> dict[str, str]:
    drawn = {}
    if shapes.mean_shapes:
        drawn["shapes"] = charts.outlines(shapes.mean_shapes, PARTS, Axes("x, px", "y, px"))
    if yaws := shapes.pose_by_band["yaw"]:
        axes = Axes("yaw, eye distances", "", shapes.faces)
        drawn["yaw_by_age"] = _ranges(yaws, "p5", "p95", axes, reference=0.0)
    return drawn


def _ranges(
    ranges: Mapping[str, Range], low: str, high: str, axes: Axes, reference: float | None = None
) -> str:
    middle, lower, upper = (
        [getattr(one, name) for one in ranges.values()] for name in ("p50", low, high)
    )
    counts = [one.pictures for one in ranges.values()]
    return charts.forest(
        list(ranges), middle, lower, upper, axes, counts=counts, reference=reference
    )


def _weights(facts: Facts) -> dict[str, str]:
    age = next((one for one in facts.imbalance if one.by == "age"), None)
    if age is None or age.classes < 3 or facts.labels.faces < LEAST:
        return {}
    lines = {}
    for scheme in age.schemes:
        if scheme.name in _SHOWN_WEIGHTS:
            years = np.array(sorted(map(int, scheme.by_class)))
            lines[scheme.name] = Line(years, [scheme.by_class[str(year)] for year in years])
    axes = Axes("age, years", "weight of a face (mean 1, log scale)", facts.labels.faces)
    return {"weights": charts.lines(lines, axes, scale="log", reference=1.0, wide=True)}
