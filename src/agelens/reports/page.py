"""A report as one HTML file: findings, text, tables, charts and pictures; needs no network.

Everything in it is escaped save the charts, which are SVG text from `reports.charts`. The page
forbids the browser to load anything (content security policy).
"""

import base64
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from agelens.errors import MissingExtra
from agelens.output.tables import replacing

Cell = str | int | None
"""A cell of a table: words, a whole number (written with thousands), or nothing."""

_NUMBER = re.compile(r"[+\-−]?[\d,.]+( ?(%|s|px|years|MB|GB|min))?( \(.*\d.*\))?|-|–|")


@dataclass(frozen=True, slots=True)
class Finding:
    """A sentence at the top of the page; a strange one is marked, with a word before it."""

    text: str
    kind: Literal["plain", "strange"] = "plain"
    mark: str = "Strange"


@dataclass(frozen=True, slots=True)
class Text:
    """Paragraphs."""

    kind: ClassVar = "text"
    paragraphs: Sequence[str]


@dataclass(frozen=True, slots=True)
class Chart:
    """SVG text with a caption that says what to see in it; a wide one takes a row of its own."""

    kind: ClassVar = "chart"
    svg: str
    caption: str

    @property
    def wide(self) -> bool:
        """Whether it was drawn for the page's whole width."""
        match = re.search(r'viewBox="0 0 ([\d.]+) ', self.svg)
        return match is not None and float(match[1]) > 560


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under columns; columns of numbers are set to the right."""

    kind: ClassVar = "table"
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    note: str = ""
    wide: bool = False

    @property
    def cells(self) -> list[list[str]]:
        """The words of every cell."""
        return [["" if c is None else _words(c) for c in row] for row in self.rows]

    @property
    def numeric(self) -> list[bool]:
        """Which columns hold nothing but numbers."""
        rows = self.cells
        return [
            any(row[place] for row in rows) and all(_NUMBER.fullmatch(row[place]) for row in rows)
            for place in range(len(self.columns))
        ]


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """Pixels, uint8 (H, W, 3) RGB, with a line below them."""

    pixels: NDArray[np.uint8]
    label: str
    description: str = ""  # for those who cannot see it

    @property
    def address(self) -> str:
        """The picture itself, as a data URI (JPEG)."""
        file = io.BytesIO()
        Image.fromarray(self.pixels).save(file, "JPEG", quality=82)
        return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()

    @property
    def width(self) -> int:
        """Pixels across."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """Pixels down."""
        return int(self.pixels.shape[0])


@dataclass(frozen=True, slots=True)
class Pictures:
    """A grid of pictures, each about `side` pixels wide."""

    kind: ClassVar = "pictures"
    pictures: Sequence[Picture]
    caption: str = ""
    side: int = 100


Part = Text | Chart | Table | Pictures


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands below it."""

    title: str
    parts: Sequence[Part]


@dataclass(frozen=True, slots=True)
class Page:
    """A whole report."""

    title: str
    subtitle: str
    findings: Sequence[Finding]
    sections: Sequence[Section]
    foot: Sequence[str] = field(default_factory=tuple)  # command, data, versions, date


def render(page: Page) -> str:
    """Give the page as HTML text. Raises MissingExtra where jinja2 is not installed."""
    return str(_template().render(page=page))


def write(page: Page, path: Path) -> None:
    """Write the page to a file, whole or not at all. Raises SourceError where it cannot."""
    text = render(page)
    with replacing(path) as file:
        file.write(text)


@cache
def _template() -> Any:
    try:
        from jinja2 import Environment, StrictUndefined
    except ModuleNotFoundError as error:
        raise MissingExtra("jinja2", "data") from error
    text = (resources.files("agelens.reports") / "page.html").read_text("utf-8")
    # Always escaped: the charts alone are marked safe, and those we have drawn.
    return Environment(autoescape=True, undefined=StrictUndefined).from_string(text)


def _words(cell: str | int) -> str:
    return cell if isinstance(cell, str) else f"{cell:,}"
