"""Does the same person get the same answer at any size, turned, mirrored, compressed and cropped?

    python benchmarks/invariance.py [--model default] [--photos FOLDER] [--faces 20]

The example portrait, drawn and painted versions of it, and with --photos the largest faces of
pictures at equal steps through a folder are predicted as they are and with each change of KINDS. An
age moves by the largest distance of an answer from the median of the face's answers to a kind of
change; a gender changes where an answer differs from most. Writes results/invariance.json.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl
from numpy.typing import NDArray
from rich.progress import track

import record
from agelens import Predictor, load
from agelens.cli import console
from agelens.images.decode import read
from agelens.images.resample import cut, shrink
from agelens.images.sources import find
from agelens.results import Box
from corruptions import jpeg

NEAR = 2.0  # years that an age may move


@dataclass(frozen=True)
class View:
    """How a face is shown, in the middle of a square picture."""

    size: int = 200  # pixels across the face
    degrees: float = 0  # turned clockwise
    room: float = 3  # side of the picture, in widths of the face
    mirrored: bool = False
    quality: int | None = None  # of a JPEG

    def of(self, picture: NDArray[np.uint8], box: Box) -> NDArray[np.uint8]:
        """Show the face in a box of a picture."""
        scale = max(box.width, 0.75 * box.height) / self.size
        side = round(min(self.room * self.size, 2600))
        to_source = cv2.getRotationMatrix2D((side / 2, side / 2), self.degrees, scale)
        to_source[:, 2] += np.array([box.left + box.right, box.top + box.bottom]) / 2 - side / 2
        shown = cut(picture, to_source, side, cubic=True)
        shown = shown[:, ::-1] if self.mirrored else shown
        return jpeg(shown, self.quality, np.random.default_rng()) if self.quality else shown.copy()


KINDS = {  # of changes
    "size": [View(size=size) for size in (40, 60, 100, 160, 250, 400, 640, 1000)],
    "turn": [View(degrees=degrees) for degrees in range(30, 360, 30)],
    "mirror": [View(mirrored=True)],
    "jpeg": [View(quality=quality) for quality in (30, 50, 70, 95)],
    "crop": [View(room=room) for room in (1.4, 2, 5)],
}
PENCIL = partial(cv2.pencilSketch, sigma_s=20, sigma_r=0.1, shade_factor=0.05)
FILTERS: dict[str, Callable[[NDArray[np.uint8]], Any]] = {  # of the example portrait
    "portrait": lambda photo: photo,
    "pencil": lambda photo: PENCIL(photo)[0][..., None].repeat(3, 2),
    "coloured pencil": lambda photo: PENCIL(photo)[1],
    "watercolour": lambda photo: cv2.stylization(photo, sigma_s=40, sigma_r=0.45),
    "poster": lambda photo: cv2.edgePreservingFilter(photo, None, 1, 40, 0.4) // 28 * 28 + 14,
}


def main() -> None:
    """Show, predict, and write."""
    given = record.parser(__doc__, model="default", photos=None, faces=20).parse_args()
    cv2.setNumThreads(1)
    predictor = load(given.model, threads=1)
    portrait = shrink(read(record.ROOT / "examples/pictures/astronaut.jpg"), 1536, 1536)
    groups = {name: [make(portrait)] for name, make in FILTERS.items()}
    if given.photos:
        files = [source.data for source in find([Path(given.photos)])]
        groups["photos"] = [read(file) for file in files[:: max(1, len(files) // given.faces)]]
    figures = {
        "model": predictor.card.get("name"), "near_years": NEAR,
        "groups": {name: spread(predictor, pictures) for name, pictures in groups.items()},
    }  # fmt: skip
    record.show(record.write(given, figures, threads=1))


def spread(predictor: Predictor, pictures: list[NDArray[np.uint8]]) -> list[dict[str, Any]]:
    """Sum up by kind how far ages move, how often genders change, and how many views are missed."""
    rows = []
    for picture in track(pictures, console=console.err):
        for face in predictor.predict(picture)[:1]:
            shown = {
                kind: [predictor.predict(view.of(picture, face.box))[:1] for view in views]
                for kind, views in KINDS.items()
            }
            for kind, each in {**shown, "all": chain(*shown.values())}.items():
                answers = [face, *chain(*(each := list(each)))]
                ages = np.array([one.age for one in answers])
                years = float(np.abs(ages - np.median(ages)).max())
                female = sum(one.female_probability >= 0.5 for one in answers)
                changes = min(female, len(answers) - female)
                rows.append((kind, years, changes, len(each) + 1 - len(answers)))
    columns = ("kind", "years", "gender_changes", "missed")
    by_kind = pl.DataFrame(rows, columns, orient="row").group_by("kind", maintain_order=True)
    years = pl.col("years")
    return by_kind.agg(
        pl.len().alias("faces"), years.mean().round(2).alias("mean_years"),
        years.max().round(2).alias("most_years"), (years <= NEAR).mean().round(3).alias("near"),
        pl.sum("gender_changes", "missed"),
    ).to_dicts()  # fmt: skip


if __name__ == "__main__":
    main()
