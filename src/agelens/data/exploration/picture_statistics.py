"""Statistics of the pictures: size, light, sharpness, colour, and where the face stands.

What goes along with age or gender without being the face is a shortcut that a model will take.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agelens.data.exploration.label_statistics import Bands, label_words
from agelens.data.labels import RACES
from agelens.data.quality import POINTS
from agelens.faces.alignment import TEMPLATE
from agelens.inference.runtime import CHIP
from agelens.results import Gender

LIGHT = ("brightness", "contrast", "sharpness", "saturation")  # columns that every picture has
FACE = ("width", "yaw", "pitch", "roll", "score")  # of pictures with a face
SHORTCUTS = (*LIGHT, "colours", "black_rim")  # that show nothing of a face
TURNED = 0.2  # yaw, in eye distances: about 26 degrees (see NOSE_DEPTH)
TILTED = 10.0  # roll, degrees
RIM = 0.2  # share of a black rim from which a picture is counted
LEAST = 20  # faces in a group below which it is not described
NOSE_DEPTH = 0.41  # eye distances by which the nose stands before eyes and mouth (a 3-D model)
_LEAST_FITTED = 500  # faces below which no trees are fitted
_GROUPS = 5  # of folds, for predictions out of fold
_PERCENTILES = (1, 5, 25, 50, 75, 95, 99)


@dataclass(frozen=True, slots=True)
class Range:
    """How a figure is spread."""

    pictures: int
    mean: float
    p1: float
    p5: float
    p25: float
    p50: float
    p75: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True)
class Relation:
    """How a figure goes along with the labels."""

    figure: str
    age_correlation: float | None  # Spearman's, -1 to 1; None where one of both never changes
    female_higher: float | None  # chance that it is higher in a female face than a male one


@dataclass(frozen=True, slots=True)
class Place:
    """Where one of the five points stands, in pixels of the 200 px chip."""

    point: str
    x: float  # median
    y: float
    x_deviation: float
    y_deviation: float
    off: float  # pixels from the template's


@dataclass(frozen=True, slots=True)
class PictureStatistics:
    """Size, light, faces and pose of the pictures, and how they go with the labels."""

    pictures: int
    measured: int
    problems: int  # pictures that could not be read
    sizes: dict[str, int]  # "200 x 200": pictures, the most frequent first, up to 10
    more_sizes: int  # sizes beyond those
    square: int  # pictures as wide as high
    smaller: int  # pictures with a side under 200 px, so enlarged for a model
    ranges: dict[str, Range]
    by_band: dict[str, dict[str, Range]]  # figure, then band
    by_gender: dict[str, dict[str, Range]]
    by_race: dict[str, dict[str, Range]]
    grey: int
    grey_by_band: dict[str, float]  # share, of bands with 20 faces and more
    black_rim: int  # pictures of whose rim a fifth or more is black
    no_face: int
    one_face: int
    several_faces: int
    checked: int  # pictures that the full detector decided about
    turned: int  # |yaw| of 0.2 or more
    turned_by_band: dict[str, float]
    tilted: int  # |roll| of 10 degrees or more
    places: list[Place]
    relations: list[Relation]


def with_width(quality: pl.DataFrame) -> pl.DataFrame:
    """Add `width`, the share of the chip's width that the face's box takes."""
    return quality.with_columns(width=(pl.col("right") - pl.col("left")) / CHIP)


def describe_pictures(
    samples: pl.DataFrame, quality: pl.DataFrame, bands: Bands
) -> PictureStatistics:
    """Summarise the table of `quality.measure`, a row for each of the samples."""
    table = with_width(quality)
    figures = {name: table[name].to_numpy().astype(np.float64) for name in LIGHT + FACE}
    gender, race = label_words(samples["gender"]), label_words(samples["race"])
    size = samples.select(size=pl.format("{} x {}", "width", "height"))["size"]
    sizes = size.value_counts(sort=True, name="n").sort("n", "size", descending=[True, False])
    turned = table["yaw"].abs() >= TURNED
    there = {name: column[np.isfinite(column)] for name, column in figures.items()}
    return PictureStatistics(
        pictures=len(table),
        measured=int(table["brightness"].is_not_null().sum()),
        problems=int(table["problem"].is_not_null().sum()),
        sizes=dict(sizes.head(10).iter_rows()),
        more_sizes=max(0, len(sizes) - 10),
        square=int((samples["width"] == samples["height"]).sum()),
        smaller=samples.filter(pl.min_horizontal("width", "height") < CHIP).height,
        ranges={name: range_of(values) for name, values in there.items() if len(values)},
        by_band=_by_group(figures, np.array(bands.names, object)[bands.of], bands.names),
        by_gender=_by_group(figures, gender, tuple(Gender)),
        by_race=_by_group(figures, race, RACES),
        grey=_count(table["grey"]),
        grey_by_band=_shares(table["grey"], bands),
        black_rim=_count(table["black_rim"] >= RIM),
        no_face=_count(table["faces"] == 0),
        one_face=_count(table["faces"] == 1),
        several_faces=_count(table["faces"] > 1),
        checked=_count(table["checked"]),
        turned=_count(turned),
        turned_by_band=_shares(turned, bands),
        tilted=_count(table["roll"].abs() >= TILTED),
        places=_places(table.filter(pl.col("faces") > 0)),
        relations=[_relation(name, samples["age"], gender, of) for name, of in figures.items()],
    )


def range_of(values: NDArray[np.float64]) -> Range:
    """Describe values (N,), at least one."""
    percentiles = np.percentile(values, _PERCENTILES).tolist()
    return Range(len(values), float(values.mean()), *percentiles)


def _by_group(
    figures: dict[str, NDArray[np.float64]], words: NDArray[np.object_], order: Sequence[str]
) -> dict[str, dict[str, Range]]:
    found: dict[str, dict[str, Range]] = {}
    for figure, column in figures.items():
        for word in order:
            values = column[(words == word) & np.isfinite(column)]
            if len(values) >= LEAST:
                found.setdefault(figure, {})[word] = range_of(values)
    return found


def _places(found: pl.DataFrame) -> list[Place]:
    places = []
    for point, (x, y) in zip(POINTS, TEMPLATE.tolist(), strict=True):
        stands = found.select(f"{point}_x", f"{point}_y").to_numpy().astype(np.float64)
        if len(stands):
            across, down = np.median(stands, axis=0).tolist()
            wide, high = stands.std(axis=0).tolist()
            off = float(np.hypot(across - x, down - y))
            places.append(Place(point, across, down, wide, high, off))
    return places


def _relation(
    figure: str, ages: pl.Series, gender: NDArray[np.object_], values: NDArray[np.float64]
) -> Relation:
    from scipy.stats import mannwhitneyu, spearmanr

    years = ages.to_numpy().astype(np.float64)
    there = np.isfinite(values)
    correlation = higher = None
    enough = there.sum() >= LEAST
    if enough and np.ptp(values[there]) > 0 and np.ptp(years[there]) > 0:
        correlation = float(spearmanr(values[there], years[there]).statistic)
    women, men = (values[there & (gender == word.value)] for word in Gender)
    if min(len(women), len(men)) >= LEAST:
        test = mannwhitneyu(women, men, method="asymptotic")
        higher = float(test.statistic / (len(women) * len(men)))
    return Relation(figure, correlation, higher)


def _count(flag: pl.Series) -> int:
    return int(flag.sum() or 0)


def _shares(flag: pl.Series, bands: Bands) -> dict[str, float]:
    of = {name: flag[bands.rows(i)].drop_nulls() for i, name in enumerate(bands.names)}
    return {name: float(own.sum() / len(own)) for name, own in of.items() if len(own) >= LEAST}


@dataclass(frozen=True, slots=True)
class Shortcuts:
    """How well six figures without a face predict the labels; None where nothing was fitted."""

    faces: int
    age_mae: float | None  # years, out of fold
    median_guess_mae: float | None  # years, of answering the other folds' median age
    gender_auc: float | None  # 0.5 is chance


def measure_shortcuts(samples: pl.DataFrame, quality: pl.DataFrame) -> Shortcuts:
    """Fit gradient-boosted trees on SHORTCUTS, and measure them on the data set's own folds.

    Any model can exploit what they reach beyond a constant answer. Not all of it is unfair:
    wrinkles are sharp.
    """
    from sklearn.dummy import DummyRegressor
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.metrics import roc_auc_score
    from threadpoolctl import threadpool_limits

    there = quality["brightness"].is_not_null().to_numpy()
    values = quality.select(SHORTCUTS).to_numpy().astype(np.float64)[there]
    ages = samples["age"].to_numpy().astype(np.float64)[there]
    gender = label_words(samples["gender"])[there]
    group = samples["fold"].to_numpy()[there] % _GROUPS
    if len(values) < _LEAST_FITTED or len(np.unique(group)) < _GROUPS or np.ptp(ages) == 0:
        return Shortcuts(len(values), None, None, None)
    settings: Any = {"max_iter": 60, "min_samples_leaf": 50, "random_state": 0}
    known = np.isin(gender, [one.value for one in Gender])
    women, folds = gender[known] == Gender.FEMALE.value, group[known]
    rarest = min(np.bincount(folds[women == one], minlength=_GROUPS).min() for one in (True, False))
    auc = None
    with threadpool_limits(1):  # on a busy machine several threads wait for each other
        trees = HistGradientBoostingRegressor(loss="absolute_error", **settings)
        mae, guess = (
            float(np.abs(_out_of_fold(model, values, ages, group) - ages).mean())
            for model in (trees, DummyRegressor(strategy="median"))
        )
        if known.sum() >= _LEAST_FITTED and rarest >= _GROUPS:
            trees = HistGradientBoostingClassifier(**settings)
            female = _out_of_fold(trees, values[known], women, folds, method="predict_proba")[:, 1]
            auc = float(roc_auc_score(women, female))
    return Shortcuts(len(values), mae, guess, auc)


def _out_of_fold(
    model: Any, values: NDArray[Any], labels: NDArray[Any], group: NDArray[Any], **options: str
) -> NDArray[np.float64]:
    from sklearn.model_selection import PredefinedSplit, cross_val_predict

    folds = PredefinedSplit(group)
    return np.asarray(cross_val_predict(model, values, labels, cv=folds, **options), np.float64)
