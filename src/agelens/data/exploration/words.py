"""Numbers as sentences have them."""

import math
from collections.abc import Mapping, Sequence

from agelens.data.exploration.picture_statistics import NOSE_DEPTH

_SMALL = (
    "no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
    "twelve",
)  # fmt: skip


def number(count: int) -> str:
    """Write a count: in words up to twelve, with thousands above."""
    return _SMALL[count] if 0 <= count < len(_SMALL) else f"{count:,}"


def counted(count: int, one: str, many: str = "") -> str:
    """Write a count with its noun: "one face", "23,704 faces"."""
    return f"{number(count)} {one if count == 1 else many or one + 's'}"


def verb(count: int, one: str = "is", many: str = "are") -> str:
    """Choose the form of a verb."""
    return one if count == 1 else many


def percent(share: float) -> str:
    """Write a share: a digit after the point below 10 %; never 0 or 100 % by rounding."""
    value = 100 * share
    if 0 < value < 0.05:
        return "under 0.1 %"
    if 99.95 <= value < 100:
        return "over 99.9 %"
    return f"{value:.1f} %" if 0 < value < 9.95 or 90 < value < 100 else f"{value:.0f} %"


def part(count: int, total: int) -> str:
    """Write how many of a total: "one face in eleven (2,197)", or "741 faces (3.1 %)"."""
    if count == total:
        return "every face"
    each = total / count if count else 0.0
    if 2.5 <= each <= 12.5 and abs(each - round(each)) <= 0.06 * each:
        return f"one face in {_SMALL[round(each)]} ({count:,})"
    return f"{counted(count, 'face')} ({percent(count / total)})"


def of_all(count: int, total: int, noun: str = "picture") -> str:
    """Write how many of a total: "Every picture", "Three pictures of 400"."""
    if count == total:
        return f"Every {noun}"
    return f"{upper(counted(count, noun))} of {total:,}"


def listed(words: Sequence[str], most: int = 12, joint: str = "and") -> str:
    """Join words: "a, b and c"; beyond `most` the rest is counted."""
    if len(words) > most:
        return f"{', '.join(words[:most])} {joint} {number(len(words) - most)} more"
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {joint} {words[-1]}"


def ends(figures: Mapping[str, float]) -> tuple[str, str]:
    """Name the group with the largest figure and the one with the smallest; "" for fewer than two.

    Of equal ones the first is named.
    """
    if len(figures) < 2:
        return "", ""
    return max(figures, key=lambda k: figures[k]), min(figures, key=lambda k: figures[k])


def written(value: float, form: str) -> str:
    """Write a figure in a form such as "{:+.2f}", without a sign where it is rounded to 0."""
    text = form.format(value)
    return text.lstrip("+-") if not text.strip("+-0.") else text


def upper(text: str) -> str:
    """Begin a sentence."""
    return text[:1].upper() + text[1:]


def degrees(yaw: float) -> float:
    """Give a turn in degrees, roughly, for a yaw in eye distances."""
    return math.degrees(math.atan(yaw / NOSE_DEPTH))
