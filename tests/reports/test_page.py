import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agelens.errors import SourceError
from agelens.reports import charts, page
from agelens.reports.page import Chart, Finding, Page, Picture, Pictures, Section, Table, Text

NASTY = "<img src=x onerror=alert(1)> \"quoted\" & 'so'"


def whole() -> Page:
    svg = charts.bars(["a", "b"], {"faces": [1, 2]}, charts.Axes("x", "y", 3))
    wide = charts.bars(["a", "b"], {"faces": [1, 2]}, charts.Axes("x", "y", 3), wide=True)
    red = np.zeros((8, 12, 3), np.uint8)
    red[..., 0] = 200
    rows = [[NASTY, 12345, "3.5 %"], ["b", None, "12 %"]]
    parts = [
        Text([NASTY]), Chart(svg, NASTY), Chart(wide, "wide"),
        Table([NASTY, "count", "share"], rows, NASTY, NASTY),
        Pictures([Picture(red, NASTY, NASTY)], NASTY),
    ]  # fmt: skip
    return Page(NASTY, NASTY, [Finding(NASTY, "strange")], [Section(NASTY, parts)] * 3, [NASTY])


class Reader(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.said = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.said += data


def test_escapes_everything_and_loads_nothing() -> None:
    read = Reader(page.render(whole()))
    assert read.said.count(NASTY) == 3 + 1 + 3 + 3 * 9 + 1  # head, finding, links, sections, foot
    sources = [a["src"] for tag, a in read.tags if tag == "img"]
    assert len(sources) == 3
    assert all(source and source.startswith("data:image/jpeg;base64,") for source in sources)
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in read.tags}
    links = [v for _, a in read.tags for k, v in a.items() if k in ("href", "src", "xlink:href")]
    assert all(link and link.startswith(("#", "data:")) for link in links)
    policy = next(a for tag, a in read.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy["content"] == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert not re.search(r"@import|url\((?!#)", page.render(whole()))


def test_pictures_come_back() -> None:
    read = Reader(page.render(whole()))
    source = next(a["src"] for tag, a in read.tags if tag == "img")
    assert source is not None
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(source.split(",")[1]))))
    assert pixels.shape == (8, 12, 3)
    assert np.abs(pixels.mean(axis=(0, 1)) - (200, 0, 0)).max() < 4


def test_numbers_stand_to_the_right_and_have_thousands() -> None:
    table = Table(["name", "count", "share"], [["a", 12345, "3.5 %"], ["b", None, "12 %"]])
    assert table.numeric == [False, True, True]
    assert table.cells == [["a", "12,345", "3.5 %"], ["b", "", "12 %"]]
    assert not Table(["empty"], [[None]]).numeric[0]


def test_a_wide_chart_takes_a_row() -> None:
    parts = whole().sections[0].parts
    assert [part.wide for part in parts if isinstance(part, Chart)] == [False, True]


def test_writes_the_same_text_whole_or_not_at_all(tmp_path: Path) -> None:
    page.write(whole(), tmp_path / "a.html")
    page.write(whole(), tmp_path / "b.html")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    with pytest.raises(SourceError, match="expected a folder that exists"):
        page.write(whole(), tmp_path / "none" / "a.html")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.html", "b.html"]
