"""The faces on an exploration's page: means, samples, and what measured figures look like."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agelens.data import chips
from agelens.data.dataset import Dataset
from agelens.data.exploration.age_bands import UNLABELLED, Bands, label_words
from agelens.inference.runtime import CHIP
from agelens.reports.dataset_page import Pixels, read_chip, shrink
from agelens.reports.rendering import Picture
from agelens.results import Gender

MEAN_LEAST = 10  # faces in a mean: of fewer, single people show through
MEAN_MOST = 500  # drawn at random from more: the mean hardly changes, and reading takes time
EACH = 10  # samples of a band
UNSEEN = 24  # pictures shown in which no face was found
STEPS = (0, 1, 5, 25, 50, 75, 95, 99, 100)  # percentiles at which a figure is shown
STEPS_LEAST = 100  # pictures; of fewer, the steps show nothing that the samples do not
_AHEAD = 256  # chips decoded before they are summed up
_SEED = 20170101

Report = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Gallery:
    """All pictures of the page."""

    means: list[Picture]  # by band and gender
    samples: dict[str, list[Picture]]  # by band
    steps: dict[str, list[Picture]]  # by figure, from its lowest to its highest value
    unseen: list[Picture]  # no face was found


def gather(
    dataset: Dataset, quality: pl.DataFrame, bands: Bands, report: Report | None = None
) -> Gallery:
    """Read all readable chips once for the means, and pick the other pictures."""
    read = chips.reader(dataset)
    samples, ages = dataset.samples, dataset.samples["age"].to_list()
    gender = label_words(samples["gender"])
    readable = quality["brightness"].is_not_null().to_numpy()

    def show(rows: Sequence[int], label: Callable[[int], str], what: str) -> list[Picture]:
        return [
            Picture(shrink(chip), label(row), f"{what} {label(row)}")
            for row in rows
            if (chip := read_chip(read, row)) is not None
        ]

    def label(row: int) -> str:
        words = [_age(samples, row), "" if gender[row] == UNLABELLED else str(gender[row])]
        return " ".join(word for word in words if word)

    random = np.random.default_rng(_SEED)
    drawn = {}
    for band, name in enumerate(bands.names):
        rows = bands.rows(band)[readable[bands.rows(band)]]
        chosen = sorted(random.permutation(rows)[:EACH].tolist(), key=lambda r: (ages[r], r))
        drawn[name] = show(chosen, label, "face labelled")
    none = np.flatnonzero((quality["faces"] == 0).fill_null(False).to_numpy())[:UNSEEN].tolist()
    return Gallery(
        means=_means(read, gender, readable, bands, report),
        samples={name: shown for name, shown in drawn.items() if shown},
        steps={
            name: show(*_steps(quality, name), f"{name} of")
            for name in ("brightness", "sharpness", "yaw")
        },
        unseen=show(none, label, "picture labelled"),
    )


def _means(
    read: Callable[[int], Pixels],
    gender: NDArray[np.object_],
    readable: NDArray[np.bool_],
    bands: Bands,
    report: Report | None,
) -> list[Picture]:
    """Average the chips of each age band and gender, going once through the file in its order."""
    genders = [word.value for word in Gender if (gender == word.value).any()] or [UNLABELLED]
    cell = np.full(len(gender), -1)
    names: list[str] = []
    totals: list[int] = []
    random = np.random.default_rng(_SEED)
    for band, name in enumerate(bands.names):
        for word in genders:
            rows = np.flatnonzero((bands.of == band) & (gender == word) & readable)
            if len(rows) >= MEAN_LEAST:
                cell[random.permutation(rows)[:MEAN_MOST]] = len(names)
                names.append(name if word == UNLABELLED else f"{name} {word}")
                totals.append(len(rows))
    sums = np.zeros((len(names), CHIP, CHIP, 3), np.uint32)
    counts = [0] * len(names)
    chosen = np.flatnonzero(cell >= 0).tolist()

    with ThreadPoolExecutor() as pool:
        for start in range(0, len(chosen), _AHEAD):
            some = chosen[start : start + _AHEAD]
            for row, chip in zip(some, pool.map(partial(read_chip, read), some), strict=True):
                if chip is not None:
                    sums[cell[row]] += chip
                    counts[cell[row]] += 1
            if report is not None:
                report(start + len(some), len(chosen))
    found = []
    for name, total, summed, count in zip(names, totals, sums, counts, strict=True):
        if count >= MEAN_LEAST:
            mean = np.rint(summed / count).astype(np.uint8)
            of = f"{count:,}" if count == total else f"{count:,} of {total:,}"
            label = f"{name}, {of} faces"
            found.append(Picture(shrink(mean), label, f"mean of {label}"))
    return found


def _steps(quality: pl.DataFrame, figure: str) -> tuple[list[int], Callable[[int], str]]:
    """Give the rows at steps of a figure's range, and a function that labels them."""
    values = quality[figure].to_numpy().astype(np.float64)
    order = np.argsort(values, kind="stable")[: int(np.isfinite(values).sum())]
    if len(order) < STEPS_LEAST:
        return [], str
    places = [round(step / 100 * (len(order) - 1)) for step in STEPS]
    rows = [int(order[place]) for place in places]
    form = "{:+.2f}" if figure == "yaw" else "{:.0f}"
    words = {
        row: f"{form.format(values[row])} ({step} %)" for row, step in zip(rows, STEPS, strict=True)
    }
    return rows, lambda row: words[row]


def _age(samples: pl.DataFrame, row: int) -> str:
    if "age_low" in samples.columns and samples["age_low"][row] is not None:
        low, high = samples["age_low"][row], samples["age_high"][row]
        return f"{low}-{high}" if low < high else str(low)
    return str(samples["age"][row])
