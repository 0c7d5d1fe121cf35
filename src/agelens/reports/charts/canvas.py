"""The one style of all charts, and the canvas they are drawn on.

Colours become CSS variables with the colour itself as the fallback, `var(--ink, #222222)`; a page
redefines the variables for its dark mode.
"""

import hashlib
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from agelens.errors import require

PALETTE = ("#12304f", "#e8952f", "#3d8a7d", "#a63446", "#c9c4b4")  # far apart in lightness
HATCHES = ("", "////", "\\\\\\\\", "xxxx", "")
DASHES = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)))
MARKERS = ("o", "s", "^", "D", "v")

_VARIABLES = {  # CSS variables of the colours that depend on the page's ground
    "#222222": "--ink", "#444444": "--soft", "#777777": "--faint", "#555555": "--whisker",
    "#dddddd": "--grid", "#ffffff": "--paper", "#111111": "--on-light", "#fefefe": "--on-dark",
    **{colour: f"--series-{number}" for number, colour in enumerate(PALETTE)},
}  # fmt: skip

WIDTH, WIDE = 5.1, 11.2  # inches: half and whole width of a page

_STYLE: Any = {
    "svg.fonttype": "none", "svg.hashsalt": "agelens", "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial", "Helvetica"], "font.size": 10,
    "axes.spines.top": False, "axes.spines.right": False, "axes.spines.left": False,
    "axes.edgecolor": "#777777", "axes.facecolor": "none", "xtick.color": "#777777",
    "xtick.labelcolor": "#444444", "ytick.labelcolor": "#444444", "ytick.major.size": 0,
    "ytick.minor.size": 0, "xtick.major.size": 3, "axes.titlesize": 9.5,
    "axes.axisbelow": True, "axes.grid": False, "grid.color": "#dddddd", "grid.linewidth": 0.6,
    "axes.labelcolor": "#222222", "text.color": "#222222", "legend.frameon": False,
    "legend.fontsize": 9, "hatch.linewidth": 0.6, "hatch.color": "#ffffff",
    "figure.facecolor": "none", "savefig.facecolor": "none", "axes.formatter.use_mathtext": False,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Axes:
    """The words of a chart: what the axes show, with units, and of how many faces."""

    x: str
    y: str
    n: int | None = None  # what the chart is made of; shown in its corner
    of: str = "faces"  # what `n` counts


def fill(number: int) -> dict[str, Any]:
    """Give colour and hatch of the areas of one series."""
    place = number % len(PALETTE)
    return {"facecolor": PALETTE[place], "hatch": HATCHES[place], "edgecolor": "#ffffff", "lw": 0}


def stroke(number: int) -> dict[str, Any]:
    """Give colour, dashes and marker of the line of one series."""
    place = number % len(PALETTE)
    return {"color": PALETTE[place], "linestyle": DASHES[place], "marker": MARKERS[place]}


def percent(value: float, _: float) -> str:
    """Write a share in percent, as the formatter of an axis does."""
    return f"{100 * value:.3g}%"


def ramp() -> Any:
    """Give the colour map of counts and shares, from pale to dark.

    Parts coloured by it have ids that begin with "ramp": pages turn it around in dark mode.
    """
    from matplotlib.colors import LinearSegmentedColormap

    # The last is a shade off PALETTE[0], which pages replace in dark mode.
    return LinearSegmentedColormap.from_list("agelens", ["#ece7da", "#86a0b5", "#12304e"])


@dataclass(slots=True)
class Canvas:
    """A figure outside pyplot's global state, and its SVG text once it is done."""

    figure: Any
    svg: str = ""


@contextmanager
def canvas_for(
    axes: Axes | None, wide: bool = False, height: float = 3.3, *,
    grid: Literal["", "x", "y", "both"] = "", share: Literal["", "x", "y", "both"] = "",
) -> Iterator[tuple[Canvas, Any]]:  # fmt: skip
    """Give a canvas and a pair of axes with its words (or with None no axes), then write the SVG.

    `grid` and `share` name the axes that get grid lines and that show percent. Several labelled
    series get a legend.
    """
    require("data", "matplotlib")
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(_STYLE):
        figure = Figure(figsize=(WIDE if wide else WIDTH, height), layout="constrained")
        canvas = Canvas(figure)
        if axes is None:
            yield canvas, None
        else:
            ax = figure.add_subplot()
            ax.set_xlabel(axes.x)
            # Read without turning the head: what is upright stands above the axis.
            ax.set_title(axes.y, loc="left", color="#222222")
            if axes.n is not None:
                words = f"n = {axes.n:,} {axes.of}"
                ax.set_title(words, loc="right", fontsize=8.5, color="#444444")
            yield canvas, ax
            if grid:
                ax.grid(axis=grid)
            if len(ax.get_legend_handles_labels()[1]) > 1:  # above the axes, where it hides nothing
                figure.legend(loc="outside upper left", ncols=5, columnspacing=1.2)
            for axis in (ax.xaxis, ax.yaxis):
                if share in (axis.axis_name, "both"):
                    axis.set_major_formatter(percent)
            if ax.get_yscale() == "linear" and max(map(abs, ax.get_ylim())) >= 1000:
                ax.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        file = io.StringIO()
        unsaid = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(file, format="svg", metadata=unsaid, bbox_inches="tight", pad_inches=0.06)
    canvas.svg = _embeddable(file.getvalue())


def _embeddable(text: str) -> str:
    text = text[text.index("<svg") :].strip()
    own = "c" + hashlib.sha256(text.encode()).hexdigest()[:8]
    # A style element would hold for the whole page.
    text = re.sub(r"<defs>\s*<style.*?</defs>", "", text, count=1, flags=re.S)
    text = text.replace("<svg ", '<svg stroke-linejoin="round" stroke-linecap="butt" ', 1)
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\1{own}-", text)

    def themed(match: re.Match[str]) -> str:
        variable = _VARIABLES.get(match[2])
        return f"{match[1]}var({variable}, {match[2]})" if variable else match[0]

    return re.sub(r"(\b(?:fill|stroke): )(#[0-9a-f]{6})", themed, text)


def standalone(svg: str) -> str:
    """Replace CSS variables by their colours, for a file that no page shows."""
    return re.sub(r"var\(--[\w-]+, (#[0-9a-f]{6})\)", r"\1", svg)
