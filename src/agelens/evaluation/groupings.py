"""The groups of faces that a report looks at: by age, gender, race label and picture quality."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agelens.evaluation import groups
from agelens.evaluation.groups import Names
from agelens.evaluation.picture_quality import in_order

AGE, GENDER, RACE = "age", "gender", "race"


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Some of N faces."""

    by: str  # what parts them: "age", "gender", "race", or a measure of picture quality
    name: str
    mask: NDArray[np.bool_]  # (N,)


def groups_of(samples: pl.DataFrame, quality: Mapping[str, Names] | None = None) -> list[Group]:
    """Part faces by age band, gender, race label and every quality; groups of none are left out.

    `quality` gives the name of each face's group, (N,), by the measure.
    """
    names: dict[str, Names] = {
        AGE: groups.band_names(samples["age"].to_numpy()),
        GENDER: np.array(samples["gender"].to_list(), object),
        RACE: np.array(samples["race"].to_list(), object),
        **(quality or {}),
    }
    found = []
    for by, own in names.items():
        measured = quality is not None and by in quality
        order = in_order(by, own) if measured else _natural_order(own)
        if len(order) > 1:
            found += [Group(by, name, own == name) for name in order]
    return found


def _natural_order(names: Names) -> list[str]:
    return [name for (name,) in groups.part(("",), [names]).groups]
