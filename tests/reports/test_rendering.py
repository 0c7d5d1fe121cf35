import base64
import io
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pytest
from PIL import Image

from agelens.errors import SourceError
from agelens.reports import charts, rendering
from agelens.reports.rendering import Finding, foremost, write_findings

NASTY = "<img src=x onerror=alert(1)> \"quoted\" & 'so'"
PAGE = """
{% extends "shell.jinja" %}
{% from "macros.jinja" import chapter, chart, key_figures, opening, paragraph, pictures, table
   with context %}
{% block title %}{{ nasty }}{% endblock %}
{% block subtitle %}{{ nasty }}{% endblock %}
{% block hero %}{{ chart(wide, nasty, narrow=half) }}{% endblock %}
{% block opening %}{{ opening(findings) }}{% endblock %}
{% block figures %}{{ key_figures([[nasty, 4.31|years, "MAE"]]) }}{% endblock %}
{% block chapters %}
{% call chapter("First") %}
{{ paragraph(nasty) }}
{{ chart(half, nasty, at="shown") }}
{{ chart("", nasty, at="not drawn") }}
{% endcall %}
{% call chapter(nasty) %}
{{ table([nasty, "count", "share"], rows, nasty, nasty, at="rows") }}
{{ table(["n"], many, "Many") }}
{{ pictures(shown, nasty) }}
{% endcall %}
{% endblock %}
{% block foot %}{{ paragraph(nasty) }}{% endblock %}
"""
FINDINGS = """
{% macro named(what, times) %}
{{ what }} is
  {{ times|spelled }} times as {{ what }}.
{% endmacro %}
"""


@pytest.fixture(autouse=True)
def templates(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    own = jinja2.DictLoader({"page.jinja": PAGE, "findings.jinja": FINDINGS})
    for form in ("html", "markdown"):
        environment = rendering._environment(form)
        both = jinja2.ChoiceLoader([own, environment.loader])
        monkeypatch.setattr(environment, "loader", both)
    yield
    rendering._environment.cache_clear()


def context() -> dict[str, Any]:
    red = np.zeros((8, 12, 3), np.uint8)
    red[..., 0] = 200
    half, wide = (
        charts.bars(["a", "b"], {"faces": [1, 2]}, charts.Axes("x", "y", 3), wide=wide)
        for wide in (False, True)
    )
    return {
        "nasty": NASTY, "half": half, "wide": wide,
        "rows": [[NASTY, 12345, "3.5 %"], ["b", None, "12 %"]],
        "many": [[number] for number in range(11)],
        "shown": [rendering.Picture(red, NASTY, NASTY)],
        "findings": [
            Finding(at, at, strange=at == "rows", text=f"{NASTY} {at}.")
            for at in ("shown", "not drawn", "rows")
        ],
    }  # fmt: skip


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.html = rendering.html("page.jinja", **context())
        self.feed(self.html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_html_escapes_everything_and_loads_nothing() -> None:
    read = Reader()
    opened = 4 + 1 + 3  # title, heading, subtitle, caption; figure; findings
    assert read.text.count(NASTY) == opened + 1 + 4 + 8 + 1  # list, chapters, foot
    (source,) = (a["src"] or "" for tag, a in read.tags if tag == "img")
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(source.split(",")[1]))))
    assert pixels.shape == (8, 12, 3)
    assert np.abs(pixels.mean(axis=(0, 1)) - (200, 0, 0)).max() < 4
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in read.tags}
    links = [v for _, a in read.tags for k, v in a.items() if k in ("href", "src", "xlink:href")]
    assert all(link and link.startswith(("#", "data:image/jpeg;base64,")) for link in links)
    policy = next(a for tag, a in read.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy["content"] == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert not re.search(r"@import|url\((?!#)", read.html)


def test_every_link_has_its_place_and_ids_are_unique() -> None:
    read = Reader()
    ids = [a["id"] for _, a in read.tags if "id" in a and not (a["id"] or "").startswith("c")]
    assert len(set(ids)) == len(ids)
    links = {(a["href"] or "")[1:] for tag, a in read.tags if tag == "a"}
    assert links == {"first", rendering.slug(NASTY), "at-shown", "at-not-drawn", "at-rows"}
    assert links <= set(ids)


def test_long_tables_fold_and_numbers_stand_to_the_right() -> None:
    read = Reader()
    assert sum(tag == "details" for tag, _ in read.tags) == 1 and "12,345" in read.text
    heads = [a.get("class") for tag, a in read.tags if tag == "th" and a["scope"] == "col"]
    assert heads == [None, "number", "number", "number"]
    columns = rendering.numeric_columns([["a", 12345, "3.5 %"], ["b", None, "12 %"]])
    assert columns == [False, True, True]
    assert rendering.numeric_columns([[None]]) == [False]


def test_markdown_says_the_same_with_its_charts_beside_it(tmp_path: Path) -> None:
    rendering.write_markdown(tmp_path / "page.md", "page.jinja", **context())
    text = (tmp_path / "page.md").read_text("utf-8")
    escaped = NASTY.replace("<", "\\<").replace(">", "\\>")
    assert text.startswith(f"# {escaped}\n\n{escaped}\n")
    assert text.count(escaped) == text.replace("\\", "").count(NASTY) > 12
    for words in (f"- **!** {escaped} rows.", "\n## First\n", "| ---: |"):
        assert words in text
    drawn = list((tmp_path / "charts").iterdir())
    assert len(drawn) == 2
    assert {path.name for path in drawn} == set(re.findall(r"\(charts/(.*?)\)", text))
    for svg in (path.read_text("utf-8") for path in drawn):
        assert svg.startswith("<svg ") and "var(--" not in svg
    assert "charts/" not in rendering.markdown("page.jinja", **context())


def test_writes_the_same_text_whole_or_not_at_all(tmp_path: Path) -> None:
    for name in ("a.html", "b.html"):
        rendering.write_html(tmp_path / name, "page.jinja", **context())
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    with pytest.raises(SourceError, match="expected a folder that exists"):
        rendering.write_html(tmp_path / "none" / "a.html", "page.jinja", **context())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.html", "b.html"]


def test_a_name_that_the_page_lacks_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError):
        rendering.html("page.jinja", **context() | {"nasty": jinja2.StrictUndefined()})


def test_findings_are_worded_by_macros_without_escaping() -> None:
    found = [
        Finding("named", "a", importance, values={"what": what, "times": 2})
        for what, importance in (("A & b", 1), ("C", 3), ("D", 3))
    ]
    texts = [one.text for one in foremost(write_findings("findings.jinja", found), 2)]
    assert texts == ["C is two times as C.", "D is two times as D."]
    assert write_findings("findings.jinja", found)[0].text == "A & b is two times as A & b."
