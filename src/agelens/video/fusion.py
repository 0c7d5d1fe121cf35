"""Fuse many predictions of one face into one, which is more certain only as far as they differ.

The errors of a video's frames have a part that all share (the person looks younger than they are;
the light; the glasses) and a part of each view's own: multiplying the distributions would make 300
frames of a still face absurdly certain. So they are fused by a logarithmic opinion pool (C. Genest
and J. V. Zidek, "Combining probability distributions: a critique and an annotated bibliography",
Statistical Science 1, 1986):

    log p(age) = n * sum_i w_i log p_i(age) + constant,    sum_i w_i = 1

n is the effective number of independent predictions; with n = 1, equal predictions give that same
prediction. If the variance s2 of a prediction is the sum of a shared part and a part d2 of each
view's own, m independent views leave

    s2 - d2 (1 - 1/m),    so    n = s2 / (s2 - d2 (1 - 1/m))

which is the "design effect" of clustered samples (L. Kish, "Survey Sampling", 1965). s2 is the
mean variance of the distributions, d2 the variance of their means between views. Consecutive
frames are similar, so m is the number of views N reduced by the correlation r of each prediction
with the previous one, N (1 - r)/(1 + r) (H. von Storch and F. W. Zwiers, "Statistical Analysis in
Climate Research", 1999, 17.1). Genders are fused with n = 1: the mean of the log-odds.

`SHARED` bounds how certain a track can get, however many views it has: a cautious choice, for want
of clips with known ages. `benchmarks/track_fusion.py` measures the rest.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agelens.inference import distribution

SHARED = 0.5  # smallest share of the variance that views of a person are assumed to have in common
FLOOR = 1e-9  # smallest probability of an age: no single view can rule one out


@dataclass(frozen=True, slots=True, eq=False)
class Fused:
    """The fused prediction of all views."""

    age_probabilities: NDArray[np.float64]  # (117,), sum 1
    age_years: float  # mean of the ages of the views
    female_probability: float  # 0 to 1
    effective_views: float  # number of independent predictions, 1 or more


class OpinionPool:
    """Fuses the predictions of one face one by one, in constant memory."""

    def __init__(self) -> None:
        self.views = 0
        self._weight = self._weight_squares = 0.0
        self._log_ages = np.zeros(distribution.AGES)
        self._age = self._log_odds = 0.0  # running means, as the two below
        self._mean = self._variance = 0.0
        self._spread = self._steps = 0.0  # weighted squares: from the mean, from view to view
        self._last = 0.0

    def add(
        self, age_probabilities: NDArray[np.floating], age: float, female: float, weight: float
    ) -> None:
        """Add a prediction: probabilities (117,), age in years, probability of female, weight.

        Raises ValueError for a weight that is not positive.
        """
        if not weight > 0:
            raise ValueError(f"weight {weight!r}: expected more than 0")
        p = np.maximum(np.asarray(age_probabilities, np.float64), FLOOR)
        p /= p.sum()
        mean = float(distribution.mean(p))
        variance = float(p @ (np.arange(len(p)) - mean) ** 2)
        odds = min(max(female, FLOOR), 1 - FLOOR)
        if self.views:
            self._steps += weight * (mean - self._last) ** 2
        self.views += 1
        self._weight += weight
        self._weight_squares += weight**2
        share = weight / self._weight  # of the new view; equal values never move the means
        self._log_ages += share * (np.log(p) - self._log_ages)
        self._age += share * (age - self._age)
        self._log_odds += share * (float(np.log(odds / (1 - odds))) - self._log_odds)
        self._variance += share * (variance - self._variance)
        off = mean - self._mean
        self._mean += share * off
        self._spread += weight * off * (mean - self._mean)  # West's (1979) running variance
        self._last = mean

    def effective_views(self) -> float:
        """Return the effective number of independent predictions: 1 to 1 / SHARED."""
        if self.views < 2 or self._spread <= 0 or self._variance <= 0:
            return 1.0
        equal = self._weight**2 / self._weight_squares  # number of views with equal weights
        own = self._spread / self._weight * equal / max(equal - 1, FLOOR)
        step = self._steps / self._weight * self.views / (self.views - 1)
        correlation = min(max(1 - step / (2 * own), 0.0), 1.0)  # with the previous view
        separate = max(1.0, equal * (1 - correlation) / (1 + correlation))
        share = own / self._variance
        if share > 1:  # they differ more than the model allows: none counts fully
            return float(min(max(separate / share, 1.0), 1 / SHARED))
        return float(1 / (1 - min(share, 1 - SHARED) * (1 - 1 / separate)))

    def fused(self) -> Fused:
        """Return the fused prediction so far. Raises ValueError if nothing was added."""
        if not self.views:
            raise ValueError("no predictions to fuse: expected one or more")
        n = self.effective_views()
        powers = n * self._log_ages
        p = np.exp(powers - powers.max())
        return Fused(p / p.sum(), self._age, float(1 / (1 + np.exp(-self._log_odds))), n)
