"""Measure how noisy the labels are, by photos that a dataset contains more than once.

Byte-identical pictures show one face, so their labels should agree. Where they do not, the
difference is an error of the labels alone, and no model can be better than that.
"""

from itertools import combinations
from typing import Any

import numpy as np
import polars as pl

FAR_YEARS = 5


def measure(samples: pl.DataFrame) -> dict[str, Any]:
    """Compare the labels of byte-identical pictures, every two of them; return JSON values.

    Takes the columns sha256, age and gender. Without such pictures the counts are 0 and the rest
    is None.
    """
    copies = samples.group_by("sha256", maintain_order=True).agg("age", "gender")
    copies = copies.filter(pl.col("age").list.len() > 1)
    pairs = [pair for row in copies["age"].to_list() for pair in combinations(row, 2)]
    genders = [a != b for row in copies["gender"].to_list() for a, b in combinations(row, 2)]
    years = np.array([abs(a - b) for a, b in pairs])
    found = len(pairs) > 0
    return {
        "pairs": len(pairs),
        "pictures": int(copies["age"].list.len().sum()) if found else 0,
        "ages_differ": float((years > 0).mean()) if found else None,
        "ages_differ_by_over_5": float((years > FAR_YEARS).mean()) if found else None,
        "mean_difference": float(years.mean()) if found else None,
        "genders_differ": sum(genders),
        "share_genders_differ": float(np.mean(genders)) if found else None,
    }
