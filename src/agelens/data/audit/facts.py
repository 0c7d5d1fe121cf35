"""All that an audit found: the page and the JSON are made from these."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from agelens.data.audit.actions import SUGGESTIONS, Action
from agelens.data.audit.duplicates import Conflicts, Copies, conflicts
from agelens.data.audit.face_problems import MEANINGS, FaceProblem
from agelens.data.audit.label_errors import ScoredLabels
from agelens.data.exploration.age_bands import bands_of


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
    bands: dict[str, tuple[int, int, int]]  # by labelled age: faces, age and gender suspects


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
    files = samples["file"].to_list()

    def counted(groups: list[np.ndarray]) -> Copied:
        return Copied(len(groups), sum(map(len, groups)), conflicts(samples, groups))

    every = sorted(copies.groups(), key=lambda group: int(group[0]))
    names = [[files[row] for row in group.tolist()] for group in every]
    return CopyFacts(
        by_descriptors, counted(copies.identical), counted(copies.near), counted(every), names
    )


def face_facts(samples: pl.DataFrame, faults: dict[str, list[FaceProblem]]) -> dict[str, FaceFacts]:
    """Count faces by fault."""
    return {
        name: FaceFacts(MEANINGS[name], len(found), [samples["file"][one.row] for one in found])
        for name, found in faults.items()
    }


def label_facts(samples: pl.DataFrame, scored: ScoredLabels) -> LabelFacts:
    """Count suspect labels, and how far labels and models agree."""
    there = np.isfinite(scored.age.score)
    labelled = np.isfinite(scored.gender.score)
    ages = samples["age"].to_numpy().astype(np.float64)
    female = (samples["gender"] == "female").fill_null(False).to_numpy()
    bands = bands_of(samples)
    by_band = {}
    for place, name in enumerate(bands.names):
        rows = bands.rows(place)
        age, gender = scored.age.suspect[rows].sum(), scored.gender.suspect[rows].sum()
        by_band[name] = (int(there[rows].sum()), int(age), int(gender))
    off = np.abs(scored.age_median - ages)
    agree = (scored.female_probability >= 0.5) == female
    return LabelFacts(
        faces=int(there.sum()),
        age_mae=float(off[there].mean()),
        gender_agreement=float(agree[labelled].mean()) if labelled.any() else None,
        age_suspects=int(scored.age.suspect.sum()),
        suspects_off=float(off[scored.age.suspect].mean()) if scored.age.suspect.any() else None,
        gender_suspects=int(scored.gender.suspect.sum()),
        both_suspect=int((scored.age.suspect & scored.gender.suspect).sum()),
        bands=by_band,
    )


def count_actions(actions: Sequence[Action]) -> tuple[dict[str, int], dict[str, int], int]:
    """Count lines by suggestion and by problem, and the files to be left out."""
    suggested = Counter(action.suggestion for action in actions)
    left_out = {action.file for action in actions if action.suggestion == "exclude"}
    return (
        {name: suggested[name] for name in SUGGESTIONS if suggested[name]},
        dict(Counter(action.problem for action in actions)),
        len(left_out),
    )
