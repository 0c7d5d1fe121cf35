"""Findings about the faces in the pictures: found or not, in their place, turned."""

from collections.abc import Iterator

from agelens.data.exploration.landmark_statistics import Shapes
from agelens.data.exploration.picture_statistics import TURNED, Pixels
from agelens.data.exploration.words import counted, degrees, ends, percent, upper, verb
from agelens.reports.explore.faces import UNSEEN
from agelens.reports.page import Finding

_MANY = 1 / 20  # share of pictures without a face from which these are hardly chips
_OFF = 12.0  # pixels of the template at which a point is elsewhere
_FEW = 20  # faces that a sentence may rest on
_FRONTAL = 0.1  # share of turned faces below which a set says little about them
_UNEVEN = 0.03  # between the shares of turned faces in two age groups
_CHIN = 0.05  # eye distances, worth a sentence


def face_findings(pixels: Pixels, shapes: Shapes | None) -> Iterator[Finding]:
    """Say where faces are found and how they stand; nothing where no picture can be read."""
    if not pixels.measured:
        return
    yield from _found(pixels)
    if pixels.measured - pixels.no_face >= _FEW:
        yield from _place(pixels)
        yield from _pose(pixels)
    if shapes is not None:
        yield from _shapes(shapes)


def _found(pixels: Pixels) -> Iterator[Finding]:
    none, measured = pixels.no_face, pixels.measured
    if none == measured:
        yield Finding("The detector finds a face in none of the pictures.", "strange")
        return
    if none > _MANY * measured:
        yield Finding(
            f"In {counted(none, 'picture')} ({percent(none / measured)}) the detector finds no "
            "face. Are these chips? If not, cut the faces out with agelens data align.", "strange"
        )  # fmt: skip
    elif none:
        shown = verb(none, "it is", "they are") if none <= UNSEEN else "some are"
        yield Finding(
            f"In {counted(none, 'picture')} of {measured:,} the detector finds no face; {shown} "
            "shown at the end.", "strange"
        )  # fmt: skip
    else:
        yield Finding("The detector finds a face in every picture.")
    if several := pixels.several_faces:
        yield Finding(
            f"{upper(counted(several, 'picture'))} {verb(several, 'shows', 'show')} more than one "
            "face.", "strange"
        )  # fmt: skip


def _place(pixels: Pixels) -> Iterator[Finding]:
    worst = max(pixels.places, key=lambda place: place.off)
    if worst.off > _OFF:
        yield Finding(
            "The faces do not stand where models expect them: the "
            f"{worst.point.replace('_', ' ')} is {worst.off:.0f} px off (median, in a chip of 200 "
            "px). Align the pictures with agelens data align.", "strange"
        )  # fmt: skip


def _pose(pixels: Pixels) -> Iterator[Finding]:
    yaw = pixels.ranges["yaw"]
    turned = pixels.turned / yaw.pictures
    reach = degrees(max(-yaw.p5, yaw.p95))
    shares = pixels.turned_by_band
    where = ""
    if len(shares) > 1 and max(shares.values()) - min(shares.values()) >= _UNEVEN:
        most, least = ends(shares)
        where = f" ({percent(shares[most])} at {most}, {percent(shares[least])} at {least})"
    little = " Figures measured here say little of faces from the side."
    yield Finding(
        f"Nine faces in ten are turned to a side by less than about {reach:.0f} degrees, and "
        f"{percent(turned)} by more than about {degrees(TURNED):.0f}{where}."
        f"{little if turned < _FRONTAL else ''}"
    )


def _shapes(shapes: Shapes) -> Iterator[Finding]:
    chin = shapes.chin_by_band
    most, least = ends(chin)
    if most and chin[most] - chin[least] >= _CHIN:
        yield Finding(
            f"In the mean shape of 68 points the chin stands {chin[least]:.2f} eye distances below "
            f"the eyes in the age group {least}, and {chin[most]:.2f} in {most}."
        )
