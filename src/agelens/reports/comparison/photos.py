"""The pictures behind an evaluation, and their quality."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agelens.data import chips
from agelens.data import quality as picture_quality
from agelens.data.dataset import Dataset
from agelens.errors import DatasetError, PictureError
from agelens.evaluation import data_quality
from agelens.evaluation.bootstrap import Names
from agelens.evaluation.evaluation_folder import Evaluated
from agelens.reports.rendering import Picture

THUMB = 2  # every second pixel of a chip is enough

Progress = Callable[[str, int, int], None]
"""Called with the current stage, the work done, and the total (0 where it is not known)."""


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

    @property
    def paths(self) -> list[Path]:
        """The pictures that were measured, in order."""
        return [self.dataset.image_path(file) for file in self.files]

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
            self.dataset,
            lambda done, total: progress("picture quality", done, total),
            threads,
        )
        order = pl.DataFrame({"file": self.files})
        table = order.join(measured, "file", how="left", maintain_order="left").join(
            self.dataset.samples.select("file", "age", "width", "height"),
            "file",
            how="left",
            maintain_order="left",
        )
        details = data_quality.measure_details(
            self.paths, threads, lambda done: progress("picture detail", done, len(self.files))
        )
        named = data_quality.group_by_quality(table, details)
        return named, data_quality.describe(named, table["age"].to_numpy())
