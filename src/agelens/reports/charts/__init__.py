"""Charts as SVG text, in one style: for reports that open from disk.

Colours are told apart by people with any colour vision and on a grey print (their lightness
differs, and so do their hatches, dashes and markers). The same numbers give the same text.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agelens.reports.charts.canvas import (
    DASHES,
    HATCHES,
    MARKERS,
    PALETTE,
    RAMP,
    WIDE,
    WIDTH,
    Axes,
    canvas_for,
    fill,
    finish,
    percent,
    ramp,
)

__all__ = [
    "DASHES", "HATCHES", "MARKERS", "PALETTE", "WIDE", "WIDTH", "Axes", "Line", "bars", "forest",
    "heat", "histogram", "lines", "outlines", "pyramid", "reliability", "scatter",
]  # fmt: skip

Scale = Literal["linear", "log", "symlog"]


@dataclass(frozen=True, slots=True)
class Line:
    """A series over x, with an optional band around it."""

    x: ArrayLike
    y: ArrayLike
    low: ArrayLike | None = None
    high: ArrayLike | None = None


def bars(
    labels: Sequence[str],
    series: Mapping[str, ArrayLike],
    axes: Axes,
    *,
    errors: Mapping[str, tuple[ArrayLike, ArrayLike]] | None = None,
    share: bool = False,
    counts: bool = False,
    wide: bool = False,
) -> str:
    """Draw bars, side by side where there are several series; `errors` are (low, high) values.

    `share` shows the values as percentages; `counts` writes the values above the bars.
    """
    with canvas_for(axes, wide) as canvas:
        ax = canvas.ax
        slot = 0.8 / len(series)
        places = np.arange(len(labels))
        for number, (name, values) in enumerate(series.items()):
            heights = np.asarray(values, float)
            at = places + (number - (len(series) - 1) / 2) * slot
            drawn = ax.bar(at, heights, slot * 0.94, label=name, **fill(number))
            if counts:
                ax.bar_label(drawn, fmt="{:,.0f}", padding=2, fontsize=8.5)
                ax.margins(y=0.1)
            if errors and name in errors:
                low, high = (np.asarray(side, float) for side in errors[name])
                off = np.maximum(np.stack([heights - low, high - heights]), 0)
                ax.errorbar(at, heights, off, fmt="none", ecolor="#555555", elinewidth=1, capsize=2)
        turned = max(map(len, labels), default=0) * len(labels) > (160 if wide else 55)
        ax.set_xticks(
            places, labels, rotation=40 if turned else 0, ha="right" if turned else "center"
        )
        percent(ax.yaxis, share)
        finish(ax, len(series) > 1, grid="y")
    return canvas.svg


def histogram(
    edges: ArrayLike,
    series: Mapping[str, ArrayLike],
    axes: Axes,
    *,
    marks: Mapping[str, float] | None = None,
    peaks: Mapping[int, str] | None = None,
    scale: Scale = "linear",
    wide: bool = False,
    height: float = 3.3,
) -> str:
    """Draw counts between edges (K + 1) as filled steps, (K,) for each series.

    `marks` are vertical lines with a word each; `peaks` colour bars of the first series, by
    their place, and write a word above each.
    """
    borders = np.asarray(edges, float)
    with canvas_for(axes, wide, height) as canvas:
        ax = canvas.ax
        for number, (name, counts) in enumerate(series.items()):
            style = fill(number) if number == 0 else {"facecolor": "none"}
            line = {"edgecolor": PALETTE[number], "linewidth": 1.6, "linestyle": DASHES[number]}
            ax.stairs(
                np.asarray(counts, float), borders, label=name, fill=number == 0,
                **(style if number == 0 else style | line),
            )  # fmt: skip
        for bar, word in (peaks or {}).items():
            count = float(np.asarray(next(iter(series.values())))[bar])
            ax.stairs([count], borders[bar : bar + 2], fill=True, **fill(3) | {"hatch": ""})
            ax.annotate(
                word, (borders[bar : bar + 2].mean(), count), (0, 2), ha="center",
                textcoords="offset points", fontsize=8.5, color=PALETTE[3],
            )  # fmt: skip
        ax.set_yscale(scale)
        for word, place in (marks or {}).items():
            ax.axvline(place, color="#ffffff", linewidth=3)  # seen on light and on dark
            ax.axvline(place, color=PALETTE[3], linestyle="--", linewidth=1.2)
            ax.annotate(
                word, (place, 1), (3, -2), xycoords=("data", "axes fraction"),
                textcoords="offset points", va="top", fontsize=8.5,
            )  # fmt: skip
        ax.set_xlim(borders[0], borders[-1])
        finish(ax, len(series) > 1, grid="y")
    return canvas.svg


def pyramid(
    labels: Sequence[str], left: tuple[str, ArrayLike], right: tuple[str, ArrayLike], axes: Axes
) -> str:
    """Draw two (name, counts) back to back, the first label at the bottom."""
    with canvas_for(axes, wide=False, height=max(2.6, 0.26 * len(labels) + 1)) as canvas:
        ax = canvas.ax
        places = np.arange(len(labels))
        a, b = np.asarray(left[1], float), np.asarray(right[1], float)
        ax.barh(places, -a, 0.86, label=left[0], **fill(0))
        ax.barh(places, b, 0.86, label=right[0], **fill(1))
        ax.set_yticks(places, labels)
        reach = 1.05 * max(a.max(initial=0), b.max(initial=0), 1)
        ax.set_xlim(-reach, reach)
        ax.axvline(0, color="#ffffff", linewidth=1)
        ax.xaxis.set_major_formatter(lambda value, _: f"{abs(value):,.0f}")
        ax.locator_params(axis="x", nbins=7)
        finish(ax, legend=True, grid="x", numbers=False)
    return canvas.svg


def heat(
    values: ArrayLike,
    rows: Sequence[str],
    columns: Sequence[str],
    axes: Axes,
    *,
    unit: str,
    form: str = "{:,.0f}",
    diverging: bool = False,
    wide: bool = False,
) -> str:
    """Draw a table (R, C) as colours, with the numbers in them and their unit above.

    NaN stays empty; `diverging` puts white at 0, for differences.
    """
    table = np.asarray(values, float)
    height = max(2.2, 0.32 * len(rows) + 1.3)
    with canvas_for(axes, wide, height) as canvas:
        ax = canvas.ax
        reach = max(float(np.nanmax(np.abs(table), initial=0)), 1e-12)
        # Both maps change steadily in lightness, so a grey print keeps their order (the
        # diverging one keeps size, and the numbers keep the sign).
        image = ax.pcolormesh(
            np.arange(len(columns)), np.arange(len(rows)), table, shading="nearest",
            cmap="PuOr" if diverging else ramp(), edgecolors="#fdfdfd", linewidth=0.8,
            vmin=-reach if diverging else None, vmax=reach if diverging else None,
        )  # fmt: skip
        image.set_gid(f"{RAMP}-cells")
        ax.invert_yaxis()
        for row, column in np.argwhere(np.isfinite(table)):
            value = table[row, column]
            red, green, blue, _ = image.cmap(image.norm(value))
            light = 0.3 * red + 0.59 * green + 0.11 * blue > 0.5
            size = 9 if len(columns) <= (20 if wide else 8) else 7
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
        finish(ax, legend=False, numbers=False)
    return canvas.svg


def lines(
    series: Mapping[str, Line],
    axes: Axes,
    *,
    scale: Scale = "linear",
    share: bool = False,
    markers: bool = False,
    reference: float | None = None,
    wide: bool = False,
) -> str:
    """Draw lines with their bands; `reference` is a thin level line."""
    with canvas_for(axes, wide) as canvas:
        ax = canvas.ax
        if reference is not None:
            ax.axhline(reference, color="#777777", linewidth=0.8)
        for number, (name, line) in enumerate(series.items()):
            colour = PALETTE[number % len(PALETTE)]
            x, y = np.asarray(line.x, float), np.asarray(line.y, float)
            if line.low is not None and line.high is not None:
                low, high = np.asarray(line.low, float), np.asarray(line.high, float)
                ax.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)
            ax.plot(
                x, y, color=colour, linestyle=DASHES[number % len(DASHES)], linewidth=1.8,
                marker=MARKERS[number % len(MARKERS)] if markers else None, markersize=4.5,
                label=name,
            )  # fmt: skip
        ax.set_yscale(scale)
        percent(ax.yaxis, share)
        finish(ax, len(series) > 1, grid="y")
    return canvas.svg


def scatter(
    x: ArrayLike,
    y: ArrayLike,
    axes: Axes,
    *,
    diagonal: bool = False,
    density: bool = True,
    wide: bool = False,
) -> str:
    """Draw points (N,) against (N,): hexagons coloured by their count (log), or dots.

    `diagonal` adds the line on which both are equal.
    """
    a, b = np.asarray(x, float), np.asarray(y, float)
    with canvas_for(axes, wide, height=4.4) as canvas:
        ax = canvas.ax
        if density:
            drawn = ax.hexbin(a, b, gridsize=36, cmap=ramp(), bins="log", mincnt=1, lw=0)
            drawn.set_gid(f"{RAMP}-cells")
            bar = ax.figure.colorbar(drawn, ax=ax, fraction=0.04, pad=0.02)
            bar.set_label(f"{axes.of} (log scale)")
            bar.outline.set_visible(False)
            bar.solids.set(gid=f"{RAMP}-bar", rasterized=False, edgecolor="face")
        else:
            ax.plot(a, b, ".", color=PALETTE[0], markersize=4, alpha=0.6)
        if diagonal:
            low, high = min(a.min(), b.min()), max(a.max(), b.max())
            ax.plot([low, high], [low, high], color=PALETTE[3], linewidth=1.2, linestyle="--")
        finish(ax, legend=False, grid="both")
    return canvas.svg


def forest(
    labels: Sequence[str],
    values: ArrayLike,
    low: ArrayLike,
    high: ArrayLike,
    axes: Axes,
    *,
    counts: Sequence[int] | None = None,
    reference: float | None = None,
    share: bool = False,
) -> str:
    """Draw estimates with their intervals, the first on top; NaN ends draw no interval.

    `axes.y` is not drawn: the labels say it. `counts` are written beside the labels.
    """
    value, lower, upper = (np.asarray(v, float) for v in (values, low, high))
    with canvas_for(axes, wide=False, height=max(2.0, 0.3 * len(labels) + 1.1)) as canvas:
        ax = canvas.ax
        places = np.arange(len(labels))
        ax.hlines(places, lower, upper, color="#555555", linewidth=1.4)
        ax.plot(value, places, "s", color=PALETTE[0], markersize=5.5)
        if reference is not None:
            ax.axvline(reference, color=PALETTE[3], linewidth=1, linestyle="--")
        words = labels
        if counts is not None:
            words = [f"{label} ({count:,})" for label, count in zip(labels, counts, strict=True)]
        ax.set_yticks(places, words)
        ax.set_ylim(len(labels) - 0.4, -0.6)
        percent(ax.xaxis, share)
        finish(ax, legend=False, grid="x", numbers=False)
        ax.set_title("", loc="left")
    return canvas.svg


def reliability(said: ArrayLike, seen: ArrayLike, counts: ArrayLike, axes: Axes) -> str:
    """Draw how often what was said (B,) with a probability was so (B,), with B bins' counts.

    Bins without faces are NaN. The dashed line is perfect calibration.
    """
    x, y, size = (np.asarray(v, float) for v in (said, seen, counts))
    with canvas_for(axes, wide=False, height=4.4) as canvas:
        ax = canvas.ax
        ax.plot([0, 1], [0, 1], color=PALETTE[3], linestyle="--", linewidth=1, label="perfect")
        kept = np.isfinite(x) & np.isfinite(y) & (size > 0)
        ax.plot(x[kept], y[kept], "-o", color=PALETTE[0], markersize=4, label="measured")
        below = ax.inset_axes((0, -0.45, 1, 0.24))
        below.bar(x[kept], size[kept], 0.8 / max(len(x), 1), **fill(0))
        below.set(xlim=(0, 1), xlabel=axes.x, ylabel=axes.of)
        ax.set(xlim=(0, 1), ylim=(0, 1))
        for axis in (ax.xaxis, ax.yaxis, below.xaxis):
            percent(axis, True)
        finish(ax, legend=True, grid="both", numbers=False)
        ax.set_xlabel("")
    return canvas.svg


def outlines(
    shapes: Mapping[str, NDArray[np.floating]], parts: Sequence[slice], axes: Axes, across: int = 5
) -> str:
    """Draw small multiples of point shapes (P, 2), y downwards; `parts` are joined by lines."""
    names = list(shapes)
    down = -(-len(names) // across)
    every = np.concatenate([np.asarray(shape, float) for shape in shapes.values()])
    (left, top), (right, bottom) = every.min(axis=0) - 6, every.max(axis=0) + 6
    first = np.asarray(shapes[names[0]], float)
    with canvas_for(axes, wide=True, height=2.5 * down + 0.4, several=True) as canvas:
        for place, name in enumerate(names):
            ax = canvas.figure.add_subplot(down, across, place + 1)
            shape = np.asarray(shapes[name], float)
            for part in parts:
                ax.plot(*first[part].T, color=PALETTE[4], linewidth=1.2)
            for part in parts:
                ax.plot(*shape[part].T, color=PALETTE[0], linewidth=1.4)
            ax.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")
            ax.set_title(name, fontsize=9.5)
            ax.set_xlabel(axes.x if place >= len(names) - across else "", fontsize=8)
            ax.set_ylabel(axes.y if place % across == 0 else "", fontsize=8)
            ax.tick_params(labelsize=7.5)
    return canvas.svg
