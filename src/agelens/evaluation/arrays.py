"""Array types of this package. N faces, R bootstrap resamples, K figures."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
Names = NDArray[np.object_]
"""(N,): the group of each face, a string; None where it is not known."""
Weights = NDArray[Any]
"""Floats (R, N): how often each face is drawn."""
Draws = NDArray[np.float64]
"""(R,) or (R, K): a statistic of each resample."""
