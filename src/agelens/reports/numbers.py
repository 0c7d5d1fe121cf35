"""Numbers as pages show them: the filters of every template, and numbers that can be traced.

A `Node` is a value of `report.json` together with its place. `{{ mae|traced("years") }}` gives
`<data value="4.1829" data-path="/models/a/...">4.18</data>` on an HTML page and `4.18` in Markdown;
`{{ mae|traced_interval("years") }}` adds the interval. `read` finds the sentences of a page again,
each with the places of its numbers.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from html import unescape
from typing import Any

import numpy as np

from agelens.data.exploration.facts import percent
from agelens.data.exploration.picture_statistics import NOSE_DEPTH
from agelens.evaluation.bootstrap import Estimate

_SMALL = (
    "no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
    "twelve",
)  # fmt: skip


def number(value: float, digits: int = 0) -> str:
    """Write a number with thousands separators: "23,704", or "4.31" with two digits."""
    return unsigned_zero(f"{value:,.{digits}f}")


def signed(value: float, digits: int = 1) -> str:
    """Write a number with its sign: "+1.2", "-0.4", "0.0"."""
    return unsigned_zero(f"{value:+,.{digits}f}")


def unsigned_zero(text: str) -> str:
    """Drop the sign of a number that was rounded to zero."""
    return text.lstrip("+-") if not text.strip("+-0.") else text


def years(value: float, digits: int = 1) -> str:
    """Write a length of time: "4.3 years"."""
    return f"{number(value, digits)} years"


def spelled(count: int) -> str:
    """Write a count in words up to twelve, with thousands separators above."""
    return _SMALL[count] if 0 <= count < len(_SMALL) else f"{count:,}"


def counted(count: int, one: str, many: str = "") -> str:
    """Write a count with its noun: "one face", "23,704 faces"."""
    return f"{spelled(count)} {one if count == 1 else many or one + 's'}"


def verb(count: int, one: str = "is", many: str = "are") -> str:
    """Choose the form of a verb that agrees with a count."""
    return one if count == 1 else many


def faces_of(count: int, total: int) -> str:
    """Write how many faces of a total: "one face in eleven (2,197)", or "741 faces (3.1 %)"."""
    if count == total:
        return "every face"
    each = total / count if count else 0.0
    if 2.5 <= each <= 12.5 and abs(each - round(each)) <= 0.06 * each:
        return f"one face in {_SMALL[round(each)]} ({count:,})"
    return f"{counted(count, 'face')} ({percent(count / total)})"


def listed(words: Sequence[str], most: int = 12, joint: str = "and") -> str:
    """Join words: "a, b and c"; words beyond `most` are counted."""
    if len(words) > most:
        words = [*words[:most], f"{spelled(len(words) - most)} more"]
    return f" {joint} ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def extremes(figures: Mapping[str, float]) -> tuple[str, str]:
    """Name the groups with the largest and the smallest figure; "" for fewer than two groups."""
    if len(figures) < 2:
        return "", ""
    return max(figures, key=figures.__getitem__), min(figures, key=figures.__getitem__)


def initial(text: str) -> str:
    """Begin a sentence: make the first letter a capital one, and leave the others."""
    return text[:1].upper() + text[1:]


def degrees(yaw: float) -> float:
    """Convert a yaw in eye distances to a rough angle in degrees."""
    return math.degrees(math.atan(yaw / NOSE_DEPTH))


@dataclass(frozen=True, slots=True)
class Node:
    """A value of the report's tree of figures, with its JSON pointer (RFC 6901)."""

    value: Any = field(hash=False)
    path: str = ""

    def __getitem__(self, key: str | int) -> "Node":
        step = str(key).replace("~", "~0").replace("/", "~1")
        return Node(self.value[key], f"{self.path}/{step}")

    def __iter__(self) -> Iterator["Node"]:
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
        return None if self.value.get(key) is None else self[key]

    @property
    def figure(self) -> Estimate:
        """The estimate at {value, low, high}; what is not defined is NaN."""
        ends = [self.value.get(key) for key in ("value", "low", "high")]
        return Estimate(*np.array(ends, float).tolist())


FORMS = {  # of traced numbers: the format, the factor of the value, the suffix
    "count": ("{:,}", 1, ""), "number": ("{:g}", 1, ""), "whole": ("{:.0f}", 1, ""),
    "tenth": ("{:.1f}", 1, ""), "signed tenth": ("{:+.1f}", 1, ""),
    "years": ("{:.2f}", 1, ""), "signed years": ("{:+.2f}", 1, ""),
    "plain": ("{:.3f}", 1, ""), "signed plain": ("{:+.3f}", 1, ""), "share": ("{:.1f}", 100, "%"),
    # the difference of two shares
    "points": ("{:.2f}", 100, ""), "signed points": ("{:+.2f}", 100, ""),
}  # fmt: skip
UNDEFINED = "-"  # shown for a figure that is not defined


