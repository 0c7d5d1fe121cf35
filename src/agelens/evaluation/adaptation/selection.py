"""Choose by cross-validation which parts of an adaptation a model's own user gains from.

All faces of a person are in one fold. A part is kept where it gains by more than chance (bootstrap
by person) and where the whole harms none of age error, coverage, interval score and gender.
"""

from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agelens.errors import DatasetError
from agelens.evaluation import bootstrap, groups, metrics
from agelens.evaluation.adaptation.parts import KNOTS, Adaptation, LabelledOutputs, fit
from agelens.evaluation.bootstrap import Estimate, Floats, Ints, Statistic, Weights
from agelens.evaluation.calibration import COVERAGE
from agelens.evaluation.figures import Faces, calibration_error, face_values
from agelens.evaluation.verdicts import ENOUGH_TO_ADAPT, estimate_bands
from agelens.inference import distribution
from agelens.inference.distribution import Levels

PARTS = ("ages", "intervals", "gender")
CHOICES = (("ages", "intervals"), ("ages",), ("intervals",)), (("gender",),)
"""What is tried, the parts that act on each other together; the first that holds is kept."""
GAINS = {  # one of these must fall for a part to be kept; coverage counts for intervals too
    "ages": ("age_mae", "age_log_loss"), "intervals": ("interval_score",),
    "gender": ("gender_log_loss",),
}  # fmt: skip
LEAST_LEAN = 1.0  # years of bias; to mend one beyond chance counts as a gain in ages too
MIN_PEOPLE = 5
FOLDS = 10
WHEN = ("before", "after", "difference")
AGE_FIGURES = (
    "interval_coverage", "interval_width", "interval_score", "age_log_loss", "age_mae", "age_bias",
)  # fmt: skip
GENDER_FIGURES = ("gender_accuracy", "gender_log_loss", "gender_brier")
FIGURES = (*AGE_FIGURES, *GENDER_FIGURES, "gender_ece")
BY_AGE = ("interval_coverage", "interval_width", "age_mae")

Table = dict[str, list[Estimate]]  # before, after and difference by figure


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """The parts that were kept, fitted on all faces, and the figures of the cross-validation."""

    adaptation: Adaptation
    kept: tuple[str, ...]  # of PARTS
    found: dict[str, Any]  # figures as JSON values


def select(outputs: LabelledOutputs, levels: Levels, seed: int = 0) -> Selection:
    """Try the parts on N faces, for a model whose own levels are given.

    The figures are those of the kept parts, or where none was kept those of all that were tried.
    Raises DatasetError where there are too few faces or people.
    """
    people, persons = outputs.people, len(np.unique(outputs.people))
    if len(people) < ENOUGH_TO_ADAPT or persons < MIN_PEOPLE:
        raise DatasetError(
            f"{len(people):,} faces of {persons:,} people are too few to adapt a model to: "
            f"expected at least {ENOUGH_TO_ADAPT} faces of {MIN_PEOPLE} people; label more"
        )
    fold = person_folds(people, seed)
    weights = bootstrap.resample(people)
    ages, genders = np.isfinite(outputs.age).sum(), np.isfinite(outputs.female).sum()
    labelled = {"ages": ages, "intervals": ages, "gender": genders}
    tried: dict[tuple[str, ...], tuple[Faces, dict[str, Floats]]] = {}

    def values(parts: tuple[str, ...]) -> dict[str, Floats]:
        if parts not in tried:
            faces = cross_fitted(parts, outputs, levels, fold)
            tried[parts] = faces, figure_values(faces, outputs)
        return tried[parts][1]

    def holds(parts: tuple[str, ...]) -> bool:
        if min(labelled[part] for part in parts) < ENOUGH_TO_ADAPT:
            return False
        if harms(compare(values(()), values(parts), weights)):
            return False
        rests = (tuple(other for other in parts if other != part) for part in parts)
        return all(
            gains(part, compare(values(rest), values(parts), weights))
            for part, rest in zip(parts, rests, strict=True)
        )

    kept = sum((next(filter(holds, choices), ()) for choices in CHOICES), ())
    shown = kept or tuple(part for part in PARTS if labelled[part] >= ENOUGH_TO_ADAPT)
    values(()), values(shown)
    adaptation, would_be = fit(kept, outputs), fit(shown, outputs)
    years = distribution.median(outputs.age_probabilities)
    moved = distribution.median(would_be.age_probabilities(outputs.age_probabilities)) - years
    ends = would_be.levels
    found = {
        "faces": len(people), "people": persons, "promised": COVERAGE,
        "folds": len(np.unique(fold)), "seed": seed,
        "parts": list(kept), "kept": bool(kept), "tried": list(shown),
        "moved_years": float(np.abs(moved).mean()),
        "age_map": {"from": KNOTS.tolist(), "to": would_be.ages.tolist()},
        "gender_line": {"slope": would_be.slope, "offset": would_be.offset},
        "levels": ends and {"low": float(ends.low[0]), "high": float(ends.high[0])},
        **describe(tried[()], tried[shown], outputs, weights),
    }  # fmt: skip
    return Selection(adaptation, kept, found)


def person_folds(people: NDArray[Any], seed: int = 0) -> Ints:
    """Assign N faces to FOLDS folds of about equal size, all faces of a person to one, (N,)."""
    _, member, sizes = np.unique(people, return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(sizes))
    middles = np.cumsum(sizes[order]) - sizes[order] / 2
    folds = np.empty(len(sizes), np.int64)
    folds[order] = middles * FOLDS // len(people)
    return folds[member]


