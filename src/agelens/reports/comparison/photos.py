"""The pictures behind an evaluation: thumbnails, picture quality, and the models' saliency."""

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agelens.data import chips
from agelens.data import quality as picture_quality
from agelens.data.dataset import Dataset
from agelens.errors import DatasetError, ModelError, PictureError
from agelens.evaluation import data_quality, saliency
from agelens.evaluation.bootstrap import Names
from agelens.evaluation.evaluate import Progress
from agelens.evaluation.evaluation_folder import Evaluated
from agelens.evaluation.saliency import SaliencyMaps, Target
from agelens.inference.runtime import Model, shipped
from agelens.provenance import sha256
from agelens.reports.rendering import Picture

THUMB = 2  # every second pixel of a chip is enough
MIN_FACES = 2  # a map is compared with those of other faces
EXAMPLES = 6

Overlays = Callable[[str, Sequence[Target]], list[Picture]]  # faces of a model under its maps


class Photos:
    """The pictures of the data set that was evaluated."""

    def __init__(self, data: Path, evaluated: Evaluated) -> None:
        """Open the dataset. Raises DatasetError where it is not the one that was measured."""
        self.dataset = Dataset(data)
        expected = evaluated.about["data"]["fingerprint"]
        if self.dataset.fingerprint != expected:
            raise DatasetError(
                f"{str(data)!r} is not the dataset of the evaluations: fingerprint "
                f"{self.dataset.fingerprint[:16]}, expected {expected[:16]}; give the one that "
                "they were made with"
            )
        self.files: list[str] = evaluated.samples["file"].to_list()

    def chip(self, file: str) -> NDArray[np.uint8]:
        """Return one face, uint8 (200, 200, 3) RGB. Raises DatasetError where it cannot be read."""
        try:
            return chips.read(self.dataset.image_path(file))
        except PictureError as error:
            raise DatasetError(f"a picture of the dataset cannot be used: {error}") from error

    def thumbnail(self, file: str, label: str) -> Picture:
        """Return one face at half its size, with a line of text (HTML or plain) below it."""
        pixels = np.ascontiguousarray(self.chip(file)[::THUMB, ::THUMB])
        return Picture(pixels, label, f"face: {re.sub('<[^>]*>', '', label)}")

    def group_by_quality(
        self, threads: int | None, progress: Progress
    ) -> tuple[dict[str, Names], list[dict[str, Any]]]:
        """Group the faces by picture quality; return also a description of each group."""
        measured = picture_quality.measure(
            self.dataset, partial(progress, "picture quality"), threads
        )
        sizes = self.dataset.samples.select("file", "age", "width", "height")
        table = pl.DataFrame({"file": self.files})
        for columns in (measured, sizes):
            table = table.join(columns, "file", how="left", maintain_order="left")
        paths = [self.dataset.image_path(file) for file in self.files]
        details = data_quality.measure_details(
            paths, threads, lambda done: progress("picture detail", done, len(paths))
        )
        named = data_quality.group_by_quality(table, details)
        return named, data_quality.describe(named, table["age"].to_numpy())


def map_saliency(
    tree: dict[str, Any], evaluated: Sequence[Evaluated], models: Sequence[str],
    photos: Photos | None, count: int, threads: int | None, progress: Progress,
) -> Overlays | None:  # fmt: skip
    """Map the saliency of every model whose file is found, on `count` faces.

    Adds to the tree what the maps say, and why some are left out. Returns None without any.
    """
    files = _find_models(evaluated, models)
    whole = any(one.about["pipeline"] for one in evaluated)
    without = [one.name for one in evaluated if one.name not in files]
    tree["saliency_left_out"] = (
        "Saliency is left out; --saliency-faces adds it." if count < MIN_FACES
        else "Saliency is left out: it needs the pictures; give the data set with --data."
        if photos is None
        else "Saliency is left out: it needs aligned faces, and here they were detected in "
        "pictures." if whole
        else f"Saliency is left out for {', '.join(without)}: the model file was not found; give "
        "it with --model." if without
        else ""
    )  # fmt: skip
    if photos is None or whole or not files or count < MIN_FACES:
        return None
    rows = saliency.sample_by_age(evaluated[0].samples["age"].to_numpy().astype(np.int64), count)
    if len(rows) < MIN_FACES:
        return None
    faces = np.stack([photos.chip(photos.files[row]) for row in rows])
    maps = {}
    for name, file in files.items():
        done = itertools.count(1)

        def advance(_: int, stage: str = f"saliency of {name}", done: Iterator[int] = done) -> None:
            progress(stage, next(done), 2 * len(faces))

        maps[name] = saliency.occlusion_saliency(Model(file, threads), faces, advance)
        tree["models"][name]["saliency"] = {
            target: saliency.measure(own) for target, own in maps[name].items()
        }
    return partial(_overlays, faces, maps)


def _overlays(
    faces: NDArray[np.uint8], maps: dict[str, dict[Target, SaliencyMaps]], name: str,
    targets: Sequence[Target],
) -> list[Picture]:  # fmt: skip
    def overlay(face: NDArray[np.uint8], salience: NDArray[np.float64], label: str) -> Picture:
        lit = np.ascontiguousarray(saliency.overlay(face, salience)[::THUMB, ::THUMB])
        return Picture(lit, label, f"saliency of {label}")

    own = {target: maps[name][target].maps for target in targets}
    mean = np.rint(faces.mean(axis=0)).astype(np.uint8)
    shown = [overlay(mean, own[t].mean(axis=0), f"{t}, all faces") for t in targets]
    places = np.linspace(0, len(faces) - 1, min(EXAMPLES, len(faces))).round().astype(np.int64)
    return shown + [overlay(faces[i], own[t][i], t) for i in np.unique(places) for t in targets]


def _find_models(evaluated: Sequence[Evaluated], given: Sequence[str]) -> dict[str, Path]:
    """Find the file of each model: beside its evaluation, among the shipped, or as given.

    A file is taken only where its SHA-256 is the one that was measured. Raises ModelError for
    a file given that belongs to no evaluation.
    """
    candidates = [Model(word, threads=1).path for word in given]
    wanted = {one.about["model"]["sha256"] for one in evaluated}
    for path in candidates:
        if (digest := sha256(path)) not in wanted:
            raise ModelError(
                f"{str(path)!r} is none of the models that were evaluated (SHA-256 "
                f"{digest[:16]}): give their own files, or evaluate it"
            )
    found = {}
    for one in evaluated:
        about = one.about["model"]
        near = [place / about["file"] for place in (one.folder, one.folder.resolve().parent)]
        for path in [*candidates, *near, *shipped().values()]:
            if path.is_file() and sha256(path) == about["sha256"]:
                found[one.name] = path
                break
    return found
