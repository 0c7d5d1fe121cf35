"""The pictures on the pages about a data set: mean faces, samples, suspects, copies."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import cv2
import numpy as np
import polars as pl
from numpy.typing import NDArray

from agelens.data import chips
from agelens.data.audit.duplicates import Copies
from agelens.data.audit.face_problems import FaceProblem
from agelens.data.audit.label_errors import ScoredLabels
from agelens.data.dataset import Dataset
from agelens.data.exploration.label_statistics import UNLABELLED, Bands, label_words
from agelens.errors import PictureError
from agelens.inference.runtime import CHIP
from agelens.reports.rendering import Picture
from agelens.results import Gender

SIDE = 120  # pixels of a shown picture
MEAN_LEAST = 10  # faces in a mean: of fewer, single people show through
MEAN_MOST = 500  # drawn at random from more: the mean hardly changes, and reading takes time
EACH = 10  # samples of a band
UNSEEN = 24  # pictures shown in which no face was found
STEPS = (0, 1, 5, 25, 50, 75, 95, 99, 100)  # percentiles at which a figure is shown
STEPS_LEAST = 100  # pictures; of fewer, the steps show nothing that the samples do not
WORST = 100  # suspect labels that are shown
_CONFLICTS = 24  # photos whose copies are shown
_PROBLEMS = 24  # faces shown of each problem
_COPIES = 4  # of one photo that are shown side by side
_AHEAD = 256  # chips decoded before they are summed up
_SEED = 20170101

Pixels = NDArray[np.uint8]
Read = Callable[[int], Pixels | None]


def _reader(dataset: Dataset) -> Read:
    """Return a function from row number to chip; None where its file is gone or damaged."""
    decode = chips.reader(dataset)

    def read(row: int) -> Pixels | None:
        try:
            return decode(row)
        except PictureError:
            return None

    return read


def _shrink(chip: Pixels) -> Pixels:
    return np.asarray(cv2.resize(chip, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def _labels(samples: pl.DataFrame, row: int) -> str:
    """Return the age, or its range, and the gender of a face in words."""
    age, gender = str(samples["age"][row]), samples["gender"][row]
    if "age_low" in samples.columns and samples["age_low"][row] is not None:
        low, high = samples["age_low"][row], samples["age_high"][row]
        age = f"{low}-{high}" if low < high else str(low)
    return f"{age} {gender}" if gender else age


def explored_faces(
    dataset: Dataset, quality: pl.DataFrame, bands: Bands, report: Callable[[int, int], None]
) -> dict[str, Any]:
    """Read all readable chips once for the means, and pick the other pictures.

    Gives lists of pictures: "means" by band and gender, "samples" in a dict by band, "steps" in
    a dict by figure, from its lowest to its highest value, and "unseen", without a face.
    """
    read, samples = _reader(dataset), dataset.samples
    ages = samples["age"].to_list()
    readable = quality["brightness"].is_not_null().to_numpy()

    def show(rows: Sequence[int], label: Callable[[int], str], what: str) -> list[Picture]:
        return [
            Picture(_shrink(chip), label(row), f"{what} {label(row)}")
            for row in rows
            if (chip := read(row)) is not None
        ]

    labels = partial(_labels, samples)
    random = np.random.default_rng(_SEED)
    drawn = {}
    for band, name in enumerate(bands.names):
        rows = bands.rows(band)[readable[bands.rows(band)]]
        chosen = sorted(random.permutation(rows)[:EACH].tolist(), key=lambda r: (ages[r], r))
        drawn[name] = show(chosen, labels, "face labelled")
    none = np.flatnonzero((quality["faces"] == 0).fill_null(False).to_numpy())[:UNSEEN].tolist()
    steps = {}
    for name, form in (("brightness", "{:.0f}"), ("sharpness", "{:.0f}"), ("yaw", "{:+.2f}")):
        words = _steps(quality[name], form)
        steps[name] = show(list(words), words.__getitem__, f"{name} of")
    return {
        "means": _means(read, label_words(samples["gender"]), readable, bands, report),
        "samples": {name: shown for name, shown in drawn.items() if shown},
        "steps": steps,
        "unseen": show(none, labels, "picture labelled"),
    }


def _means(
    read: Read, gender: NDArray[np.object_], readable: NDArray[np.bool_], bands: Bands,
    report: Callable[[int, int], None],
) -> list[Picture]:  # fmt: skip
    """Average the chips of each age band and gender, going once through the file in its order."""
    genders = [word.value for word in Gender if (gender == word.value).any()] or [UNLABELLED]
    cell = np.full(len(gender), -1)
    cells: list[tuple[str, int]] = []  # name, faces
    random = np.random.default_rng(_SEED)
    for band, name in enumerate(bands.names):
        for word in genders:
            rows = np.flatnonzero((bands.of == band) & (gender == word) & readable)
            if len(rows) >= MEAN_LEAST:
                cell[random.permutation(rows)[:MEAN_MOST]] = len(cells)
                cells.append((name if word == UNLABELLED else f"{name} {word}", len(rows)))
    sums = np.zeros((len(cells), CHIP, CHIP, 3), np.uint32)
    counts = [0] * len(cells)
    chosen = np.flatnonzero(cell >= 0).tolist()
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(chosen), _AHEAD):
            some = chosen[start : start + _AHEAD]
            for row, chip in zip(some, pool.map(read, some), strict=True):
                if chip is not None:
                    sums[cell[row]] += chip
                    counts[cell[row]] += 1
            report(start + len(some), len(chosen))
    found = []
    for (name, total), summed, count in zip(cells, sums, counts, strict=True):
        if count >= MEAN_LEAST:
            mean = np.rint(summed / count).astype(np.uint8)
            of = f"{count:,}" if count == total else f"{count:,} of {total:,}"
            found.append(
                Picture(_shrink(mean), f"{name}, {of} faces", f"mean of {name}, {of} faces")
            )
    return found


def _steps(column: pl.Series, form: str) -> dict[int, str]:
    """Return the rows at steps of a figure's range, each with its label."""
    values = column.to_numpy().astype(np.float64)
    order = np.argsort(values, kind="stable")[: int(np.isfinite(values).sum())]
    if len(order) < STEPS_LEAST:
        return {}
    rows = {step: int(order[round(step / 100 * (len(order) - 1))]) for step in STEPS}
    return {row: f"{form.format(values[row])} ({step} %)" for step, row in rows.items()}


