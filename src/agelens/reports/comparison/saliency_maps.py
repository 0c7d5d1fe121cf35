"""Saliency of the models of a report, where pictures and model files are at hand."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from agelens.errors import ModelError
from agelens.evaluation import saliency
from agelens.evaluation.evaluation_folder import Evaluated
from agelens.inference.runtime import Model, shipped
from agelens.reports.comparison.photos import Photos, Report
from agelens.reports.comparison.sections.looked_at import Looked

LEAST = 2
"""Faces: a map is held against those of others."""


def look(
    evaluated: Sequence[Evaluated],
    files: Mapping[str, Path],
    photos: Photos,
    count: int,
    threads: int | None,
    report: Report,
) -> Looked | None:
    """Map every model whose file is at hand on `count` faces; None where there is none."""
    if not files or count < LEAST:
        return None
    ages = evaluated[0].samples["age"].to_numpy().astype(np.int64)
    rows = saliency.sample_by_age(ages, count)
    if len(rows) < LEAST:
        return None
    faces = np.stack([photos.chip(photos.files[row]) for row in rows])
    maps = {}
    for name, file in files.items():
        done = 0

        def advance(more: int, name: str = name) -> None:
            nonlocal done
            done += more
            report(f"saliency of {name}", done, 2 * len(faces))

        maps[name] = saliency.occlusion_saliency(Model(file, threads), faces, advance)
    return Looked(faces, maps)


def why_not(
    evaluated: Sequence[Evaluated],
    files: Mapping[str, Path],
    photos: Photos | None,
    count: int,
) -> str:
    """Say why some models are not mapped; nothing where all are."""
    if count < LEAST:
        return "Saliency is left out; with --saliency-faces it is here."
    if photos is None:
        return "Saliency is left out: it needs the pictures; give the dataset with --data."
    if any(one.about["pipeline"] for one in evaluated):
        return "Saliency is left out: it needs aligned faces, and here they were found in pictures."
    without = [one.name for one in evaluated if one.name not in files]
    if not without:
        return ""
    return (
        f"Saliency is left out for {', '.join(without)}: the model file is not at hand; give it "
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
