"""Numbers on a page that can be traced to their place in `report.json`.

A `Node` is a value in that file together with its place. Templates show it with filters:
`{{ mae|traced("years") }}` gives `<data value="4.1829" data-path="/models/a/...">4.18</data>` on
an HTML page and `4.18` in Markdown; `{{ mae|traced_interval("years") }}` adds the interval. `read`
finds the sentences of a page again, each with the places of its numbers.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any

from agelens.evaluation.bootstrap import Estimate

FORMS = {
    "count": ("{:,}", 1, ""),
    "number": ("{:g}", 1, ""),
    "whole": ("{:.0f}", 1, ""),
    "tenth": ("{:.1f}", 1, ""),
    "years": ("{:.2f}", 1, ""),
    "signed years": ("{:+.2f}", 1, ""),
    "signed tenth": ("{:+.1f}", 1, ""),
    "plain": ("{:.3f}", 1, ""),
    "signed plain": ("{:+.3f}", 1, ""),
    "share": ("{:.1f}", 100, "%"),
    "points": ("{:.2f}", 100, ""),  # the difference of two shares
    "signed points": ("{:+.2f}", 100, ""),
}
"""How numbers are written: the format, the factor that the value is multiplied by, the suffix."""

UNDEFINED = "-"
"""Shown for a figure that is not defined."""


_NOT_TEXT = re.compile(
    r'<(svg|style|nav)\b.*?</\1>|<(a|b|span) class="(?:more|mark|rows)".*?</\2>', re.S
)
"""Parts of a page that are no sentences: charts, styles, chapter lists, links, marks."""


class Node:
    """A value of the report's tree of figures, with its JSON pointer (RFC 6901)."""

    __slots__ = ("path", "value")

    def __init__(self, value: Any, path: str = "") -> None:
        self.value = value
        self.path = path

    def __getitem__(self, key: str | int) -> "Node":
        """Return the node below; raise KeyError or IndexError where there is none."""
        step = str(key).replace("~", "~0").replace("/", "~1")
        return Node(self.value[key], f"{self.path}/{step}")

    def __iter__(self) -> Iterator["Node"]:
        """Iterate over the nodes of a list."""
        return (self[place] for place in range(len(self.value)))

    def __len__(self) -> int:
        return len(self.value)

    def __bool__(self) -> bool:
        return bool(self.value)

    def __contains__(self, key: str) -> bool:
        return key in self.value

    def __str__(self) -> str:
        """Return a name as it is; raise TypeError for numbers, which need a filter."""
        if not isinstance(self.value, str):
            raise TypeError(f"{self.path} is no text: show it with the filter `traced`")
        return self.value

    def items(self) -> Iterator[tuple[str, "Node"]]:
        """Iterate over the keys and nodes of an object."""
        return ((key, self[key]) for key in self.value)

    def get(self, key: str) -> "Node | None":
        """Return the node below; None where there is none or its value is null."""
        value = self.value.get(key)
        return None if value is None else self[key]

    @property
    def figure(self) -> Estimate:
        """The estimate at {value, low, high}; what is not defined is NaN."""
        return Estimate(*(_number(self.value.get(key)) for key in ("value", "low", "high")))


def written(value: float, form: str) -> str:
    """Write a number in one of FORMS, without the suffix; zero never has a sign."""
    digits, times, _ = FORMS[form]
    text = digits.format(times * value)
    return text.lstrip("+-") if not any(digit in text for digit in "123456789") else text


def traced(context: Any, node: Node, form: str, *, absolute: bool = False) -> str:
    """Show a number, or the value of a figure; `absolute` drops the sign."""
    if isinstance(node.value, dict):
        node = node["value"]
    if node.value is None:
        return UNDEFINED
    turned = absolute and node.value < 0
    return _shown(context, node, form, turned=turned, suffix=True)


