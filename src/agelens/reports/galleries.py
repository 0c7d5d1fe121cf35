"""The pictures on the pages about a data set: mean faces, samples, suspects, copies."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
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
_SEED = 20170101

Pixels = NDArray[np.uint8]
Read = Callable[[int], Pixels | None]


def _reader(dataset: Dataset) -> Read:
    """Return a function from row number to chip; None where its file is gone or damaged."""
    decode = chips.reader(dataset)

    def read(row: int) -> Pixels | None:
        with suppress(PictureError):
            return decode(row)
        return None

    return read


def _shrink(chip: Pixels) -> Pixels:
    return np.asarray(cv2.resize(chip, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def _show(read: Read, chosen: Iterable[tuple[list[int], str]], what: str = "") -> list[Picture]:
    found = []
    for rows, label in chosen:
        shown = [_shrink(chip) for row in rows if (chip := read(row)) is not None]
        if len(shown) == len(rows):
            found.append(Picture(np.hstack(shown), label, f"{what} {label}".strip()))
    return found


def _label(samples: pl.DataFrame, row: int) -> str:
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
    random = np.random.default_rng(_SEED)

    def labelled(rows: list[int]) -> list[tuple[list[int], str]]:
        return [([row], _label(samples, row)) for row in rows]

    drawn = {}
    for band, name in enumerate(bands.names):
        rows = bands.rows(band)[readable[bands.rows(band)]]
        chosen = sorted(random.permutation(rows)[:EACH].tolist(), key=lambda r: (ages[r], r))
        drawn[name] = _show(read, labelled(chosen), "face labelled")
    none = np.flatnonzero((quality["faces"] == 0).fill_null(False).to_numpy())[:UNSEEN].tolist()
    forms = {"brightness": "{:.0f}", "sharpness": "{:.0f}", "yaw": "{:+.2f}"}
    return {
        "means": _means(read, label_words(samples["gender"]), readable, bands, report),
        "samples": {name: shown for name, shown in drawn.items() if shown},
        "steps": {
            name: _show(read, _steps(quality[name], form), f"{name} of")
            for name, form in forms.items()
        },
        "unseen": _show(read, labelled(none), "picture labelled"),
    }


def _means(
    read: Read, gender: NDArray[np.object_], readable: NDArray[np.bool_], bands: Bands,
    report: Callable[[int, int], None],
) -> list[Picture]:  # fmt: skip
    genders = [word.value for word in Gender if (gender == word.value).any()] or [UNLABELLED]
    cells = []  # name, faces, rows of those to read
    random = np.random.default_rng(_SEED)
    for band, name in enumerate(bands.names):
        for word in genders:
            rows = np.flatnonzero((bands.of == band) & (gender == word) & readable)
            if len(rows) >= MEAN_LEAST:
                chosen = np.sort(random.permutation(rows)[:MEAN_MOST]).tolist()
                named = name if word == UNLABELLED else f"{name} {word}"
                cells.append((named, len(rows), chosen))
    found, done, every = [], 0, sum(len(chosen) for _, _, chosen in cells)
    with ThreadPoolExecutor() as pool:
        for name, total, chosen in cells:
            shown = [chip for chip in pool.map(read, chosen) if chip is not None]
            if len(shown) >= MEAN_LEAST:
                mean = np.rint(np.mean(shown, axis=0)).astype(np.uint8)
                count = f"{total:,}" if len(shown) == total else f"{len(shown):,} of {total:,}"
                label = f"{name}, {count} faces"
                found.append(Picture(_shrink(mean), label, f"mean of {label}"))
            done += len(chosen)
            report(done, every)
    return found


def _steps(column: pl.Series, form: str) -> list[tuple[list[int], str]]:
    values = column.to_numpy().astype(np.float64)
    order = np.argsort(values, kind="stable")[: int(np.isfinite(values).sum())]
    if len(order) < STEPS_LEAST:
        return []
    rows = {step: int(order[round(step / 100 * (len(order) - 1))]) for step in STEPS}
    return [([row], f"{form.format(values[row])} ({step} %)") for step, row in rows.items()]


def audited_faces(
    dataset: Dataset, copies: Copies, problems: dict[str, list[FaceProblem]],
    scored: ScoredLabels | None,
) -> dict[str, Any]:  # fmt: skip
    """Pick the pictures of an audit; those that cannot be read are passed over.

    Gives lists of pictures: "copies", each of the copies of one photo, "faces" in a dict by
    problem, the worst first, and "labels", the least plausible first.
    """
    read, samples = _reader(dataset), dataset.samples
    half, copied = _COPIES // 2, []
    for rows in _conflicting(samples, copies)[:_CONFLICTS]:
        ends = rows if len(rows) <= _COPIES else rows[:half] + rows[-half:]
        copied.append((ends, " / ".join(_label(samples, row) for row in rows)))
    faces = {}
    for name, found in problems.items():
        shown = found[:_PROBLEMS]
        worst = [([p.row], f"{p.evidence}; labelled {_label(samples, p.row)}") for p in shown]
        if worst:
            faces[name] = _show(read, worst)
    return {
        "copies": _show(read, copied), "faces": faces,
        "labels": _show(read, _suspects(samples, scored)) if scored is not None else [],
    }  # fmt: skip


def _suspects(samples: pl.DataFrame, scored: ScoredLabels) -> Iterable[tuple[list[int], str]]:
    plausibility = np.fmin(
        np.where(scored.age.suspect, scored.age.plausibility, np.inf),
        np.where(scored.gender.suspect, scored.gender.plausibility, np.inf),
    )
    order = np.argsort(plausibility, kind="stable")
    for row in order[np.isfinite(plausibility[order])][:WORST].tolist():
        low, high = scored.age_low[row], scored.age_high[row]
        age = f"{scored.age_median[row]:.0f} ({low:.0f} to {high:.0f})"
        yield (
            [row],
            "; ".join(
                f"labelled {samples[name][row]}, predicted {predicted}"
                for name, suspect, predicted in (
                    ("age", scored.age.suspect, age),
                    ("gender", scored.gender.suspect, scored.predicted_gender(row)),
                )
                if suspect[row]
            ),
        )


def _conflicting(samples: pl.DataFrame, copies: Copies) -> list[list[int]]:
    ages = samples["age"].to_numpy().astype(np.int64)
    genders = samples["gender"].to_list()

    def apart(rows: list[int]) -> tuple[bool, int]:
        return len({genders[row] for row in rows}) > 1, int(np.ptp(ages[rows]))

    # sorted by age, so that the ends of a large group are among those shown
    groups = [sorted(group.tolist(), key=lambda row: int(ages[row])) for group in copies.groups()]
    return sorted((rows for rows in groups if any(apart(rows))), key=apart, reverse=True)
