"""How noisy the labels are, told by photos that stand in a dataset more than once.

Byte-identical pictures show one face once, so their labels should be one. Where they are not, the
difference is an error of the labels alone, which no model can be better than.
"""

import itertools
from typing import Any

import numpy as np
import polars as pl

FAR = 5  # years


def measure(samples: pl.DataFrame) -> dict[str, Any]:
    """Give the label differences between byte-identical pictures of a dataset, as JSON values.

    Takes the columns sha256, age and gender. Where no picture is there twice the counts are 0
    and the rest is None.
    """
    same = samples.group_by("sha256", maintain_order=True).agg("age", "gender")
    same = same.filter(pl.col("age").list.len() > 1)
    ages: list[int] = []
    genders: list[bool] = []
    for row in same.iter_rows(named=True):
        for (age, gender), (other_age, other_gender) in itertools.combinations(
            zip(row["age"], row["gender"], strict=True), 2
        ):
            ages.append(abs(age - other_age))
            genders.append(gender != other_gender)
    apart = np.array(ages)
    found = len(ages) > 0
    return {
        "pairs": len(ages),
        "pictures": int(same["age"].list.len().sum()) if found else 0,
        "ages_differ": float((apart > 0).mean()) if found else None,
        "ages_differ_by_over_5": float((apart > FAR).mean()) if found else None,
        "mean_difference": float(apart.mean()) if found else None,
        "genders_differ": int(sum(genders)),
        "share_genders_differ": float(np.mean(genders)) if found else None,
    }
