"""The pictures on an audit's page: conflicting copies, face problems, suspect labels."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import polars as pl

from agelens.data import chips
from agelens.data.audit.duplicates import Copies
from agelens.data.audit.face_problems import FaceProblem
from agelens.data.audit.label_errors import ScoredLabels
from agelens.data.dataset import Dataset
from agelens.reports.dataset_page import read_chip, shrink
from agelens.reports.rendering import Picture

WORST = 100
"""Suspect labels that are shown."""

_CONFLICTS = 24
_PROBLEMS = 24
_COPIES = 4  # of one photo that are shown side by side


@dataclass(frozen=True, slots=True)
class Gallery:
    """All pictures of the page."""

    copies: list[Picture]  # each shows the copies of one photo
    faces: dict[str, list[Picture]]  # by problem, the worst first
    labels: list[Picture]  # the least plausible first


def gather(
    dataset: Dataset,
    copies: Copies,
    problems: dict[str, list[FaceProblem]],
    scored: ScoredLabels | None,
) -> Gallery:
    """Pick the pictures and shrink them; those that cannot be read are passed over."""
    read = chips.reader(dataset)
    samples = dataset.samples

    def show(rows: Iterable[int], label: str) -> Picture | None:
        found = [read_chip(read, row) for row in rows]
        readable = [shrink(chip) for chip in found if chip is not None]
        return Picture(np.hstack(readable), label, label) if len(readable) == len(found) else None

    def shown(pictures: Iterable[Picture | None]) -> list[Picture]:
        return [picture for picture in pictures if picture is not None]

    return Gallery(
        copies=shown(
            show(_ends(group), " / ".join(labelled(samples, row) for row in group))
            for group in _conflicting(samples, copies)[:_CONFLICTS]
        ),
        faces={
            name: shown(
                show([one.row], f"{one.evidence}; labelled {labelled(samples, one.row)}")
                for one in found[:_PROBLEMS]
            )
            for name, found in problems.items()
            if found
        },
        labels=[]
        if scored is None
        else shown(show([row], _suspected(samples, scored, row)) for row in worst(scored)),
    )


def labelled(samples: pl.DataFrame, row: int) -> str:
    """Give the labels of a face in words."""
    gender = samples["gender"][row]
    return f"{samples['age'][row]} {gender}" if gender else str(samples["age"][row])


def worst(scored: ScoredLabels) -> list[int]:
    """Give the rows of suspect labels, by the plausibility of the less plausible of both."""
    plausibility = np.fmin(
        np.where(scored.age.suspect, scored.age.plausibility, np.inf),
        np.where(scored.gender.suspect, scored.gender.plausibility, np.inf),
    )
    order = np.argsort(plausibility, kind="stable")
    rows: list[int] = order[np.isfinite(plausibility[order])][:WORST].tolist()
    return rows


def _ends(rows: list[int]) -> list[int]:
    half = _COPIES // 2
    return rows if len(rows) <= _COPIES else rows[:half] + rows[-half:]


def _suspected(samples: pl.DataFrame, scored: ScoredLabels, row: int) -> str:
    words = []
    if scored.age.suspect[row]:
        words.append(
            f"labelled {samples['age'][row]}, predicted {scored.age_median[row]:.0f} "
            f"({scored.age_low[row]:.0f} to {scored.age_high[row]:.0f})"
        )
    if scored.gender.suspect[row]:
        words.append(f"labelled {samples['gender'][row]}, predicted {scored.predicted_gender(row)}")
    return "; ".join(words)


def _conflicting(samples: pl.DataFrame, copies: Copies) -> list[list[int]]:
    """Give groups of copies with different labels: other genders first, then by years apart."""
    ages = samples["age"].to_numpy().astype(np.int64)
    genders = samples["gender"].to_list()

    def apart(rows: list[int]) -> tuple[bool, int]:
        return len({genders[row] for row in rows}) > 1, int(np.ptp(ages[rows]))

    groups = [group.tolist() for group in copies.groups()]
    # sorted by age, so that the ends of a large group are among those shown
    groups = [sorted(rows, key=lambda row: int(ages[row])) for rows in groups]
    return sorted((rows for rows in groups if any(apart(rows))), key=apart, reverse=True)
