"""Saliency of the models of a report, where pictures and model files are at hand."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agelens.errors import ModelError
from agelens.evaluation import saliency
from agelens.evaluation.evaluation_folder import Evaluated
from agelens.evaluation.saliency import SaliencyMaps, Target
from agelens.inference.runtime import Model, shipped
from agelens.reports.comparison.photos import Photos, Progress
from agelens.reports.rendering import Picture

MIN_FACES = 2
"""A map is compared with those of other faces."""
EXAMPLES = 6


@dataclass(frozen=True, slots=True, eq=False)
class MappedFaces:
    """The chips that were mapped, and the maps of each model."""

    chips: NDArray[np.uint8]  # (N, 200, 200, 3) RGB
    maps: dict[str, dict[Target, SaliencyMaps]]

    def overlays(self, name: str, targets: Sequence[Target]) -> list[Picture]:
        """Show the mean face under a model's mean maps, and some faces under their own."""
        maps = {target: self.maps[name][target].maps for target in targets}
        face = np.rint(self.chips.mean(axis=0)).astype(np.uint8)
        shown = [_overlay(face, maps[t].mean(axis=0), f"{t}, all faces") for t in targets]
        places = np.linspace(0, len(self.chips) - 1, min(EXAMPLES, len(self.chips))).round()
        for place in np.unique(places.astype(np.int64)):
            shown += [_overlay(self.chips[place], maps[t][place], t) for t in targets]
        return shown


def _overlay(chip: NDArray[np.uint8], salience: NDArray[np.float64], label: str) -> Picture:
    lit = np.ascontiguousarray(saliency.overlay(chip, salience)[::2, ::2])
    return Picture(lit, label, f"saliency of {label}")


def map_models(
    evaluated: Sequence[Evaluated],
    files: Mapping[str, Path],
    photos: Photos,
    count: int,
    threads: int | None,
    progress: Progress,
) -> MappedFaces | None:
    """Map the saliency of every model whose file was found, on `count` faces; None without any."""
    if not files or count < MIN_FACES:
        return None
    ages = evaluated[0].samples["age"].to_numpy().astype(np.int64)
    rows = saliency.sample_by_age(ages, count)
    if len(rows) < MIN_FACES:
        return None
    faces = np.stack([photos.chip(photos.files[row]) for row in rows])
    maps = {}
    for name, file in files.items():
        done = 0

        def advance(more: int, name: str = name) -> None:
            nonlocal done
            done += more
            progress(f"saliency of {name}", done, 2 * len(faces))

        maps[name] = saliency.occlusion_saliency(Model(file, threads), faces, advance)
    return MappedFaces(faces, maps)


def reason_left_out(
    evaluated: Sequence[Evaluated],
    files: Mapping[str, Path],
    photos: Photos | None,
    count: int,
) -> str:
    """Return why some models are not mapped, in a sentence; "" where all are."""
    if count < MIN_FACES:
        return "Saliency is left out; --saliency-faces adds it."
    if photos is None:
        return "Saliency is left out: it needs the pictures; give the data set with --data."
    if any(one.about["pipeline"] for one in evaluated):
        return (
            "Saliency is left out: it needs aligned faces, and here they were detected in pictures."
        )
    without = [one.name for one in evaluated if one.name not in files]
    if not without:
        return ""
    return (
        f"Saliency is left out for {', '.join(without)}: the model file was not found; give it "
        "with --model."
    )


def find_models(evaluated: Sequence[Evaluated], given: Sequence[str]) -> dict[str, Path]:
    """Find the file of each model: beside its evaluation, among the shipped, or as given.

    A file is taken only where its SHA-256 is the one that was measured. Raises ModelError for
    a file given that belongs to no evaluation.
    """
    candidates = [Model(word, threads=1).path for word in given]
    digests = {path: _sha256(path) for path in candidates}
    wanted = {one.about["model"]["sha256"] for one in evaluated}
    for path, digest in digests.items():
        if digest not in wanted:
            raise ModelError(
                f"{str(path)!r} is none of the models that were evaluated (SHA-256 "
                f"{digest[:16]}): give their own files, or evaluate it"
            )
    found = {}
    for one in evaluated:
        about = one.about["model"]
        near = [place / about["file"] for place in (one.folder, one.folder.resolve().parent)]
        for path in [*candidates, *near, *shipped().values()]:
            if path.is_file() and _sha256(path) == about["sha256"]:
                found[one.name] = path
                break
    return found


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
