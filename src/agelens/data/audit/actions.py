"""What to do about each problem: one line for each problem of a file, as `actions.csv`.

`agelens train --exclude` leaves out the files whose suggestion is "exclude"; `--downweight`
counts each face by the smallest weight beside it. Lines may be changed or taken out before.
"""

from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agelens.data.audit.duplicates import Copies
from agelens.data.audit.face_problems import FaceProblem
from agelens.data.audit.label_errors import ScoredLabels
from agelens.data.audit.out_of_fold import OutOfFoldPredictions
from agelens.data.storage import write_atomic
from agelens.inference import distribution
from agelens.results import Gender

Suggestion = Literal["exclude", "relabel", "downweight", "look"]
SUGGESTIONS: tuple[Suggestion, ...] = get_args(Suggestion)
FAR_APART = 5  # years between the ages of copies from which the one that is kept is disputed too
DISPUTED_WEIGHT = 0.5  # weight of such a copy
RELABEL_BELOW = (
    0.1  # plausibility, over that of the best label, under which a label should be changed
)
_OTHER_GENDER = 10.0  # years
_EXCLUDED_FAULTS = ("no face",)


@dataclass(frozen=True, slots=True)
class Action:
    """One problem of one file."""

    file: str
    problem: str
    evidence: str
    suggestion: Suggestion
    weight: float  # 0 to 1, of the face in training


def write(actions: Iterable[Action], path: Path) -> None:
    """Write the CSV, whole or not at all. Raises OSError."""
    names = [field.name for field in fields(Action)]
    table = pl.DataFrame([astuple(action) for action in actions], names, orient="row")
    write_atomic(path, table.write_csv().encode())


def for_files(faults: dict[str, str]) -> list[Action]:
    """Leave out what cannot be read."""
    return [Action(file, "file", reason, "exclude", 0.0) for file, reason in faults.items()]


def for_copies(
    samples: pl.DataFrame, copies: Copies, predicted: OutOfFoldPredictions | None
) -> list[Action]:
    """Keep one of each photo: the one whose labels fit best to those of the others.

    With out-of-fold predictions it is the one whose labels fit best to these. Where the ages of
    copies differ by more than 5 years, or their genders, the one that is kept weighs half, and
    somebody should look at it.
    """
    found = []
    ages = samples["age"].to_numpy().astype(np.int64)
    genders = samples["gender"].fill_null("not told").to_list()
    digests, files = samples["sha256"].to_list(), samples["file"].to_list()
    for group in copies.groups():
        kept = int(group[np.argmin(_misfit(group, ages, genders, predicted))])
        for row in group[group != kept].tolist():
            how = "byte for byte" if digests[row] == digests[kept] else "encoded anew"
            evidence = (
                f"the photo of {files[kept]}, {how}; labelled {ages[row]} {genders[row]}, "
                f"there {ages[kept]} {genders[kept]}"
            )
            found.append(Action(files[row], "copy", evidence, "exclude", 0.0))
        rows = group.tolist()
        if np.ptp(ages[group]) > FAR_APART or len({genders[row] for row in rows}) > 1:
            labels = ", ".join(f"{ages[row]} {genders[row]}" for row in rows)
            evidence = f"{len(rows)} copies of this photo are labelled {labels}"
            found.append(Action(files[kept], "copies disagree", evidence, "look", DISPUTED_WEIGHT))
    return found


def _misfit(
    group: NDArray[np.int64],
    ages: NDArray[np.int64],
    genders: list[str],
    predicted: OutOfFoldPredictions | None,
) -> NDArray[np.float64]:
    """Give how badly the labels of each copy fit, years (G,); another gender counts as 10."""
    own = [genders[row] for row in group.tolist()]
    if predicted is not None and predicted.available[group].all():
        age = float(distribution.median(predicted.age_probabilities[group].mean(axis=0)))
        share = float(predicted.female_probability[group].mean())
        chance = {Gender.FEMALE.value: share, Gender.MALE.value: 1 - share}
    else:
        age = float(np.median(ages[group]))
        chance = {gender: own.count(gender) / len(own) for gender in set(own)}
    wrong = np.array([1 - chance.get(gender, 0.0) for gender in own])
    misfit: NDArray[np.float64] = np.abs(ages[group] - age) + _OTHER_GENDER * wrong
    return misfit


def for_labels(samples: pl.DataFrame, scored: ScoredLabels) -> list[Action]:
    """Weight suspect labels by their plausibility; hardly plausible ones should be changed."""
    files, ages, genders = (samples[name].to_list() for name in ("file", "age", "gender"))
    found = []
    for row in scored.age.suspects().tolist():
        evidence = (
            f"labelled {ages[row]}; models that never saw it say {scored.age_median[row]:.0f} "
            f"(8 in 10: {scored.age_low[row]:.0f} to {scored.age_high[row]:.0f})"
        )
        found.append(_suspect(files[row], "age", evidence, scored.age.plausibility[row]))
    for row in scored.gender.suspects().tolist():
        gender = scored.predicted_gender(row)
        evidence = f"labelled {genders[row]}; models that never saw it say {gender}"
        found.append(_suspect(files[row], "gender", evidence, scored.gender.plausibility[row]))
    return found


def _suspect(file: str, problem: str, evidence: str, plausibility: float) -> Action:
    weight = round(float(plausibility), 3)
    return Action(
        file, problem, evidence, "relabel" if weight < RELABEL_BELOW else "downweight", weight
    )


def for_faces(samples: pl.DataFrame, faults: dict[str, list[FaceProblem]]) -> list[Action]:
    """Leave out what shows no face; let somebody look at the others."""
    return [
        Action(samples["file"][fault.row], name, fault.evidence, "exclude", 0.0)
        if name in _EXCLUDED_FAULTS
        else Action(samples["file"][fault.row], name, fault.evidence, "look", 1.0)
        for name, found in faults.items()
        for fault in found
    ]
