"""Sentences whose every number can be traced to its place in `report.json`.

A `Node` is a place in that tree; what it shows is a `Sentence`, a string that knows where each
of its numbers stands, and `say` joins them into longer ones.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from string import Formatter
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
"""How numbers are written: the digits, what they are multiplied by, the sign after them."""

NOTHING = "-"
"""Shown where a figure is not defined."""


@dataclass(frozen=True, slots=True)
class Quote:
    """A number as it is shown, and where it stands."""

    path: str  # JSON pointer (RFC 6901) into report.json
    shown: str  # digits with their sign
    times: int = 1  # what the number there is multiplied by: 100 for percent and points


class Sentence(str):
    """Text with the places of its numbers; `words` are names in it, whose digits are none."""

    quotes: tuple[Quote, ...]
    words: tuple[str, ...]

    def __new__(
        cls, text: str, quotes: tuple[Quote, ...] = (), words: tuple[str, ...] = ()
    ) -> "Sentence":
        """Make a sentence; most come from `say` and from nodes."""
        made = super().__new__(cls, text)
        made.quotes, made.words = quotes, words
        return made


def say(template: str, /, **values: str) -> Sentence:
    """Fill a template; numbers must come as sentences of nodes, names as plain strings.

    Values that the template does not name are passed over.
    """
    quotes: list[Quote] = []
    words: list[str] = []
    for _, name, _, _ in Formatter().parse(template):
        if name is None:
            continue
        value = values[name]
        if isinstance(value, Sentence):
            quotes += value.quotes
            words += value.words
        else:
            words.append(value)
    return Sentence(template.format(**values), tuple(quotes), tuple(words))


def join(parts: list[Sentence], between: str = " ") -> Sentence:
    """Join sentences, with `between` them; nothing of none."""
    return Sentence(
        between.join(parts),
        tuple(quote for part in parts for quote in part.quotes),
        tuple(word for part in parts for word in part.words),
    )


def listed(parts: list[Sentence]) -> Sentence:
    """Join as prose does: "a, b and c"."""
    if len(parts) < 2:
        return join(parts)
    return join([join(parts[:-1], ", "), parts[-1]], " and ")


def word(text: str) -> Sentence:
    """Give a name, whose digits are no numbers."""
    return Sentence(text, (), (text,))


class Node:
    """A place in the tree of figures."""

    __slots__ = ("path", "value")

    def __init__(self, value: Any, path: str = "") -> None:
        self.value = value
        self.path = path

    def __getitem__(self, key: str | int) -> "Node":
        """Give the place below; KeyError or IndexError where there is none."""
        step = str(key).replace("~", "~0").replace("/", "~1")
        return Node(self.value[key], f"{self.path}/{step}")

    def __iter__(self) -> Iterator["Node"]:
        """Give the places of a list."""
        return (self[place] for place in range(len(self.value)))

    def __len__(self) -> int:
        return len(self.value)

    def __contains__(self, key: str) -> bool:
        return key in self.value

    def items(self) -> Iterator[tuple[str, "Node"]]:
        """Give the keys and places of an object."""
        return ((key, self[key]) for key in self.value)

    @property
    def figure(self) -> Estimate:
        """Read {value, low, high}; what is not defined is NaN."""
        return Estimate(*(_number(self.value.get(key)) for key in ("value", "low", "high")))

    def show(self, form: str, *, size: bool = False) -> Sentence:
        """Show a number, with `size` without its sign."""
        return self._shown(form, -1 if size and self.value is not None and self.value < 0 else 1)

    def _shown(self, form: str, sign: int, suffix: bool = True) -> Sentence:
        if self.value is None:
            return Sentence(NOTHING)
        shown = written(sign * self.value, form)
        _, times, after = FORMS[form]
        return Sentence(shown + (after if suffix else ""), (Quote(self.path, shown, times),))

    def point(self, form: str, *, size: bool = False) -> Sentence:
        """Show the value of a figure, without its interval."""
        return self["value"].show(form, size=size)

    def span(self, form: str, *, size: bool = False, unit: str = "") -> Sentence:
        """Show a figure with its interval: "4.34 years (4.20 to 4.47)", "72.1% (70.8-73.4)".

        With `size` a difference below 0 is seen from the other side: its signs are turned.
        """
        turned = size and self.value["value"] is not None and self.value["value"] < 0
        sign = -1 if turned else 1
        said = say("{value}{unit}", value=self["value"]._shown(form, sign), unit=Sentence(unit))
        if self.value.get("low") is None or self.value.get("high") is None:
            return said
        ends = ("high", "low") if turned else ("low", "high")
        low, high = (self[key]._shown(form, sign, suffix=False) for key in ends)
        template = "{value} ({low}-{high})" if form == "share" else "{value} ({low} to {high})"
        return say(template, value=said, low=low, high=high)


def written(value: float, form: str) -> str:
    """Write a number in one of FORMS, without the sign after it; nothing is ever "-0.00"."""
    digits, times, _ = FORMS[form]
    text = digits.format(times * value)
    return text.lstrip("+-") if not any(digit in text for digit in "123456789") else text


def at(tree: Any, path: str) -> Any:
    """Give what stands at a JSON pointer. Raises KeyError or IndexError where nothing does."""
    for step in path.split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        tree = tree[int(key)] if isinstance(tree, list) else tree[key]
    return tree


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
