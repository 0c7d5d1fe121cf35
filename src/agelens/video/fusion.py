"""Many answers about one face, joined to one: steadier, and surer only as far as they differ.

The answers of a video's frames are not independent. Their errors have a part that all frames
share (this person looks younger than the papers say; the light; the glasses) and a part of each
view's own. Multiplying the distributions, as if each were new evidence, would make 300 frames of
a still face absurdly sure. So they are joined by a logarithmic opinion pool (C. Genest and
J. V. Zidek, "Combining probability distributions: a critique and an annotated bibliography",
Statistical Science 1, 1986):

    log p(age) = n * sum_i w_i log p_i(age) + constant,    sum_i w_i = 1

n is how many independent answers the views are worth. With n = 1 it is the geometric mean of the
distributions, so equal answers give just that answer. Where the variance s2 of an answer is the
sum of a shared part and a part d2 of each view's own, m independent views leave

    s2 - d2 (1 - 1/m),    so    n = s2 / (s2 - d2 (1 - 1/m))

which is the "design effect" of clustered samples (L. Kish, "Survey Sampling", 1965). s2 is the
mean variance of the distributions. d2 is the variance of their means from view to view: what does
not differ has not been averaged out. Frames that follow each other are alike, so m is the number
of views made smaller by the correlation r of each answer with the one before, N (1 - r)/(1 + r)
(H. von Storch and F. W. Zwiers, "Statistical Analysis in Climate Research", 1999, 17.1).

`SHARED` bounds how sure a track can get, however many views it has: a limit set by prudence, for
want of clips with known ages. `benchmarks/track_fusion.py` measures the rest. Genders are joined
with n = 1: the mean of the log-odds.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agelens.inference import distribution

SHARED = 0.5
"""Least share of the variance that all views of a person are taken to have in common."""
FLOOR = 1e-9
"""Least probability of an age: no single view can rule one out."""


@dataclass(frozen=True, slots=True, eq=False)
class Joint:
    """What all views say together."""

    age_probabilities: NDArray[np.float64]  # (117,), sum 1
    age: float  # years, mean of the ages that the views were given
    female_probability: float  # 0 to 1
    worth: float  # how many independent answers the views are worth, 1 or more


class Pool:
    """Joins the answers about one face one by one, in the same memory however many there are."""

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
        """Take one answer: probabilities (117,), age in years, probability of female, weight > 0.

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
        share = weight / self._weight  # of the new view: means that equal values never move
        self._log_ages += share * (np.log(p) - self._log_ages)
        self._age += share * (age - self._age)
        self._log_odds += share * (float(np.log(odds / (1 - odds))) - self._log_odds)
        self._variance += share * (variance - self._variance)
        off = mean - self._mean
        self._mean += share * off
        self._spread += weight * off * (mean - self._mean)  # West's (1979) running variance
        self._last = mean

    def worth(self) -> float:
        """Give how many independent answers the views are worth: 1 to 1 / SHARED."""
        if self.views < 2 or self._spread <= 0 or self._variance <= 0:
            return 1.0
        alike = self._weight**2 / self._weight_squares  # views, were all weights equal
        own = self._spread / self._weight * alike / max(alike - 1, FLOOR)
        step = self._steps / self._weight * self.views / (self.views - 1)
        follows = min(max(1 - step / (2 * own), 0.0), 1.0)  # correlation with the view before
        separate = max(1.0, alike * (1 - follows) / (1 + follows))
        share = own / self._variance
        if share > 1:  # they differ more than the model allows for: none is worth a whole answer
            return float(min(max(separate / share, 1.0), 1 / SHARED))
        return float(1 / (1 - min(share, 1 - SHARED) * (1 - 1 / separate)))

    def joint(self) -> Joint:
        """Give what the views so far say together. Raises ValueError where there is none."""
        if not self.views:
            raise ValueError("no view to join: expected one or more")
        worth = self.worth()
        powers = worth * self._log_ages
        p = np.exp(powers - powers.max())
        return Joint(p / p.sum(), self._age, float(1 / (1 + np.exp(-self._log_odds))), worth)