def traced_interval(
    context: Any, node: Node, form: str, unit: str = "", *, absolute: bool = False
) -> str:
    """Show a figure with its interval: "4.34 years (4.20 to 4.47)", "72.1% (70.8-73.4)".

    `absolute` turns the signs of a difference below 0, interval included.
    """
    if node["value"].value is None:
        return UNDEFINED
    turned = absolute and node["value"].value < 0
    text = _shown(context, node["value"], form, turned=turned, suffix=True) + unit
    if node.value.get("low") is None or node.value.get("high") is None:
        return text
    low, high = (
        _shown(context, node[key], form, turned=turned, suffix=False)
        for key in (("high", "low") if turned else ("low", "high"))
    )
    return text + _interval(context, low, high, "-" if form == "share" else " to ")


def plain(node: Node, form: str) -> str:
    """Return a figure with its interval as plain text."""
    return traced_interval(SimpleNamespace(autoescape=False), node, form)


def traced_range(context: Any, node: Node, low: str, high: str, form: str) -> str:
    """Show two numbers of a node as an interval: " (4.20 to 4.47)"."""
    first, last = (
        _shown(context, node[key], form, turned=False, suffix=False) for key in (low, high)
    )
    return _interval(context, first, last, " to ")


def filters() -> dict[str, Any]:
    """Return the filters for a Jinja2 environment."""
    from jinja2 import pass_eval_context

    return {one.__name__: pass_eval_context(one) for one in (traced, traced_interval, traced_range)}


def _shown(context: Any, node: Node, form: str, *, turned: bool, suffix: bool) -> str:
    shown = written(-node.value if turned else node.value, form)
    _, times, after = FORMS[form]
    after = after if suffix else ""
    if not context.autoescape:
        return shown + after
    from markupsafe import Markup

    return Markup('<data value="{}" data-path="{}" data-times="{}">{}</data>{}').format(
        node.value, node.path, times, shown, after
    )


def _interval(context: Any, low: str, high: str, between: str) -> str:
    if not context.autoescape:
        return f" ({low}{between}{high})"
    from markupsafe import Markup

    return Markup(' <span class="interval">({}{}{})</span>').format(low, between, high)


@dataclass(frozen=True, slots=True)
class Number:
    """A number as a page shows it, and where it stands in the JSON file."""

    shown: str
    at: str  # JSON pointer
    times: int = 1  # the value there times this is what is shown, save for the sign


@dataclass(slots=True)
class Sentence:
    """A paragraph, a caption, or a cell of a page."""

    section: str
    tag: str
    text: str = ""
    numbers: list[Number] = field(default_factory=list)


def read(html: str) -> list[Sentence]:
    """Return the texts of a page in their order, with the places of their numbers."""
    reader = _Reader()
    reader.feed(_NOT_TEXT.sub("", html))
    return [one for one in reader.found if one.text]


class _Reader(HTMLParser):
    """Collects the texts of the innermost blocks; an h2 begins a section."""

    BLOCKS = frozenset(
        (
            "title",
            "h1",
            "h2",
            "h3",
            "h4",
            "p",
            "li",
            "td",
            "th",
            "dt",
            "dd",
            "figcaption",
            "summary",
        )
    )

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Sentence] = []
        self.section = "summary"
        self._open: list[Sentence] = []
        self._number: Number | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self.BLOCKS:
            self._open.append(Sentence(self.section, tag))
            self.found.append(self._open[-1])
        elif tag == "data":
            about = dict(attrs)
            times = int(about.get("data-times") or 1)
            self._number = Number("", about.get("data-path") or "", times)

    def handle_endtag(self, tag: str) -> None:
        if tag == "data":
            self._number = None
        elif tag in self.BLOCKS and self._open:
            block = self._open.pop()
            block.text = " ".join(block.text.split())
            if tag == "h2":
                self.section = block.text

    def handle_data(self, data: str) -> None:
        if not self._open:
            if data.strip():
                self.found.append(Sentence(self.section, "", " ".join(data.split())))
            return
        self._open[-1].text += data
        if self._number is not None:
            number = Number(data, self._number.at, self._number.times)
            self._open[-1].numbers.append(number)


def resolve(tree: Any, path: str) -> Any:
    """Return the value at a JSON pointer. Raises KeyError or IndexError where there is none."""
    for step in path.split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        tree = tree[int(key)] if isinstance(tree, list) else tree[key]
    return tree


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
