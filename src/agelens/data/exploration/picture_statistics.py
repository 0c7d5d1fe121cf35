"""Statistics of the pictures: size, light, sharpness, colour, and where the face stands.

The figures are those of `agelens.data.quality`. Each is also compared with the labels: what goes
along with age or gender without being the face is a shortcut that a model will take.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agelens.data.exploration.age_bands import Bands, label_words
from agelens.data.labels import RACES
from agelens.data.quality import POINTS
from agelens.faces.alignment import TEMPLATE
from agelens.inference.runtime import CHIP
from agelens.results import Gender

LIGHT = ("brightness", "contrast", "sharpness", "saturation")
"""Columns that every picture has."""
FACE = ("width", "yaw", "pitch", "roll", "score")
"""Columns of pictures with a face; `width` is the box's share of the chip."""

TURNED = 0.2  # yaw, in eye distances: about 26 degrees (see NOSE_DEPTH)
TILTED = 10.0  # roll, degrees
RIM = 0.2  # share of a black rim from which a picture is counted
LEAST = 20  # faces in a group below which it is not described
NOSE_DEPTH = 0.41  # eye distances by which the nose stands before eyes and mouth (a 3-D model)


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
    gender, race = label_words(samples["gender"]), label_words(samples["race"])
    found = table.filter(pl.col("faces") > 0)
    size = samples.select(size=pl.format("{} x {}", "width", "height"))["size"]
    sizes = size.value_counts(sort=True, name="n").sort("n", "size", descending=[True, False])
    turned = table["yaw"].abs() >= TURNED
    return PictureStatistics(
        pictures=len(table),
        measured=int(table["brightness"].is_not_null().sum()),
        problems=int(table["problem"].is_not_null().sum()),
        sizes=dict(sizes.head(10).iter_rows()),
        more_sizes=max(0, len(sizes) - 10),
        square=int((samples["width"] == samples["height"]).sum()),
        smaller=samples.filter(pl.min_horizontal("width", "height") < CHIP).height,
        ranges={n: range_of(_values(table, n)) for n in LIGHT + FACE if len(_values(table, n))},
        by_band=_by_group(table, np.array(bands.names, object)[bands.of], bands.names),
        by_gender=_by_group(table, gender, [g.value for g in Gender]),
        by_race=_by_group(table, race, list(RACES)),
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
        places=_places(found),
        relations=[_relation(name, samples["age"], gender, table) for name in LIGHT + FACE],
    )  # fmt: skip


def _values(table: pl.DataFrame, figure: str) -> NDArray[np.float64]:
    return table[figure].drop_nulls().to_numpy().astype(np.float64)


def range_of(values: NDArray[np.float64]) -> Range:
    """Describe values (N,), at least one."""
    return Range(
        len(values),
        float(values.mean()),
        *np.percentile(values, [1, 5, 25, 50, 75, 95, 99]).tolist(),
    )


def _by_group(
    table: pl.DataFrame, words: NDArray[np.object_], order: list[str]
) -> dict[str, dict[str, Range]]:
    found: dict[str, dict[str, Range]] = {}
    for figure in LIGHT + FACE:
        column = table[figure].to_numpy().astype(np.float64)
        for word in order:
            values = column[(words == word) & np.isfinite(column)]
            if len(values) >= LEAST:
                found.setdefault(figure, {})[word] = range_of(values)
    return found


def _places(found: pl.DataFrame) -> list[Place]:
    if not len(found):
        return []
    places = []
    for point, (x, y) in zip(POINTS, TEMPLATE.tolist(), strict=True):
        across, down = (found[f"{point}_{axis}"].to_numpy().astype(np.float64) for axis in "xy")
        middle = float(np.median(across)), float(np.median(down))
        off = float(np.hypot(middle[0] - x, middle[1] - y))
        places.append(Place(point, *middle, float(across.std()), float(down.std()), off))
    return places


def _relation(
    figure: str, ages: pl.Series, gender: NDArray[np.object_], table: pl.DataFrame
) -> Relation:
    from scipy.stats import rankdata, spearmanr

    values = table[figure].to_numpy().astype(np.float64)
    years = ages.to_numpy().astype(np.float64)
    there = np.isfinite(values)
    correlation = higher = None
    enough = there.sum() >= LEAST
    if enough and np.ptp(values[there]) > 0 and np.ptp(years[there]) > 0:
        correlation = float(spearmanr(values[there], years[there]).statistic)
    women, men = (there & (gender == word.value) for word in Gender)
    if min(women.sum(), men.sum()) >= LEAST:
        both = values[women | men]
        ranks = rankdata(both)[women[women | men]]
        n, m = len(ranks), len(both) - len(ranks)
        higher = float((ranks.sum() - n * (n + 1) / 2) / (n * m))
    return Relation(figure, correlation, higher)


def _count(flag: pl.Series) -> int:
    return int(flag.sum() or 0)


def _shares(flag: pl.Series, bands: Bands) -> dict[str, float]:
    """Give the share of a flag by band, over the pictures that have one; of 20 and more."""
    of = {name: flag[bands.rows(i)].drop_nulls() for i, name in enumerate(bands.names)}
    return {name: float(own.sum() / len(own)) for name, own in of.items() if len(own) >= LEAST}