def audited_faces(
    dataset: Dataset, copies: Copies, problems: dict[str, list[FaceProblem]],
    scored: ScoredLabels | None,
) -> dict[str, Any]:  # fmt: skip
    """Pick the pictures of an audit; those that cannot be read are passed over.

    Gives lists of pictures: "copies", each of the copies of one photo, "faces" in a dict by
    problem, the worst first, and "labels", the least plausible first.
    """
    read, samples = _reader(dataset), dataset.samples

    def show(chosen: Iterable[tuple[list[int], str]]) -> list[Picture]:
        found = (([read(row) for row in rows], label) for rows, label in chosen)
        return [
            Picture(np.hstack([_shrink(chip) for chip in shown if chip is not None]), label, label)
            for shown, label in found
            if all(chip is not None for chip in shown)
        ]

    half = _COPIES // 2
    return {
        "copies": show(
            (
                rows if len(rows) <= _COPIES else rows[:half] + rows[-half:],
                " / ".join(_labels(samples, row) for row in rows),
            )
            for rows in _conflicting(samples, copies)[:_CONFLICTS]
        ),
        "faces": {
            name: show(
                ([one.row], f"{one.evidence}; labelled {_labels(samples, one.row)}")
                for one in found[:_PROBLEMS]
            )
            for name, found in problems.items()
            if found
        },
        "labels": show(_suspects(samples, scored)) if scored is not None else [],
    }


def _suspects(samples: pl.DataFrame, scored: ScoredLabels) -> Iterable[tuple[list[int], str]]:
    """Give the rows of suspect labels, by the plausibility of the less plausible of both."""
    plausibility = np.fmin(
        np.where(scored.age.suspect, scored.age.plausibility, np.inf),
        np.where(scored.gender.suspect, scored.gender.plausibility, np.inf),
    )
    order = np.argsort(plausibility, kind="stable")
    for row in order[np.isfinite(plausibility[order])][:WORST].tolist():
        words = []
        if scored.age.suspect[row]:
            words.append(
                f"labelled {samples['age'][row]}, predicted {scored.age_median[row]:.0f} "
                f"({scored.age_low[row]:.0f} to {scored.age_high[row]:.0f})"
            )
        if scored.gender.suspect[row]:
            words.append(
                f"labelled {samples['gender'][row]}, predicted {scored.predicted_gender(row)}"
            )
        yield [row], "; ".join(words)


def _conflicting(samples: pl.DataFrame, copies: Copies) -> list[list[int]]:
    """Give groups of copies with different labels: other genders first, then by years apart."""
    ages = samples["age"].to_numpy().astype(np.int64)
    genders = samples["gender"].to_list()

    def apart(rows: list[int]) -> tuple[bool, int]:
        return len({genders[row] for row in rows}) > 1, int(np.ptp(ages[rows]))

    # sorted by age, so that the ends of a large group are among those shown
    groups = [sorted(group.tolist(), key=lambda row: int(ages[row])) for group in copies.groups()]
    return sorted((rows for rows in groups if any(apart(rows))), key=apart, reverse=True)
