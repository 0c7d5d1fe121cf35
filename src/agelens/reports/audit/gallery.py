"""Pictures for the user's own report: conflicting copies, faults, suspect labels."""

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
import polars as pl
from numpy.typing import NDArray

from agelens.data import chips
from agelens.data.audit.duplicates import Copies
from agelens.data.audit.face_problems import Fault
from agelens.data.audit.label_errors import Doubts
from agelens.data.dataset import Dataset
from agelens.errors import PictureError
from agelens.reports.page import Picture

WORST = 100
"""Suspect labels that are shown."""

_SIDE = 120  # pixels of a shown picture
_CONFLICTS = 24
_FAULTS = 24
_COPIES = 4  # of one photo that are shown side by side


@dataclass(frozen=True, slots=True)
class Gallery:
    """All pictures of the report."""

    copies: list[Picture]  # each shows the copies of one photo
    faces: dict[str, list[Picture]]  # by fault, the worst first
    labels: list[Picture]  # the least plausible first


def gather(
    dataset: Dataset, copies: Copies, faults: dict[str, list[Fault]], doubts: Doubts | None
) -> Gallery:
    """Pick the pictures and shrink them; those that cannot be read are passed over."""
    read = chips.reader(dataset)
    samples = dataset.samples

    def small(row: int) -> NDArray[np.uint8]:
        return np.asarray(cv2.resize(read(row), (_SIDE,) * 2, interpolation=cv2.INTER_AREA))

    def show(rows: Iterable[int], label: str) -> Picture | None:
        try:
            return Picture(np.hstack([small(row) for row in rows]), label, label)
        except PictureError:
            return None

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
                for one in found[:_FAULTS]
            )
            for name, found in faults.items()
            if found
        },
        labels=[]
        if doubts is None
        else shown(show([row], _doubted(samples, doubts, row)) for row in worst(doubts)),
    )


def labelled(samples: pl.DataFrame, row: int) -> str:
    """Give the labels of a face in words."""
    gender = samples["gender"][row]
    return f"{samples['age'][row]} {gender}" if gender else str(samples["age"][row])


def worst(doubts: Doubts) -> list[int]:
    """Give the rows of suspect labels, by the plausibility of the less plausible of both."""
    plausibility = np.fmin(
        np.where(doubts.age.suspect, doubts.age.plausibility, np.inf),
        np.where(doubts.gender.suspect, doubts.gender.plausibility, np.inf),
    )
    order = np.argsort(plausibility, kind="stable")
    rows: list[int] = order[np.isfinite(plausibility[order])][:WORST].tolist()
    return rows


def _ends(rows: list[int]) -> list[int]:
    half = _COPIES // 2
    return rows if len(rows) <= _COPIES else rows[:half] + rows[-half:]


def _doubted(samples: pl.DataFrame, doubts: Doubts, row: int) -> str:
    words = []
    if doubts.age.suspect[row]:
        words.append(
            f"labelled {samples['age'][row]}, said {doubts.age_median[row]:.0f} "
            f"({doubts.age_low[row]:.0f} to {doubts.age_high[row]:.0f})"
        )
    if doubts.gender.suspect[row]:
        words.append(f"labelled {samples['gender'][row]}, said {doubts.said_gender(row)}")
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
