"""Charts as SVG text, in one style. The same numbers give the same text.

People with any colour vision tell the series apart, also on a grey print.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agelens.reports.charts.canvas import (
    DASHES,
    PALETTE,
    Axes,
    canvas_for,
    fill,
    percent,
    ramp,
    stroke,
)

__all__ = ["Axes", "Line", "bars", "forest", "heat", "histogram", "lines", "outlines", "pyramid",
           "reliability", "scatter"]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """A series over x, with an optional band around it."""

    x: ArrayLike
    y: ArrayLike
    low: ArrayLike | None = None
    high: ArrayLike | None = None


def bars(
    labels: Sequence[str], series: Mapping[str, ArrayLike], axes: Axes, *, share: bool = False,
    counts: bool = False, wide: bool = False,
) -> str:  # fmt: skip
    """Draw bars, side by side where there are several series.

    `share` shows the values as percentages; `counts` writes the values above the bars.
    """
    with canvas_for(axes, wide, grid="y", share="y" if share else "") as (canvas, ax):
        slot = 0.8 / len(series)
        places = np.arange(len(labels))
        for number, (name, values) in enumerate(series.items()):
            at = places + (number - (len(series) - 1) / 2) * slot
            drawn = ax.bar(at, np.asarray(values, float), slot * 0.94, label=name, **fill(number))
            if counts:
                ax.bar_label(drawn, fmt="{:,.0f}", padding=2, fontsize=8.5)
                ax.margins(y=0.1)
        turned = max(map(len, labels), default=0) * len(labels) > (160 if wide else 55)
        ax.set_xticks(
            places, labels, rotation=40 if turned else 0, ha="right" if turned else "center"
        )
    return canvas.svg


def histogram(
    edges: ArrayLike, series: Mapping[str, ArrayLike], axes: Axes, *,
    peaks: Mapping[int, str] = {}, wide: bool = False, height: float = 3.3,
) -> str:  # fmt: skip
    """Draw counts between edges (K + 1) as filled steps, (K,) for each series.

    `peaks` colour bars of the first series, by their place, and write a word above each.
    """
    borders = np.asarray(edges, float)
    with canvas_for(axes, wide, height, grid="y") as (canvas, ax):
        for number, (name, counts) in enumerate(series.items()):
            style = fill(number)
            if number:
                line = {"edgecolor": PALETTE[number], "linestyle": DASHES[number]}
                style = {"facecolor": "none", "linewidth": 1.6, **line}
            heights = np.asarray(counts, float)
            ax.stairs(heights, borders, label=name, fill=number == 0, **style)
        for bar, word in peaks.items():
            count = float(np.asarray(next(iter(series.values())))[bar])
            ax.stairs([count], borders[bar : bar + 2], fill=True, **fill(3) | {"hatch": ""})
            ax.annotate(
                word, (borders[bar : bar + 2].mean(), count), (0, 2), ha="center",
                textcoords="offset points", fontsize=8.5, color=PALETTE[3],
            )  # fmt: skip
        ax.set_xlim(borders[0], borders[-1])
    return canvas.svg


def pyramid(
    labels: Sequence[str], left: tuple[str, ArrayLike], right: tuple[str, ArrayLike], axes: Axes
) -> str:
    """Draw two (name, counts) back to back, the first label at the bottom."""
    height = max(2.6, 0.26 * len(labels) + 1)
    with canvas_for(axes, height=height, grid="x") as (canvas, ax):
        places = np.arange(len(labels))
        for number, (sign, (name, counts)) in enumerate(((-1, left), (1, right))):
            ax.barh(places, sign * np.asarray(counts, float), 0.86, label=name, **fill(number))
        ax.set_yticks(places, labels)
        reach = 1.05 * max(1.0, *np.ravel([left[1], right[1]]))
        ax.set_xlim(-reach, reach)
        ax.axvline(0, color="#ffffff", linewidth=1)
        ax.xaxis.set_major_formatter(lambda value, _: f"{abs(value):,.0f}")
        ax.locator_params(axis="x", nbins=7)
    return canvas.svg


def heat(
    values: ArrayLike, rows: Sequence[str], columns: Sequence[str], axes: Axes, *, unit: str,
    form: str = "{:,.0f}", wide: bool = False,
) -> str:  # fmt: skip
    """Draw a table (R, C) as colours, NaN empty, with the numbers in them and their unit above."""
    table = np.asarray(values, float)
    with canvas_for(axes, wide, max(2.2, 0.32 * len(rows) + 1.3)) as (canvas, ax):
        # The map changes steadily in lightness, so a grey print keeps its order.
        image = ax.pcolormesh(
            np.arange(len(columns)), np.arange(len(rows)), table, shading="nearest", cmap=ramp(),
            edgecolors="#fdfdfd", linewidth=0.8,
        )  # fmt: skip
        image.set_gid("ramp-cells")
        ax.invert_yaxis()
        size = 9 if len(columns) <= (20 if wide else 8) else 7
        for row, column in np.argwhere(np.isfinite(table)):
            value = table[row, column]
            light = np.dot(image.cmap(image.norm(value))[:3], (0.3, 0.59, 0.11)) > 0.5
            ax.text(
                column, row, form.format(value), ha="center", va="center", fontsize=size,
                color="#111111" if light else "#fefefe",
            )  # fmt: skip
        turned = sum(map(len, columns)) > (90 if wide else 40)
        ax.set_xticks(np.arange(len(columns)), columns, rotation=40 if turned else 0)
        ax.set_yticks(np.arange(len(rows)), rows)
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
        ax.set_title(unit, fontsize=8.5, color="#444444")
    return canvas.svg


def lines(
    series: Mapping[str, Line], axes: Axes, *, scale: Literal["linear", "log"] = "linear",
    share: bool = False, markers: bool = False, reference: float | None = None, wide: bool = False,
) -> str:  # fmt: skip
    """Draw lines with their bands; `reference` is a thin level line."""
    with canvas_for(axes, wide, grid="y", share="y" if share else "") as (canvas, ax):
        if reference is not None:
            ax.axhline(reference, color="#777777", linewidth=0.8)
        for number, (name, line) in enumerate(series.items()):
            style = stroke(number) | ({} if markers else {"marker": None})
            x, y = np.asarray(line.x, float), np.asarray(line.y, float)
            if line.low is not None and line.high is not None:
                low, high = np.asarray(line.low, float), np.asarray(line.high, float)
                ax.fill_between(x, low, high, color=style["color"], alpha=0.18, linewidth=0)
            ax.plot(x, y, linewidth=1.8, markersize=4.5, label=name, **style)
        ax.set_yscale(scale)
    return canvas.svg


def scatter(x: ArrayLike, y: ArrayLike, axes: Axes) -> str:
    """Draw points (N,) as hexagons coloured by their count (log); dashed: where both are equal."""
    a, b = np.asarray(x, float), np.asarray(y, float)
    with canvas_for(axes, height=4.4, grid="both") as (canvas, ax):
        drawn = ax.hexbin(a, b, gridsize=36, cmap=ramp(), bins="log", mincnt=1, lw=0)
        drawn.set_gid("ramp-cells")
        bar = canvas.figure.colorbar(drawn, ax=ax, fraction=0.04, pad=0.02)
        bar.set_label(f"{axes.of} (log scale)")
        bar.outline.set_visible(False)
        bar.solids.set(gid="ramp-bar", rasterized=False, edgecolor="face")
        ends = [min(a.min(), b.min()), max(a.max(), b.max())]
        ax.plot(ends, ends, color=PALETTE[3], linewidth=1.2, linestyle="--")
    return canvas.svg


def forest(
    labels: Sequence[str], values: ArrayLike, low: ArrayLike, high: ArrayLike, axes: Axes,
    counts: Sequence[int], *, reference: float | None = None, share: bool = False,
) -> str:  # fmt: skip
    """Draw estimates with their intervals, the first on top; NaN ends draw no interval.

    `axes.y` is not drawn: the labels say it. `counts` are written beside the labels.
    """
    value, lower, upper = (np.asarray(v, float) for v in (values, low, high))
    height = max(2.0, 0.3 * len(labels) + 1.1)
    with canvas_for(axes, height=height, grid="x", share="x" if share else "") as (canvas, ax):
        places = np.arange(len(labels))
        ax.hlines(places, lower, upper, color="#555555", linewidth=1.4)
        ax.plot(value, places, "s", color=PALETTE[0], markersize=5.5)
        if reference is not None:
            ax.axvline(reference, color=PALETTE[3], linewidth=1, linestyle="--")
        words = [f"{label} ({count:,})" for label, count in zip(labels, counts, strict=True)]
        ax.set_yticks(places, words)
        ax.set_ylim(len(labels) - 0.4, -0.6)
        ax.set_title("", loc="left")
    return canvas.svg


def reliability(said: ArrayLike, seen: ArrayLike, counts: ArrayLike, axes: Axes) -> str:
    """Draw how often what was said (B,) with a probability was so (B,), with B bins' counts.

    Bins without faces are NaN. The dashed line is perfect calibration.
    """
    x, y, size = (np.asarray(v, float) for v in (said, seen, counts))
    with canvas_for(axes, height=4.4, grid="both", share="both") as (canvas, ax):
        ax.plot([0, 1], [0, 1], color=PALETTE[3], linestyle="--", linewidth=1, label="perfect")
        kept = np.isfinite(x) & np.isfinite(y) & (size > 0)
        ax.plot(x[kept], y[kept], "-o", color=PALETTE[0], markersize=4, label="measured")
        below = ax.inset_axes((0, -0.45, 1, 0.24))
        below.bar(x[kept], size[kept], 0.8 / max(len(x), 1), **fill(0))
        below.set(xlim=(0, 1), xlabel=axes.x, ylabel=axes.of)
        below.xaxis.set_major_formatter(percent)
        ax.set(xlim=(0, 1), ylim=(0, 1), xlabel="")
    return canvas.svg


def outlines(shapes: Mapping[str, NDArray[np.floating]], parts: Sequence[slice], axes: Axes) -> str:
    """Draw small multiples of point shapes (P, 2), y downwards; `parts` are joined by lines."""
    across, down = 5, -(-len(shapes) // 5)
    points = {name: np.asarray(shape, float) for name, shape in shapes.items()}
    first = next(iter(points.values()))
    every = np.concatenate(list(points.values()))
    (left, top), (right, bottom) = every.min(axis=0) - 6, every.max(axis=0) + 6
    with canvas_for(None, wide=True, height=2.5 * down + 0.4) as (canvas, _):
        for place, (name, shape) in enumerate(points.items()):
            ax = canvas.figure.add_subplot(down, across, place + 1)
            for line, colour, width in ((first, PALETTE[4], 1.2), (shape, PALETTE[0], 1.4)):
                for part in parts:
                    ax.plot(*line[part].T, color=colour, linewidth=width)
            ax.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")
            ax.set_title(name, fontsize=9.5)
            ax.set_xlabel(axes.x if place >= len(points) - across else "", fontsize=8)
            ax.set_ylabel(axes.y if place % across == 0 else "", fontsize=8)
            ax.tick_params(labelsize=7.5)
    return canvas.svg
