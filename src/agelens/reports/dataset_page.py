"""What the pages about a data set share: timed steps, a folder to write to, pictures, files."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from agelens import provenance
from agelens.data.dataset import Dataset
from agelens.data.exploration.formats import as_json
from agelens.data.storage import write_atomic
from agelens.errors import DatasetError, PictureError
from agelens.reports import rendering
from agelens.reports.findings import Finding, foremost

SIDE = 120  # pixels of a shown picture

Report = Callable[[str, int, int], None]
"""Called with the step, what is done of it, and of how many; 0 of 0 where it does not count."""

Pixels = NDArray[np.uint8]


class Steps:
    """Time the steps of a command, and report their progress."""

    def __init__(self, report: Report | None, before: Mapping[str, float] | None = None) -> None:
        self.seconds = dict(before or {})  # by step
        self._report = report

    @contextmanager
    def step(self, name: str) -> Iterator[Callable[[int, int], None]]:
        """Time a block; it gets a function to report its progress to."""

        def counted(done: int, total: int) -> None:
            if self._report is not None:
                self._report(name, done, total)

        counted(0, 0)
        start = time.perf_counter()
        yield counted
        self.seconds[name] = round(time.perf_counter() - start, 2)


def prepare(data: Path, output: Path) -> Dataset:
    """Open a data set folder and make the folder to write to, before anything that takes long.

    Raises DatasetError for what is no data set folder, holds no sample, or cannot be made.
    """
    dataset = Dataset(data)
    if not len(dataset):
        raise DatasetError(f"{str(data)!r} holds no sample: import a source that has some")
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatasetError(f"cannot make {str(output)!r}: {error.strerror or error}") from error
    return dataset


def provenance_of(dataset: Dataset, command: str) -> dict[str, Any]:
    """Give how a page is made: the key "made" of its JSON."""
    return {
        "command": command, "data": dataset.folder.resolve().name,
        "fingerprint": dataset.fingerprint, "date": provenance.now(),
        "versions": provenance.versions(), "machine": provenance.machine(),
    }  # fmt: skip


def write_html(
    path: Path, template: str, made: dict[str, Any], facts: Any, found: Sequence[Finding],
    **context: Any,
) -> None:  # fmt: skip
    """Write the page about a data set, opening with its most important findings."""
    about = {"made": made, "facts": facts, "findings": found, "foremost": foremost(found)}
    rendering.write_html(path, template, **about, **context)


def write_json(path: Path, made: dict[str, Any], facts: Any, found: Sequence[Finding]) -> None:
    """Write the same facts as JSON, whole or not at all. Raises OSError."""
    texts = [{"text": one.text, "kind": one.kind} for one in found]
    table = {"made": made, "findings": texts, **as_json(facts)}
    write_atomic(path, (json.dumps(table, indent=1, ensure_ascii=False) + "\n").encode())


@contextmanager
def writing(output: Path) -> Iterator[None]:
    """Turn an OSError of a block that writes files into a DatasetError that names the file."""
    try:
        yield
    except OSError as error:
        raise DatasetError(
            f"cannot write {error.filename or str(output)!r}: {error.strerror or error}"
        ) from error


def read_chip(read: Callable[[int], Pixels], row: int) -> Pixels | None:
    """Read a chip; None where its file is gone or damaged."""
    try:
        return read(row)
    except PictureError:
        return None


def shrink(chip: Pixels) -> Pixels:
    """Shrink a chip to the size at which pages show it."""
    return np.asarray(cv2.resize(chip, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)