def written(value: float, form: str) -> str:
    """Write a number in one of FORMS, without the suffix; zero never has a sign."""
    digits, times, _ = FORMS[form]
    return unsigned_zero(digits.format(times * value))


def traced(node: Node, form: str, *, absolute: bool = False) -> str:
    """Show a number, or the value of a figure; `absolute` drops the sign."""
    if isinstance(node.value, dict):
        node = node["value"]
    if node.value is None:
        return UNDEFINED
    return _tagged(node, form, absolute and node.value < 0) + FORMS[form][2]


def traced_interval(node: Node, form: str, unit: str = "", *, absolute: bool = False) -> str:
    """Show a figure with its interval: "4.34 years (4.20 to 4.47)", "72.1% (70.8-73.4)".

    `absolute` turns the signs of a difference below 0, interval included.
    """
    value = node.value["value"]
    if value is None:
        return UNDEFINED
    text = traced(node, form, absolute=absolute) + unit
    if node.value.get("low") is None or node.value.get("high") is None:
        return text
    turned = absolute and value < 0
    ends = ("high", "low") if turned else ("low", "high")
    return text + _interval(node, ends, form, "-" if form == "share" else " to ", turned)


def traced_range(node: Node, low: str, high: str, form: str) -> str:
    """Show two numbers of a node as an interval: " (4.20 to 4.47)"."""
    return _interval(node, (low, high), form, " to ", False)


def _tagged(node: Node, form: str, turned: bool) -> str:
    from markupsafe import Markup

    shown = written(-node.value if turned else node.value, form)
    return Markup('<data value="{}" data-path="{}" data-times="{}">{}</data>').format(
        node.value, node.path, FORMS[form][1], shown
    )


def _interval(node: Node, ends: tuple[str, str], form: str, between: str, turned: bool) -> str:
    from markupsafe import Markup

    low, high = (_tagged(node[key], form, turned) for key in ends)
    return Markup(' <span class="interval">({}{}{})</span>').format(low, between, high)


def untagged(text: str) -> str:
    """Turn what `traced` and its kin give into plain text."""
    return re.sub("<[^>]*>", "", text)


def filters(*, markup: bool) -> dict[str, Callable[..., Any]]:
    """Return the filters of this module for a Jinja2 environment, by their names."""
    found: dict[str, Callable[..., Any]] = {
        f.__name__: f for f in (number, signed, years, percent, spelled, counted, verb, faces_of,
                                listed, extremes, initial, degrees)
    }  # fmt: skip

    def plain(show: Callable[..., str], *words: Any, **options: Any) -> str:
        return untagged(show(*words, **options))

    for show in (traced, traced_interval, traced_range):
        found[show.__name__] = show if markup else partial(plain, show)
    return found


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


_BLOCKS = frozenset((
    "title", "h1", "h2", "h3", "h4", "p", "li", "td", "th", "dt", "dd", "figcaption", "summary",
))  # fmt: skip
_NOT_TEXT = re.compile(  # charts, styles, chapter lists, links, marks
    r'<(svg|style|nav)\b.*?</\1>|<(a|b|span) class="(?:more|mark|rows)".*?</\2>', re.S
)
_TOKEN = re.compile(r"<(/?)([\w!]+)([^>]*)>|([^<]+)")
_PLACE = re.compile(r'data-path="([^"]*)" data-times="(\d+)"')


def read(page: str) -> list[Sentence]:
    """Return the texts of a page's innermost blocks, with their numbers; an h2 begins a section."""
    found: list[Sentence] = []
    blocks: list[Sentence] = []  # those that are open
    section, place = "summary", None
    for closing, tag, attributes, text in _TOKEN.findall(_NOT_TEXT.sub("", page)):
        if tag == "data":
            place = None if closing else _PLACE.search(attributes)
        elif tag in _BLOCKS and not closing:
            blocks.append(Sentence(section, tag))
            found.append(blocks[-1])
        elif tag in _BLOCKS and blocks:
            block = blocks.pop()
            section = " ".join(block.text.split()) if tag == "h2" else section
        elif text and blocks:
            blocks[-1].text += unescape(text)
            if place is not None:
                blocks[-1].numbers.append(Number(text, unescape(place[1]), int(place[2])))
        elif text.strip():
            found.append(Sentence(section, "", unescape(text)))
    for one in found:
        one.text = " ".join(one.text.split())
    return [one for one in found if one.text]
