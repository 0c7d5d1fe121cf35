"""The page's section of faces, for the user's own disk."""

from agelens.reports.explore.faces import EACH, MEAN_LEAST, Gallery, Shown
from agelens.reports.page import Part, Picture, Pictures, Section, Text

_STEPS = {
    "brightness": "Brightness, from the darkest picture to the brightest",
    "sharpness": "Sharpness, from the least sharp picture to the sharpest",
    "yaw": "Yaw, from turned to the left of the picture to turned to the right",
}


def gallery_section(gallery: Gallery) -> Section | None:
    """Show means, samples, and what figures look like; None where no picture can be read."""
    parts: list[Part] = []
    if gallery.means:
        caption = "Mean face by age and gender"
        parts.append(Pictures([_picture(one, "mean of") for one in gallery.means], caption))
    else:
        parts.append(
            Text([f"No age group has {MEAN_LEAST} faces of a gender, which a mean face takes."])
        )
    for band, shown in gallery.samples.items():
        caption = f"{band} years" if len(shown) < EACH else f"{band} years, {EACH} drawn by chance"
        parts.append(Pictures([_picture(one, "face labelled") for one in shown], caption))
    for figure, shown in gallery.steps.items():
        if shown:
            caption = f"{_STEPS[figure]} (the figure, and the share of pictures below it)"
            parts.append(Pictures([_picture(one, f"{figure} of") for one in shown], caption))
    if gallery.unseen:
        parts.append(
            Pictures([_picture(one, "picture labelled") for one in gallery.unseen], "No face found")
        )
    if not (gallery.means or gallery.samples):
        return None
    note = "The pictures belong to their owners: keep this page to yourself, as the terms ask."
    return Section("Faces", [Text([note]), *parts])


def _picture(shown: Shown, what: str) -> Picture:
    return Picture(shown.pixels, shown.label, f"{what} {shown.label}")
