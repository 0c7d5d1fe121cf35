"""Render page templates as HTML or as Markdown, and put findings into words.

A page has a frozen dataclass or a tree of facts, from `data` or `evaluation`; `Finding`s, each the
name of a macro in the page's `findings.jinja` that has the words, with the values that the macro
needs; and charts as SVG text. `templates/<page>/page.jinja` extends `shell.jinja`, fills its blocks
(title, subtitle, hero, figures, opening, chapters, foot) and uses nothing but the macros of
`macros.jinja` (chapter, chart, table, pictures, paragraph, key_figures, finding):

    {% block chapters %}
    {% call chapter("Ages") %}
    {{ chart(charts.digits, "Last digits of the ages.", at="digits") }}
    {% endcall %}
    {% endblock %}

The shell and the macros exist twice, in `templates/html` and `templates/markdown`, so one page
template serves both. HTML pages escape everything but charts, and load nothing from outside.
"""

import base64
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from agelens.errors import require
from agelens.output.tables import replacing
from agelens.reports import numbers
from agelens.reports.charts.canvas import standalone

Cell = str | int | None  # of a table: words, a whole number (written "1,234"), or nothing
Form = Literal["html", "markdown"]
CHARTS = "charts"  # the folder of a Markdown page's charts, beside the text
_NUMBER = re.compile(r"[+\-−]?[\d,.]+( ?(%|s|px|years|MB|GB|min))?( \(.*\d.*\))?|-|–|")


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """Pixels, uint8 (H, W, 3) RGB, with a line below them."""

    pixels: NDArray[np.uint8]
    label: str
    description: str = ""  # for readers who cannot see it

    @property
    def address(self) -> str:
        """The picture itself, as a data URI (JPEG)."""
        file = io.BytesIO()
        Image.fromarray(self.pixels).save(file, "JPEG", quality=82)
        return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


@dataclass(frozen=True, slots=True)
class Finding:
    """A statement about the facts, and how important it is."""

    name: str  # of the macro that words it
    at: str  # name of the chart or table beside which it stands
    importance: int = 0  # 0 to 100; the page opens with the most important ones
    strange: bool = False  # marked, for something that a reader should look into
    values: Mapping[str, Any] = field(default_factory=dict)  # arguments of the macro
    text: str = ""  # filled in by `write_findings`


def finding(
    name: str, at: str = "", importance: int = 0, /, *, strange: bool = False, **values: Any
) -> Finding:
    """Make a finding of the values that its macro takes."""
    return Finding(name, at, importance, strange, values)


strange = partial(finding, strange=True)  # that a reader should look into


def write_findings(
    template: str, found: Iterable[Finding], *facts: Any, form: Form = "markdown"
) -> list[Finding]:
    """Fill in the text of findings from the macros of a template, and keep their order.

    Each macro is called with `facts`, then with the finding's own values by their names. The
    text is plain; with the form "html" it is markup, in which numbers keep their places.
    """
    macros = _environment(form).get_template(template).module
    written = []
    for one in found:
        text = getattr(macros, one.name)(*facts, **one.values)
        written.append(replace(one, text=type(text)(" ".join(text.split()))))
    return written


def foremost(found: Iterable[Finding], most: int = 5) -> list[Finding]:
    """Return the most important findings, the most important first."""
    important = (one for one in found if one.importance)
    return sorted(important, key=lambda one: -one.importance)[:most]


def html(template: str, **context: Any) -> str:
    """Render a page template as HTML. Raises MissingExtra where jinja2 is not installed."""
    return _render("html", template, context).strip() + "\n"


def write_html(path: Path, template: str, **context: Any) -> None:
    """Write a page to a file, whole or not at all. Raises SourceError where it cannot."""
    text = html(template, **context)
    with replacing(path) as file:
        file.write(text)


def markdown(template: str, saved: dict[str, str] | None = None, **context: Any) -> str:
    """Render a page template as Markdown; pictures of faces are left out.

    Charts are put into `saved`, file name to SVG, and linked to; without it they are left out.
    """
    text = _render("markdown", template, context | {"saved": saved})
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def write_markdown(path: Path, template: str, **context: Any) -> None:
    """Write a page as Markdown to a file, with its charts in `charts/` beside it."""
    saved: dict[str, str] = {}
    files = {path: markdown(template, saved, **context)}
    if saved:
        (path.parent / CHARTS).mkdir(exist_ok=True)
    files |= {path.parent / CHARTS / name: svg + "\n" for name, svg in saved.items()}
    for place, text in files.items():
        with replacing(place) as file:
            file.write(text)


def is_wide(svg: str) -> bool:
    """Tell whether a chart was drawn for the page's whole width."""
    match = re.search(r'viewBox="0 0 ([\d.]+) ', svg)
    return match is not None and float(match[1]) > 560


def cells(rows: Sequence[Sequence[Cell]]) -> list[list[str]]:
    """Write every cell of a table."""
    return [
        ["" if c is None else c if isinstance(c, str) else f"{c:,}" for c in row] for row in rows
    ]


def numeric_columns(rows: Sequence[Sequence[Cell]]) -> list[bool]:
    """Tell which columns hold nothing but numbers, and stand to the right."""
    return [
        any(column) and all(_NUMBER.fullmatch(re.sub("<[^>]*>", "", word)) for word in column)
        for column in zip(*cells(rows), strict=True)
    ]


def slug(text: str) -> str:
    """Make a name for an address of a heading or a chart."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def markdown_text(text: object) -> str:
    """Keep text from being read as Markdown: names of files hold what they hold."""
    return re.sub(r"([\\`*_\[\]<>])", r"\\\1", str(text)).replace("\n", " ")


def _render(form: Form, template: str, context: Mapping[str, Any]) -> str:
    # `chapters` collects the headings as they are rendered; the shell lists them.
    page = {"findings": (), "chapters": [], **context}
    return str(_environment(form).get_template(template).render(page))


@cache
def _environment(form: Form) -> Any:
    require("data", "jinja2")
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    loaders = [PackageLoader("agelens.reports", f"templates{of}") for of in (f"/{form}", "")]
    environment = Environment(
        loader=ChoiceLoader(loaders), undefined=StrictUndefined,
        autoescape=form == "html",  # noqa: S701  # Markdown has an escaping of its own
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.do"],
    )  # fmt: skip
    environment.filters |= numbers.filters(markup=form == "html") | {
        "cells": cells, "numeric_columns": numeric_columns, "is_wide": is_wide, "slug": slug,
        "markdown_text": markdown_text, "standalone": standalone,
    }  # fmt: skip
    return environment