def cross_fitted(
    parts: tuple[str, ...], outputs: LabelledOutputs, levels: Levels, fold: Ints
) -> Faces:
    """Return the predictions of N faces, adapted by what was fitted on the other folds."""
    if not parts:
        return Adaptation().faces(outputs, levels)
    pieces = [fit(parts, outputs.take(fold != one)).faces(outputs.take(fold == one), levels)
              for one in np.unique(fold)]  # fmt: skip
    order = np.argsort(np.argsort(fold, kind="stable"))
    columns = ([getattr(piece, field.name) for piece in pieces] for field in fields(Faces))
    return Faces(*(np.concatenate(column)[order] for column in columns))


def figure_values(faces: Faces, outputs: LabelledOutputs) -> dict[str, Floats]:
    """Return the figures of each face, (N,), NaN where the label is not known."""
    label = faces.probabilities[np.arange(len(faces)), faces.age].astype(np.float64)
    values = {
        **face_values(faces),
        "interval_score": interval_scores(faces),
        "age_log_loss": -np.log(np.maximum(label, metrics.MIN_PROBABILITY)),
    }
    known = dict.fromkeys(AGE_FIGURES, np.isfinite(outputs.age))
    known |= dict.fromkeys(GENDER_FIGURES, np.isfinite(outputs.female))
    return {name: np.where(mask, values[name], np.nan) for name, mask in known.items()}


def interval_scores(faces: Faces) -> Floats:
    """Return width plus 20 years per year of a miss, (N,) (Winkler, 1972)."""
    missed = np.maximum(0, np.maximum(faces.age_low - faces.age, faces.age - faces.age_high))
    return faces.age_high - faces.age_low + 2 / (1 - COVERAGE) * missed


def compare(before: dict[str, Floats], after: dict[str, Floats], weights: Weights) -> Table:
    """Estimate figures before and after, and their difference, by the same resamples."""
    means = [bootstrap.mean(np.column_stack(list(one.values()))) for one in (before, after)]
    return dict(zip(before, _with_difference(means, weights), strict=True))


def _with_difference(statistics: list[Statistic], weights: Weights) -> list[list[Estimate]]:
    (old, old_draws), (new, new_draws) = (bootstrap.draw(one, weights) for one in statistics)
    pairs = (old, old_draws), (new, new_draws), (new - old, new_draws - old_draws)
    rows = zip(*(bootstrap.intervals(*pair) for pair in pairs), strict=True)
    return [list(row) for row in rows]


def gains(part: str, table: Table) -> bool:
    """Return whether a part is better by more than chance in what it is for."""
    if part == "intervals" and coverage_change(*table["interval_coverage"]) > 0:
        return True
    if part == "ages" and table["age_mae"][2].value < 0:
        before, after, gap = table["age_bias"]
        leant = side(before, 0) if abs(before.value) >= LEAST_LEAN else 0
        if leant and side(gap, 0) == -leant and abs(after.value) < abs(before.value):
            return True
    return any(side(table[name][2], 0) < 0 for name in GAINS[part])


def harms(table: Table) -> list[str]:
    """Return the figures that are worse by more than chance."""
    less = [name for name in ("age_mae", "interval_score", "gender_log_loss")
            if side(table[name][2], 0) > 0]  # fmt: skip
    less += ["interval_coverage"] * (coverage_change(*table["interval_coverage"]) < 0)
    return less + ["gender_accuracy"] * (side(table["gender_accuracy"][2], 0) < 0)


def coverage_change(before: Estimate, after: Estimate, gap: Estimate) -> int:
    """Return whether a coverage came nearer to what is promised: 1, went away: -1, neither: 0.

    Nearer is what failed, moved the right way by more than chance, and did not go too far: it
    now holds, or still fails on the same side.
    """
    moved, old, new = side(gap, 0), side(before, COVERAGE), side(after, COVERAGE)
    if old and moved == -old and new in (0, old):
        return 1
    return -1 if new and moved == new and old in (0, new) else 0


def side(figure: Estimate, value: float) -> int:
    """Return the side of a value on which a whole interval lies: 1, -1, or neither: 0."""
    return int(figure.low > value) - int(figure.high < value)


def describe(
    before: tuple[Faces, dict[str, Floats]], after: tuple[Faces, dict[str, Floats]],
    outputs: LabelledOutputs, weights: Weights,
) -> dict[str, Any]:  # fmt: skip
    """Return all figures before and after as JSON values, together and `by_age` of the label."""
    table = compare(before[1], after[1], weights)
    known, aged = np.isfinite(outputs.female), np.isfinite(outputs.age)
    eces: list[Statistic] = [partial(calibration_error, faces.take(known))
                             for faces, _ in (before, after)]  # fmt: skip
    (table["gender_ece"],) = _with_difference(eces, weights[:, known])
    bands = groups.age_band_masks(np.nan_to_num(outputs.age).astype(np.int64))
    masks = [mask & aged for mask in bands.values()]
    estimates = (estimate_bands(masks, values, BY_AGE, weights) for _, values in (before, after))
    rows = zip(bands, masks, *estimates, strict=True)
    return {
        "figures": {
            name: bootstrap.tables(dict(zip(WHEN, table[name], strict=True))) for name in FIGURES
        },
        "by_age": [
            {"age": band, "faces": int(mask.sum()), "before": bootstrap.tables(old),
             "after": bootstrap.tables(new)}
            for band, mask, old, new in rows if mask.any()
        ],
    }  # fmt: skip
