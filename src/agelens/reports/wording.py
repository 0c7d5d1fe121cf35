"""Numbers and lists as sentences show them: the filters of every template."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agelens.data.exploration.formats import percent
from agelens.data.exploration.picture_statistics import NOSE_DEPTH

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


def years(value: float, digits: int = 1) -> str:
    """Write a length of time: "4.3 years"."""
    return f"{number(value, digits)} years"


def interval(value: float, low: float, high: float, digits: int = 1) -> str:
    """Write an estimate with its interval: "4.3 (4.2 to 4.5)"."""
    return f"{number(value, digits)} ({number(low, digits)} to {number(high, digits)})"


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
        return f"{', '.join(words[:most])} {joint} {spelled(len(words) - most)} more"
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {joint} {words[-1]}"


def extremes(figures: Mapping[str, float]) -> tuple[str, str]:
    """Name the groups with the largest and the smallest figure; "" for fewer than two groups."""
    if len(figures) < 2:
        return "", ""
    return max(figures, key=lambda k: figures[k]), min(figures, key=lambda k: figures[k])


def unsigned_zero(text: str) -> str:
    """Drop the sign of a number that was rounded to zero."""
    return text.lstrip("+-") if not text.strip("+-0.") else text


def initial(text: str) -> str:
    """Begin a sentence: make the first letter a capital one, and leave the others."""
    return text[:1].upper() + text[1:]


def degrees(yaw: float) -> float:
    """Convert a yaw in eye distances to a rough angle in degrees."""
    return math.degrees(math.atan(yaw / NOSE_DEPTH))


FILTERS: dict[str, Callable[..., Any]] = {
    one.__name__: one
    for one in (
        number, signed, years, interval, percent, spelled, counted, verb, faces_of, listed,
        extremes, initial, degrees,
    )
}  # fmt: skip
"""By the names they have in templates."""
