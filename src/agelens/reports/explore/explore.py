"""Explore a dataset folder, in steps whose times are told."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agelens import provenance
from agelens.data import quality
from agelens.data.dataset import Dataset
from agelens.data.exploration.age_bands import bands_of
from agelens.data.exploration.balance import look_at_balance
from agelens.data.exploration.class_weights import face_weights, look_at_imbalance
from agelens.data.exploration.facts import Facts
from agelens.data.exploration.label_statistics import look_at_labels
from agelens.data.exploration.landmark_statistics import look_at_shapes, read_points
from agelens.data.exploration.picture_statistics import look_at_pixels
from agelens.data.exploration.shortcuts import look_for_shortcuts
from agelens.errors import DatasetError
from agelens.reports.explore import report as reporting
from agelens.reports.explore.faces import gather
from agelens.reports.explore.findings import findings
from agelens.reports.page import Finding

Report = Callable[[str, int, int | None], None]
"""Called with the step, what is done of it, and of how many if it counts."""


@dataclass(frozen=True, slots=True)
class Explored:
    """What came of it."""

    facts: Facts
    findings: list[Finding]
    page: Path
    json: Path
    weights: Path
    seconds: dict[str, float]  # by step


class _Clock:
    def __init__(self, report: Report | None) -> None:
        self.seconds: dict[str, float] = {}
        self._report = report

    @contextmanager
    def step(self, name: str) -> Iterator[Callable[[int, int], None]]:
        def counted(done: int, total: int) -> None:
            if self._report is not None:
                self._report(name, done, total)

        if self._report is not None:
            self._report(name, 0, None)
        start = time.perf_counter()
        yield counted
        self.seconds[name] = round(time.perf_counter() - start, 2)


def explore(
    data: Path,
    output: Path,
    landmarks: Path | None = None,
    command: str = "",
    report: Report | None = None,
) -> Explored:
    """Write `explore.html`, `explore.json` and `weights.csv` in OUTPUT for the dataset folder DATA.

    `landmarks` is a list of 68 points, as text or Parquet. Raises DatasetError for what is no
    dataset folder, holds no sample, or cannot be written, and for a list of other faces.
    """
    clock = _Clock(report)
    with clock.step("read the dataset"):
        dataset = Dataset(data)
        if not len(dataset):
            raise DatasetError(f"{str(data)!r} holds no sample: import a source that has some")
        points = read_points(landmarks) if landmarks is not None else None
        try:
            output.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DatasetError(f"cannot make {str(output)!r}: {error.strerror or error}") from error
    samples = dataset.samples
    bands = bands_of(samples)
    with clock.step("measure the pictures") as counted:
        measured = quality.measure(dataset, counted)
    with clock.step("count the labels"):
        labels = look_at_labels(samples, bands)
        imbalance = look_at_imbalance(samples, bands)
        scheme, weights = face_weights(samples, bands)
    with clock.step("compare splits and folds"):
        balance = look_at_balance(samples)
    with clock.step("summarise the pictures"):
        pixels = look_at_pixels(samples, measured, bands)
    with clock.step("look for shortcuts"):
        shortcuts = look_for_shortcuts(samples, measured)
    shapes = None
    if points is not None:
        with clock.step("average the landmarks"):
            shapes = look_at_shapes(samples, points, measured, bands)
    with clock.step("average the faces") as counted:
        gallery = gather(dataset, measured, bands, counted)
    facts = Facts(labels, pixels, shortcuts, shapes, imbalance, scheme, balance)
    found = findings(facts)
    made: dict[str, Any] = {
        "command": command, "data": data.resolve().name, "source": _source(data),
        "fingerprint": dataset.fingerprint, "date": provenance.now(),
        "versions": provenance.versions(), "machine": provenance.machine(),
    }  # fmt: skip
    page, facts_file, table = (
        output / name for name in ("explore.html", "explore.json", "weights.csv")
    )
    try:
        with clock.step("draw the page"):
            reporting.write_page(page, made, facts, found, measured, gallery)
            reporting.write_weights(table, weights)
        reporting.write_json(facts_file, made | {"seconds": clock.seconds}, facts, found)
    except OSError as error:
        raise DatasetError(
            f"cannot write {error.filename or str(output)!r}: {error.strerror or error}"
        ) from error
    return Explored(facts, found, page, facts_file, table, clock.seconds)


def _source(data: Path) -> str:
    """Give the name of what the dataset was imported from, empty if it is not noted."""
    try:
        about = json.loads((data / "dataset.json").read_text("utf-8"))
        return str(about["source"]["name"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
