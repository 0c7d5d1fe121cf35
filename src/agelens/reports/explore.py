"""Explore a data set folder: measure, find, draw, and write the page, the JSON and the weights."""

import math
from collections import defaultdict
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

from agelens.data import quality
from agelens.data.exploration import balance as balances
from agelens.data.exploration import label_statistics as label_facts
from agelens.data.exploration import landmark_statistics as landmark_facts
from agelens.data.exploration import picture_statistics as picture_facts
from agelens.data.exploration.facts import Facts
from agelens.data.exploration.label_statistics import UNLABELLED, LabelStatistics
from agelens.data.exploration.picture_statistics import LEAST, PictureStatistics, Range
from agelens.data.storage import read_object, write_atomic
from agelens.faces.alignment import TEMPLATE
from agelens.inference.distribution import AGES
from agelens.reports import charts, dataset_page
from agelens.reports.charts import Axes, Line
from agelens.reports.dataset_page import DatasetReport, Report
from agelens.reports.explore_rules import findings
from agelens.reports.galleries import explored_faces

MANY = 1000  # faces from which single years say something
FIGURES = {  # of a picture: what each is, with its unit, and its decimals
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
WIDTHS = {"ages": True, "ages_narrow": False}  # of the first chart: for phones it is narrow
_BINS = 50
_SHOWN_WEIGHTS = (balances.SMOOTHED, "square root", "effective number, 0.99", "inverse")


def explore(
    data: Path, output: Path, landmarks: Path | None = None, command: str = "",
    report: Report = lambda *_: None,
) -> DatasetReport[Facts]:  # fmt: skip
    """Write `explore.html`, `explore.json` and `weights.csv` in OUTPUT for a data set folder.

    `landmarks` is a list of 68 points, as text or Parquet. Raises DatasetError for what is no
    data set folder, holds no sample, or cannot be written, and for a list of other faces.
    """
    seconds: dict[str, float] = {}
    step = partial(dataset_page.timed, seconds, report)
    with step("read the dataset"):
        dataset = dataset_page.prepare(data, output)
        points = landmark_facts.read_points(landmarks) if landmarks is not None else None
    samples = dataset.samples
    bands = label_facts.bands_of(samples)
    with step("measure the pictures") as counted:
        measured = quality.measure(dataset, counted)
    with step("count the labels"):
        labels = label_facts.describe_labels(samples, bands)
        imbalance = balances.measure_imbalance(samples, bands)
        scheme, weights = balances.face_weights(samples, bands)
    with step("compare splits and folds"):
        balance = balances.compare_splits(samples)
    with step("summarise the pictures"):
        pixels = picture_facts.describe_pictures(samples, measured, bands)
    with step("look for shortcuts"):
        shortcuts = picture_facts.measure_shortcuts(samples, measured)
    shapes = None
    if points is not None:
        with step("average the landmarks"):
            shapes = landmark_facts.describe_landmarks(samples, points, measured, bands)
    with step("average the faces") as counted:
        gallery = explored_faces(dataset, measured, bands, counted)
    facts = Facts(labels, pixels, shortcuts, shapes, imbalance, scheme, balance)
    with step("draw the page"):
        drawn = _draw(facts, measured)
    origin = read_object(data / "dataset.json").get("source")
    source = str(origin.get("name", "")) if isinstance(origin, dict) else ""
    return dataset_page.write(
        output, "explore", "weights.csv",
        lambda path: write_atomic(path, weights.write_csv().encode()),
        dataset=dataset, facts=facts, found=findings(facts), seconds=seconds,
        about={"command": command, "source": source}, charts=drawn, gallery=gallery,
        words=FIGURES, landmarks_template=TEMPLATE.tolist(), log10=math.log10,
    )  # fmt: skip


def _draw(facts: Facts, quality: pl.DataFrame) -> Mapping[str, str]:
    drawn = defaultdict[str, str](str)
    drawn |= _ages(facts.labels) | _groups(facts.labels) | _weights(facts)
    if facts.pixels.measured:
        drawn |= _pictures(facts.pixels, quality)
    shapes = facts.shapes
    if shapes is not None and shapes.mean_shapes:
        drawn["shapes"] = charts.outlines(
            shapes.mean_shapes, landmark_facts.PARTS, Axes("x, px", "y, px")
        )
    if shapes is not None and (yaws := shapes.pose_by_band["yaw"]):
        axes = Axes("yaw, eye distances", "", shapes.faces)
        drawn["yaw_by_age"] = _ranges(yaws, ("p5", "p95"), axes, reference=0.0)
    return drawn


def _ages(labels: LabelStatistics) -> dict[str, str]:
    axes = Axes("age, years", "faces", labels.faces)
    if labels.ranged:
        totals = np.array(list(labels.band_by_gender.values())).sum(axis=0)
        return {
            name: charts.bars(labels.bands, {"faces": totals}, axes, wide=wide)
            for name, wide in WIDTHS.items()
        }
    counts = np.zeros(AGES, np.int64)
    counts[list(labels.ages)] = list(labels.ages.values())
    ages = np.arange(min(labels.ages), max(labels.ages) + 1)
    edges = np.append(ages, ages[-1] + 1) - 0.5
    around, counts = label_facts.around_each(counts)[ages], counts[ages]
    series = {"faces": counts.astype(np.float64)}
    drawn = {}
    if labels.faces >= MANY and np.isfinite(around).all():
        series["median of the ages around"] = around
        ratio = np.where(around >= LEAST, counts / np.maximum(around, 1), np.nan)
        drawn["heaps"] = charts.lines(
            {"times": Line(ages, ratio)},
            Axes("age, years", "times the median of the ages around", labels.faces),
            reference=1.0, markers=True, wide=True,
        )  # fmt: skip
    for name, wide in WIDTHS.items():
        shown = labels.heaps if wide else labels.heaps[:8]
        heaps = {heap.age - int(ages[0]): str(heap.age) for heap in shown}
        drawn[name] = charts.histogram(edges, series, axes, peaks=heaps, wide=wide, height=4.2)
    if labels.last_digits is not None:
        shares = np.array(labels.last_digits) / max(sum(labels.last_digits), 1)
        words = Axes("last digit of the age", "share of faces", labels.whipple_faces)
        drawn["digits"] = charts.bars(list("0123456789"), {"faces": shares}, words, share=True)
    return drawn


def _groups(labels: LabelStatistics) -> dict[str, str]:
    genders, races = (
        {word: counts for word, counts in by.items() if word != UNLABELLED}
        for by in (labels.band_by_gender, labels.band_by_race)
    )
    drawn = {}
    total = sum(map(sum, genders.values()))
    if len(genders) == 1:
        axes = Axes("age, years", "faces", total)
        drawn["gender"] = charts.bars(labels.bands, dict(genders), axes)
    elif genders:
        sides = (("female", genders["female"]), ("male", genders["male"]))
        drawn["gender"] = charts.pyramid(labels.bands, *sides, Axes("faces", "age, years", total))
    if len(races) > 1:
        counts = np.array(list(races.values()), float)
        shares = 100 * counts / counts.sum(axis=1, keepdims=True)
        names, axes = list(races), Axes("age, years", "race label", int(counts.sum()))
        drawn["race"] = charts.heat(counts, names, labels.bands, axes, unit="faces", wide=True)
        drawn["race_shares"] = charts.heat(
            shares, names, labels.bands, axes, unit="% of the race label", form="{:.1f}", wide=True
        )
    return drawn


def _pictures(pixels: PictureStatistics, quality: pl.DataFrame) -> dict[str, str]:
    table = picture_facts.with_width(quality)
    drawn = {}
    for figure in (*picture_facts.LIGHT, *picture_facts.FACE[:-1]):
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
            drawn[f"{figure}_by_age"] = _ranges(bands, ("p25", "p75"), axes)
    for name, count, shares, of in (
        ("grey", pixels.grey, pixels.grey_by_band, "pictures"),
        ("turned", pixels.turned, pixels.turned_by_band, "faces"),
    ):
        if count and len(shares) > 1:
            axes = Axes("age, years", f"share of {of}", None)
            drawn[name] = charts.bars(list(shares), {name: list(shares.values())}, axes, share=True)
    return drawn


def _ranges(
    ranges: Mapping[str, Range], ends: tuple[str, str], axes: Axes, reference: float | None = None
) -> str:
    middle, low, high = ([getattr(one, end) for one in ranges.values()] for end in ("p50", *ends))
    counts = [one.pictures for one in ranges.values()]
    return charts.forest(list(ranges), middle, low, high, axes, counts, reference=reference)


def _weights(facts: Facts) -> dict[str, str]:
    age = next((one for one in facts.imbalance if one.by == "age"), None)
    if age is None or age.classes < 3 or facts.labels.faces < LEAST:
        return {}
    lines = {}
    for scheme in age.schemes:
        if scheme.name in _SHOWN_WEIGHTS:
            years = sorted(map(int, scheme.by_class))
            lines[scheme.name] = Line(years, [scheme.by_class[str(year)] for year in years])
    axes = Axes("age, years", "weight of a face (mean 1, log scale)", facts.labels.faces)
    return {"weights": charts.lines(lines, axes, scale="log", reference=1.0, wide=True)}
