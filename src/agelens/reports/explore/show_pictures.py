"""The page's sections about pictures, faces and pose."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agelens.data.exploration.facts import Facts
from agelens.data.exploration.landmark_statistics import PARTS, Shapes
from agelens.data.exploration.picture_statistics import (
    FACE,
    LEAST,
    LIGHT,
    Pixels,
    Range,
    with_width,
)
from agelens.data.exploration.words import counted, degrees, percent, upper, verb, written
from agelens.faces.alignment import TEMPLATE
from agelens.reports import charts
from agelens.reports.charts import Axes
from agelens.reports.page import Cell, Chart, Part, Section, Table, Text

Row = list[Cell]
_WORDS = {
    "brightness": ("brightness, grey level 0 to 255", "{:.0f}"),
    "contrast": ("contrast, standard deviation of grey levels", "{:.0f}"),
    "sharpness": ("sharpness, variance of the Laplacian", "{:.0f}"),
    "saturation": ("saturation, largest less smallest channel", "{:.0f}"),
    "width": ("width of the face box, share of the chip", "{:.2f}"),
    "yaw": ("yaw, eye distances", "{:+.2f}"),
    "pitch": ("pitch: the nose between eyes (0) and mouth (1)", "{:.2f}"),
    "roll": ("roll, degrees", "{:+.1f}"),
    "score": ("score of the detector", "{:.2f}"),
}
_BINS = 50


def pictures_section(facts: Facts, quality: pl.DataFrame) -> Section:
    """Show size, light, sharpness and colour, and how they go with the labels."""
    pixels = facts.pixels
    parts: list[Part] = []
    if len(pixels.sizes) > 1:
        rows: list[Row] = [[size, n] for size, n in pixels.sizes.items()]
        more = f"{pixels.more_sizes:,} further sizes are not listed." if pixels.more_sizes else ""
        parts.append(Table(["width x height, px", "pictures"], rows, "Sizes", more))
    parts += _histograms(quality, pixels, LIGHT)
    parts.append(_ranges(pixels, LIGHT, "Spread of light and colour"))
    for figure in ("brightness", "sharpness"):
        lines = _by_band(pixels, figure)
        if lines is not None:
            parts.append(lines)
    if len(pixels.grey_by_band) > 1 and pixels.grey:
        shares = pixels.grey_by_band
        chart = charts.bars(
            list(shares), {"grey": list(shares.values())},
            Axes("age, years", "share of pictures", pixels.measured, "pictures"), share=True,
        )  # fmt: skip
        parts.append(Chart(chart, "Grey pictures by age (groups of 20 pictures and more)."))
    related = _relations(pixels)
    if related is not None:
        parts.append(related)
    return Section("Pictures", parts)


def faces_section(facts: Facts, quality: pl.DataFrame) -> Section:
    """Show how faces are found, how large they are, where they stand and how they are turned."""
    pixels = facts.pixels
    rows: list[Row] = [
        ["one face", pixels.one_face], ["no face", pixels.no_face],
        ["several faces", pixels.several_faces], ["cannot be read", pixels.problems],
    ]  # fmt: skip
    parts: list[Part] = [Table(["pictures with", "count"], rows, "Faces found")]
    if not pixels.places:
        return Section("Faces and pose", parts)
    places: list[Row] = [
        [
            place.point.replace("_", " "), f"{place.x:.1f}, {place.y:.1f}",
            f"{place.x_deviation:.1f}, {place.y_deviation:.1f}", f"{x:.1f}, {y:.1f}",
        ]
        for place, (x, y) in zip(pixels.places, TEMPLATE.tolist(), strict=True)
    ]  # fmt: skip
    parts.append(
        Table(
            ["point", "median x, y", "deviation", "template"], places, "Where the points stand",
            "In pixels of the 200 px chip; the template is where models expect them.",
        )
    )  # fmt: skip
    parts += _histograms(with_width(quality), pixels, FACE[:-1])
    parts.append(_ranges(pixels, FACE, "Spread of size and pose"))
    if len(pixels.turned_by_band) > 1 and pixels.turned:
        shares = pixels.turned_by_band
        chart = charts.bars(
            list(shares), {"turned": list(shares.values())},
            Axes("age, years", "share of faces", pixels.ranges["yaw"].pictures), share=True,
        )  # fmt: skip
        parts.append(
            Chart(
                chart, f"Faces turned to a side by some {degrees(0.2):.0f} degrees or more, by age."
            )
        )
    parts.append(
        Text(
            [
                "Yaw is how far the nose stands off the middle line between eyes and mouth, in eye "
                "distances, positive to the right of the picture. If the nose tip stands some 0.4 "
                f"eye distances before the face, 0.1 is a turn of about {degrees(0.1):.0f} degrees "
                f"and 0.2 of {degrees(0.2):.0f}. Chips are cut with level eyes, so roll tells how "
                "well that was done rather than how heads were held.",
            ]
        )
    )
    return Section("Faces and pose", parts)


def shapes_section(shapes: Shapes) -> Section:
    """Draw the mean shape by age, and the spread of pose by it."""
    parts: list[Part] = []
    if shapes.mean_shapes:
        first = next(iter(shapes.mean_shapes))
        drawn = charts.outlines(shapes.mean_shapes, PARTS, Axes("x, px", "y, px"))
        parts.append(
            Chart(
                drawn,
                "Mean of the 68 points by age, in pixels of the chip; the light line in each is "
                f"the shape at {first}." + (" Each face was first brought onto the template by its "
                "eyes, nose and mouth corners." if shapes.aligned else ""),
            )
        )  # fmt: skip
    rows: list[Row] = []
    for band, chin in shapes.chin_by_band.items():
        yaw, pitch, roll = (shapes.pose_by_band[name][band] for name in ("yaw", "pitch", "roll"))
        rows.append([
            band, yaw.pictures, f"{chin:.2f}", _between(yaw, "{:+.2f}"),
            _between(pitch, "{:.2f}"), _between(roll, "{:+.1f}"),
        ])  # fmt: skip
    if rows:
        parts.append(
            Table(
                ["age", "faces", "chin", "yaw", "pitch", "roll, degrees"], rows,
                "Shape and spread of pose by age",
                "“Chin” is how far it stands below the eyes in the mean shape, in eye distances. "
                "Of yaw, pitch and roll the middle nine tenths, as for the five points above.",
                wide=True,
            )
        )  # fmt: skip
        spread = shapes.pose_by_band["yaw"]
        chart = charts.forest(
            list(spread), [one.p50 for one in spread.values()],
            [one.p5 for one in spread.values()], [one.p95 for one in spread.values()],
            Axes("yaw, eye distances", "", shapes.faces),
            counts=[one.pictures for one in spread.values()], reference=0.0,
        )  # fmt: skip
        parts.append(
            Chart(chart, "Yaw by age from the 68 points: median, and the middle nine tenths.")
        )
    missing = f"{shapes.without:,} faces of the dataset are not in it. " if shapes.without else ""
    agree = (
        f"Its yaw and that of the detector's five points correlate by {shapes.yaw_agreement:.2f}."
        if shapes.yaw_agreement is not None
        else ""
    )
    text = f"The list has points of {shapes.faces:,} faces. {missing}{agree}".strip()
    if not shapes.mean_shapes:
        text += " No age group has enough of them (20) for a mean shape."
    return Section("Shapes: 68 landmarks", [*parts, Text([text])])


def _histograms(quality: pl.DataFrame, pixels: Pixels, figures: Sequence[str]) -> list[Part]:
    """Draw those figures that enough pictures have, and that differ between them."""
    drawn: list[Part] = []
    for figure in figures:
        values = quality[figure].drop_nulls().to_numpy().astype(np.float64)
        if len(values) >= LEAST and np.ptp(values) > 0:
            drawn.append(_histogram(values, figure, pixels.ranges[figure]))
    return drawn


def _histogram(values: NDArray[np.float64], figure: str, spread: Range) -> Chart:
    words, form = _WORDS[figure]
    note = ""
    low, high = float(values.min()), float(values.max())
    if figure == "sharpness" and low > 0:
        # Its tail is long: on a log scale nothing is cut off.
        words, shown = f"log10 of {words}", np.log10(values)
        edges = np.linspace(shown.min(), shown.max(), _BINS + 1)
    else:
        shown, reach = values, max(spread.p99 - spread.p1, 1e-6)
        first, last = max(low, spread.p1 - reach / 2), min(high, spread.p99 + reach / 2)
        edges = np.linspace(first, max(last, first + 1e-6), _BINS + 1)
    counts = np.histogram(shown, edges)[0]
    if out := len(values) - int(counts.sum()):
        note = f" {upper(counted(out, 'picture'))} beyond the ends {verb(out)} not drawn."
    chart = charts.histogram(
        edges, {"pictures": counts}, Axes(words, "pictures", len(values), "pictures")
    )
    between = f"{written(spread.p5, form)} and {written(spread.p95, form)}"
    if figure == "sharpness":
        between += f" ({np.log10(spread.p5):.1f} and {np.log10(spread.p95):.1f} on this scale)"
    return Chart(chart, f"{figure.capitalize()}: nine in ten lie between {between}.{note}")


def _ranges(pixels: Pixels, figures: Sequence[str], title: str) -> Table:
    rows: list[Row] = []
    for figure in figures:
        if figure not in pixels.ranges:
            continue
        one, form = pixels.ranges[figure], _WORDS[figure][1]
        values = (one.p1, one.p5, one.p25, one.p50, one.p75, one.p95, one.p99)
        rows.append([_WORDS[figure][0], *(written(v, form) for v in values)])
    return Table(["percentile", "1", "5", "25", "50", "75", "95", "99"], rows, title, wide=True)


def _by_band(pixels: Pixels, figure: str) -> Chart | None:
    bands = pixels.by_band.get(figure, {})
    if len(bands) < 2:
        return None
    words = _WORDS[figure][0]
    chart = charts.forest(
        list(bands), [one.p50 for one in bands.values()], [one.p25 for one in bands.values()],
        [one.p75 for one in bands.values()], Axes(words, "", pixels.measured, "pictures"),
        counts=[one.pictures for one in bands.values()],
    )  # fmt: skip
    return Chart(chart, f"{figure.capitalize()} by age: median, and the middle half.")


def _between(spread: Range, form: str) -> str:
    return f"{written(spread.p5, form)} to {written(spread.p95, form)}"


def _relations(pixels: Pixels) -> Table | None:
    rows: list[Row] = [
        [
            one.figure,
            "" if one.age_correlation is None else written(one.age_correlation, "{:+.2f}"),
            "" if one.female_higher is None else percent(one.female_higher),
        ]
        for one in pixels.relations
        if one.age_correlation is not None or one.female_higher is not None
    ]
    if not rows:
        return None
    return Table(
        ["figure", "with age", "higher if female"], rows, "How figures go with the labels",
        "“With age” is Spearman's rank correlation, -1 to 1, which misses what rises and falls. "
        "“Higher if female” is the chance that the figure is higher in a female face than in a "
        "male one, 50 % if gender does not matter.",
    )  # fmt: skip
