"""All that an audit found, and what to do about it: one action for each problem of a file.

`agelens train --exclude` leaves out the files whose suggestion is "exclude"; `--downweight` counts
each face by the smallest weight beside it.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agelens.data.audit.duplicates import Conflicts, Copies, Group, conflicts
from agelens.data.audit.face_problems import MEANINGS, FaceProblem
from agelens.data.audit.label_errors import OutOfFoldPredictions, ScoredLabels
from agelens.data.exploration.label_statistics import bands_of, label_words
from agelens.data.storage import write_atomic
from agelens.inference import distribution
from agelens.results import Gender

Suggestion = Literal["exclude", "relabel", "downweight", "look"]
FAR_APART = 5  # years between the ages of copies from which the one that is kept is disputed too
DISPUTED_WEIGHT = 0.5  # weight of such a copy
RELABEL_BELOW = 0.1  # plausibility, over that of the best label, that asks for another label
_OTHER_GENDER = 10.0  # years
_FACELESS: tuple[Suggestion, float] = ("exclude", 0.0)
_LOOK: tuple[Suggestion, float] = ("look", 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class ModelOutputs:
    """Outputs of pre-trained networks for the pictures, as far as the networks are installed."""

    out_of_fold: Path | None = None  # file of predictions
    descriptors: NDArray[np.float32] | None = None  # (N, 128), dlib's, in the dataset's order
    looks_painted: NDArray[np.float64] | None = None  # (N,), by `painting_score`
    missing: str = ""  # why there are no predictions, and what to do


@dataclass(frozen=True, slots=True)
class Action:
    """One problem of one file."""

    file: str
    problem: str
    evidence: str
    suggestion: Suggestion
    weight: float  # 0 to 1, of the face in training


def write_actions(actions: Iterable[Action], path: Path) -> None:
    """Write the CSV, whole or not at all. Raises OSError."""
    columns = [field.name for field in fields(Action)]
    write_atomic(path, pl.DataFrame(list(actions), columns, orient="row").write_csv().encode())


def actions_for_files(faults: dict[str, str]) -> list[Action]:
    """Leave out what cannot be read."""
    return [Action(file, "file", reason, "exclude", 0.0) for file, reason in faults.items()]


def actions_for_copies(
    samples: pl.DataFrame, copies: Copies, predicted: OutOfFoldPredictions | None
) -> list[Action]:
    """Keep one of each photo: the one whose labels fit best to those of the others.

    With out-of-fold predictions it is the one whose labels fit best to these. Where the ages of
    copies differ by more than 5 years, or their genders, the one that is kept weighs half, and
    somebody should look at it.
    """
    found = []
    ages = samples["age"].to_numpy().astype(np.int64)
    genders = label_words(samples["gender"]).tolist()
    digests, files = samples["sha256"].to_list(), samples["file"].to_list()
    labels = [f"{age} {gender}" for age, gender in zip(ages, genders, strict=True)]
    for group in copies.groups():
        rows = group.tolist()
        kept = rows[np.argmin(_misfit(group, ages, genders, predicted))]
        for row in rows:
            if row != kept:
                how = "byte for byte" if digests[row] == digests[kept] else "encoded anew"
                there = f"labelled {labels[row]}, there {labels[kept]}"
                evidence = f"the photo of {files[kept]}, {how}; {there}"
                found.append(Action(files[row], "copy", evidence, "exclude", 0.0))
        if np.ptp(ages[group]) > FAR_APART or len({genders[row] for row in rows}) > 1:
            differing = ", ".join(labels[row] for row in rows)
            evidence = f"{len(rows)} copies of this photo are labelled {differing}"
            found.append(Action(files[kept], "copies disagree", evidence, "look", DISPUTED_WEIGHT))
    return found


def _misfit(
    group: Group, ages: NDArray[np.int64], genders: list[str],
    predicted: OutOfFoldPredictions | None,
) -> NDArray[np.float64]:  # fmt: skip
    own = [genders[row] for row in group.tolist()]
    age, chance = float(np.median(ages[group])), {word: own.count(word) / len(own) for word in own}
    if predicted is not None and predicted.available[group].all():
        age = float(distribution.median(predicted.age_probabilities[group].mean(axis=0)))
        share = float(predicted.female_probability[group].mean())
        chance = {Gender.FEMALE.value: share, Gender.MALE.value: 1 - share}
    wrong = np.array([1 - chance.get(gender, 0.0) for gender in own])
    return np.asarray(np.abs(ages[group] - age) + _OTHER_GENDER * wrong, np.float64)


def actions_for_labels(samples: pl.DataFrame, scored: ScoredLabels) -> list[Action]:
    """Weight suspect labels by their plausibility; hardly plausible ones should be changed."""
    found = []
    for name, scores in (("age", scored.age), ("gender", scored.gender)):
        for row in scores.suspects().tolist():
            said = scored.predicted_age(row) if name == "age" else scored.predicted_gender(row)
            evidence = f"labelled {samples[name][row]}; models that never saw it say {said}"
            weight = round(float(scores.plausibility[row]), 3)
            suggestion: Suggestion = "relabel" if weight < RELABEL_BELOW else "downweight"
            found.append(Action(samples["file"][row], name, evidence, suggestion, weight))
    return found


def actions_for_faces(samples: pl.DataFrame, faults: dict[str, list[FaceProblem]]) -> list[Action]:
    """Leave out what shows no face; let somebody look at the others."""
    found = []
    for name, problems in faults.items():
        to_do = _FACELESS if name == "no face" else _LOOK
        found += [Action(samples["file"][p.row], name, p.evidence, *to_do) for p in problems]
    return found


@dataclass(frozen=True, slots=True)
class Copied:
    """Some groups of copies."""

    groups: int
    files: int
    conflicts: Conflicts


@dataclass(frozen=True, slots=True)
class CopyFacts:
    """What is there more than once."""

    by_descriptors: bool  # faces were compared too
    identical: Copied
    near: Copied  # groups with at least two different files
    every: Copied
    groups: list[list[str]]  # of `every`, the file names


@dataclass(frozen=True, slots=True)
class FaceFacts:
    """The faces with one fault."""

    meaning: str
    count: int
    files: list[str]  # the worst first


@dataclass(frozen=True, slots=True)
class LabelFacts:
    """Labels against the predictions of models that never saw the face."""

    faces: int  # with a prediction
    age_mae: float  # years, between label and median
    gender_agreement: float | None  # share; None where no gender is labelled
    age_suspects: int
    suspects_off: float | None  # years, between label and median of the suspect ages
    gender_suspects: int
    both_suspect: int
    bands: dict[str, tuple[int, ...]]  # by labelled age: faces, age and gender suspects


@dataclass(frozen=True, slots=True)
class Facts:
    """What the audit found."""

    samples: int
    rejects: dict[str, str]
    faults: dict[str, str]
    copies: CopyFacts
    faces: dict[str, FaceFacts]
    grey: int
    labels: LabelFacts | None
    no_labels: str  # why there is nothing about labels, and what to do; empty where there is
    suggestions: dict[str, int]  # lines of the actions by suggestion
    problems: dict[str, int]  # and by problem
    left_out: int  # files that --exclude leaves out


def copy_facts(samples: pl.DataFrame, copies: Copies, by_descriptors: bool) -> CopyFacts:
    """Count copies, and the labels they disagree about."""
    every = sorted(copies.groups(), key=lambda group: int(group[0]))
    identical, near, both = (
        Copied(len(groups), sum(map(len, groups)), conflicts(samples, groups))
        for groups in (copies.identical, copies.near, every)
    )
    names = [samples["file"][group].to_list() for group in every]
    return CopyFacts(by_descriptors, identical, near, both, names)


def face_facts(samples: pl.DataFrame, faults: dict[str, list[FaceProblem]]) -> dict[str, FaceFacts]:
    """Count faces by fault."""
    return {
        name: FaceFacts(MEANINGS[name], len(found), [samples["file"][one.row] for one in found])
        for name, found in faults.items()
    }


def label_facts(samples: pl.DataFrame, scored: ScoredLabels) -> LabelFacts:
    """Count suspect labels, and how far labels and models agree."""
    there, labelled = np.isfinite(scored.age.score), np.isfinite(scored.gender.score)
    female = (samples["gender"] == "female").fill_null(False).to_numpy()
    agree = (scored.female_probability >= 0.5) == female
    off = np.abs(scored.age_median - samples["age"].to_numpy())
    age, gender = scored.age.suspect, scored.gender.suspect
    bands = bands_of(samples)
    return LabelFacts(
        faces=int(there.sum()),
        age_mae=float(off[there].mean()),
        gender_agreement=float(agree[labelled].mean()) if labelled.any() else None,
        age_suspects=int(age.sum()),
        suspects_off=float(off[age].mean()) if age.any() else None,
        gender_suspects=int(gender.sum()),
        both_suspect=int((age & gender).sum()),
        bands={
            name: tuple(int(flag[bands.rows(place)].sum()) for flag in (there, age, gender))
            for place, name in enumerate(bands.names)
        },
    )


def count_actions(actions: Sequence[Action]) -> tuple[dict[str, int], dict[str, int], int]:
    """Count lines by suggestion and by problem, and the files to be left out."""
    suggested = Counter(action.suggestion for action in actions)
    return (
        {name: suggested[name] for name in get_args(Suggestion) if suggested[name]},
        dict(Counter(action.problem for action in actions)),
        len({action.file for action in actions if action.suggestion == "exclude"}),
    )
