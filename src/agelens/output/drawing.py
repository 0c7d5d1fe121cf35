"""Predictions on a picture: boxes and readable labels, scaled with the picture."""

import math
from collections.abc import Sequence
from functools import cache
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from agelens.images.decode import Picture
from agelens.results import Box, Gender, Prediction, Status

# Okabe & Ito's palette (2008): told apart in every common form of colour blindness.
COLOURS: dict[Gender | None, tuple[int, int, int]] = {
    Gender.FEMALE: (230, 159, 0),
    Gender.MALE: (86, 180, 233),
    None: (200, 200, 200),
}
INK = (255, 255, 255)
PANEL = (24, 24, 24)
LEAST_TEXT = 9
"""Points: smaller letters cannot be read."""

Font: TypeAlias = ImageFont.FreeTypeFont | ImageFont.ImageFont


def annotate(
    picture: Picture, predictions: Sequence[Prediction], numbers: Sequence[int] = ()
) -> Picture:
    """Draw a box and a label for each prediction that has a box.

    Takes uint8 (H, W, 3) RGB and leaves it as it is; gives a copy of the same shape. With
    `numbers`, one for each prediction, labels begin with them: "2: woman, 34 (28-41)".
    """
    image = Image.fromarray(picture)
    pen = ImageDraw.Draw(image)
    height, width = picture.shape[:2]
    line = max(1, round(math.hypot(width, height) / 500))
    prefixes = [f"{number}: " for number in numbers] or [""] * len(predictions)
    shown = [
        (one, one.box, prefix)
        for one, prefix in zip(predictions, prefixes, strict=True)
        if one.box is not None
    ]
    for one, box, _ in shown:
        _frame(pen, box, line, COLOURS[one.gender], (width, height))
    taken: list[Box] = []
    for one, box, prefix in shown:
        text, font = _label(one, prefix, box, (width, height))
        pad = max(2, line)
        left, top, right, bottom = font.getbbox(text)
        wide, high = right - left + 2 * pad, bottom - top + 2 * pad
        others = [other for _, other, _ in shown if other is not box]
        place = _place(box, wide, high, (width, height), taken, others, line)
        taken.append(place)
        pen.rectangle(
            (place.left, place.top, place.right - 1, place.bottom - 1),
            fill=PANEL,
            outline=COLOURS[one.gender],
            width=max(1, line // 2),
        )
        pen.text((place.left + pad - left, place.top + pad - top), text, INK, font)
    return np.array(image, np.uint8)


def labels(one: Prediction) -> tuple[str, str, str]:
    """Give a prediction in words, from the full form to the shortest."""
    low, high = one.age_interval
    years = f"{one.age:.0f} ({low:.0f}-{high:.0f})"
    if one.status is Status.OK:
        return str(one), years, f"{one.age:.0f}"
    return f"{one}?", f"{years}?", f"{one.age:.0f}?"


def _label(one: Prediction, prefix: str, box: Box, size: tuple[int, int]) -> tuple[str, Font]:
    """Choose letters that suit face and picture, and words that fit the picture's width."""
    width, height = size
    points = max(LEAST_TEXT, round(min(box.width / 7, max(width, height) / 30)))
    points = max(points, round(max(width, height) / 75))
    *longer, shortest = (prefix + words for words in labels(one))
    for text in longer:
        for smaller in range(points, LEAST_TEXT - 1, -1):
            font = _font(smaller)
            if font.getlength(text) + 8 < width:
                return text, font
            if smaller * 2 < points:  # rather say less than write tiny
                break
    return shortest, _font(LEAST_TEXT)


@cache
def _font(points: int) -> Font:
    return ImageFont.load_default(points)


def _frame(
    pen: ImageDraw.ImageDraw, box: Box, line: int, colour: tuple[int, int, int],
    size: tuple[int, int],
) -> None:  # fmt: skip
    left, top = max(0, round(box.left)), max(0, round(box.top))
    right, bottom = min(size[0], round(box.right)) - 1, min(size[1], round(box.bottom)) - 1
    if right - left < 2 or bottom - top < 2:
        return
    # A dark line around the coloured one, so that it shows on any ground.
    dark = (max(0, left - 1), max(0, top - 1), min(size[0] - 1, right + 1),
            min(size[1] - 1, bottom + 1))  # fmt: skip
    pen.rectangle(dark, outline=PANEL, width=line + 2)
    pen.rectangle((left, top, right, bottom), outline=colour, width=line)


def _place(
    box: Box, wide: float, high: float, size: tuple[int, int],
    taken: Sequence[Box], others: Sequence[Box], gap: int,
) -> Box:  # fmt: skip
    """Find the place by the box that covers least of labels, faces and the face itself."""
    middle = (box.left + box.right - wide) / 2
    spots = [
        (box.left, box.top - high - gap), (middle, box.top - high - gap),
        (box.right - wide, box.top - high - gap),
        (box.left, box.bottom + gap), (middle, box.bottom + gap),
        (box.right - wide, box.bottom + gap),
        (box.right + gap, box.top), (box.left - wide - gap, box.top),
        (box.right + gap, box.bottom - high), (box.left - wide - gap, box.bottom - high),
        (middle, box.bottom - high), (middle, box.top),
    ]  # fmt: skip
    best, least = None, math.inf
    for order, (x, y) in enumerate(spots):
        x = round(min(max(x, 0), max(0, size[0] - wide)))
        y = round(min(max(y, 0), max(0, size[1] - high)))
        place = Box(x, y, x + wide, y + high)
        cost = order * 1e-3 * place.area
        cost += 20 * sum(_shared(place, other) for other in taken)
        cost += 4 * sum(_shared(place, other) for other in others)
        cost += 2 * _shared(place, box)
        if cost < least:
            best, least = place, cost
    assert best is not None  # noqa: S101  (there are always spots)
    return best


def _shared(a: Box, b: Box) -> float:
    wide = min(a.right, b.right) - max(a.left, b.left)
    high = min(a.bottom, b.bottom) - max(a.top, b.top)
    return wide * high if wide > 0 and high > 0 else 0.0
