"""Draw predictions onto a picture: boxes and readable labels, scaled with the picture."""

import math
from collections.abc import Sequence
from functools import cache
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from agelens.images.decode import Picture
from agelens.results import Box, Gender, Prediction, Status

# Okabe & Ito's palette (2008), distinguishable in every common form of colour blindness.
COLOURS: dict[Gender | None, tuple[int, int, int]] = {
    Gender.FEMALE: (230, 159, 0),
    Gender.MALE: (86, 180, 233),
    None: (200, 200, 200),
}
TEXT = (255, 255, 255)
BACKGROUND = (24, 24, 24)
SMALLEST_TEXT = 9  # points: smaller letters are unreadable

Font: TypeAlias = ImageFont.FreeTypeFont | ImageFont.ImageFont


def annotate(
    picture: Picture, predictions: Sequence[Prediction], numbers: Sequence[int] = ()
) -> Picture:
    """Draw a box and a label for each prediction that has a box.

    Takes uint8 (H, W, 3) RGB, which is not changed; returns an annotated copy. `numbers`, one for
    each prediction, become the start of the labels: "2: woman, 34 (28-41)".
    """
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    line = max(1, round(math.hypot(*image.size) / 500))
    prefixes = [f"{number}: " for number in numbers] or [""] * len(predictions)
    labelled = zip(predictions, prefixes, strict=True)
    shown = [(one, one.box, prefix) for one, prefix in labelled if one.box is not None]
    for one, box, _ in shown:
        _draw_box(draw, box, line, COLOURS[one.gender], image.size)
    labels: list[Box] = []
    for one, box, prefix in shown:
        text, font = _fit_label(one, prefix, box, image.size)
        padding = max(2, line)
        left, top, right, bottom = font.getbbox(text)
        wide, high = right - left + 2 * padding, bottom - top + 2 * padding
        others = [other for _, other, _ in shown if other is not box]
        place = _place_label(box, wide, high, image.size, labels, others, line)
        labels.append(place)
        draw.rectangle(
            (place.left, place.top, place.right - 1, place.bottom - 1),
            BACKGROUND, COLOURS[one.gender], max(1, line // 2),
        )  # fmt: skip
        draw.text((place.left + padding - left, place.top + padding - top), text, TEXT, font)
    return np.array(image, np.uint8)


def _fit_label(one: Prediction, prefix: str, box: Box, size: tuple[int, int]) -> tuple[str, Font]:
    low, high = one.age_interval
    mark = "" if one.status is Status.OK else "?"
    longer = (f"{prefix}{one}{mark}", f"{prefix}{one.age:.0f} ({low:.0f}-{high:.0f}){mark}")
    points = max(SMALLEST_TEXT, round(min(box.width / 7, max(size) / 30)), round(max(size) / 75))
    for text in longer:
        # A shorter text is better than one in letters of less than half the size.
        for smaller in range(points, max(SMALLEST_TEXT, (points - 1) // 2) - 1, -1):
            font = _font(smaller)
            if font.getlength(text) + 8 < size[0]:
                return text, font
    return f"{prefix}{one.age:.0f}{mark}", _font(SMALLEST_TEXT)


@cache
def _font(points: int) -> Font:
    return ImageFont.load_default(points)


def _draw_box(
    draw: ImageDraw.ImageDraw, box: Box, line: int, colour: tuple[int, int, int],
    size: tuple[int, int],
) -> None:  # fmt: skip
    left, top = max(0, round(box.left)), max(0, round(box.top))
    right, bottom = min(size[0], round(box.right)) - 1, min(size[1], round(box.bottom)) - 1
    if right - left < 2 or bottom - top < 2:
        return
    # A dark line around the coloured one keeps it visible on any background.
    around = (left - 1, top - 1, right + 1, bottom + 1)
    draw.rectangle(around, outline=BACKGROUND, width=line + 2)
    draw.rectangle((left, top, right, bottom), outline=colour, width=line)


def _place_label(
    box: Box, wide: float, high: float, size: tuple[int, int],
    labels: Sequence[Box], others: Sequence[Box], gap: int,
) -> Box:  # fmt: skip
    middle = (box.left + box.right - wide) / 2
    columns = (box.left, middle, box.right - wide)
    sides = (box.right + gap, box.left - wide - gap)
    corners = [
        *((x, box.top - high - gap) for x in columns), *((x, box.bottom + gap) for x in columns),
        *((x, box.top) for x in sides), *((x, box.bottom - high) for x in sides),
        (middle, box.bottom - high), (middle, box.top),
    ]  # fmt: skip

    def cost(order: int, place: Box) -> float:
        covered = 20 * sum(place.intersection(label) for label in labels)
        covered += 4 * sum(place.intersection(other) for other in others)
        return order * 1e-3 * place.area + covered + 2 * place.intersection(box)

    places = []
    for x, y in corners:
        left = round(min(max(x, 0), max(0, size[0] - wide)))
        top = round(min(max(y, 0), max(0, size[1] - high)))
        places.append(Box(left, top, left + wide, top + high))
    return min(enumerate(places), key=lambda item: cost(*item))[1]
