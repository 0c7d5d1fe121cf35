"""Chips -> Predictions: the model asked in batches, and what its distributions come to."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agelens.errors import ConfigError
from agelens.inference import distribution, uncertainty
from agelens.inference.runtime import Model, Output
from agelens.results import Face, Gender, Prediction, Reason

BATCH = 16
"""Faces that the model sees at once: more are no faster on a processor, and take more memory."""


class Answerer:
    """Asks a model, and says what comes of its answers."""

    def __init__(self, model: Model, *, flip: bool | None, gender_threshold: float) -> None:
        """Prepare; see `agelens.load` for the settings.

        Raises ConfigError for a threshold out of range.
        """
        if not 0.5 <= gender_threshold <= 1:
            raise ConfigError(f"gender_threshold {gender_threshold!r}: expected 0.5 to 1")
        self.flip = bool(model.card.get("flip", False)) if flip is None else flip
        self._model = model
        self._own_ages = model.card.get("estimator", "median") != "median"
        self._levels = model.interval_levels()
        self._gender_threshold = gender_threshold

    def ask(self, chips: NDArray[np.uint8]) -> Output:
        """Ask the model about chips, uint8 (N, CHIP, CHIP, 3), N from 0."""
        outs = [self._batch(chips[i : i + BATCH]) for i in range(0, max(1, len(chips)), BATCH)]
        return Output(
            np.concatenate([out.age_probabilities for out in outs]),
            np.concatenate([out.age_years for out in outs]),
            np.concatenate([out.female_probability for out in outs]),
        )

    def _batch(self, chips: NDArray[np.uint8]) -> Output:
        seen = self._model.run(chips)
        if not self.flip:
            return seen
        mirror = self._model.run(np.ascontiguousarray(chips[:, :, ::-1]))
        return Output(
            _mean(seen.age_probabilities, mirror.age_probabilities),
            _mean(seen.age_years, mirror.age_years),
            _mean(seen.female_probability, mirror.female_probability),
        )

    def predictions(
        self,
        said: Output,
        faces: Sequence[Face] | None,
        poor: Sequence[tuple[Reason, ...]] | None = None,
    ) -> list[Prediction]:
        """Make the predictions of N answers.

        `faces` are those answered, None where they stand in no picture; `poor` says why one is
        not seen well.
        """
        ages, female = said.age_probabilities, said.female_probability
        low, high = self._levels.ends(ages)
        points = said.age_years.astype(np.float64) if self._own_ages else distribution.median(ages)
        found: list[Face | None] = [None] * len(ages) if faces is None else list(faces)
        verdicts = uncertainty.judge(points, ages, female, poor=poor)
        return [
            Prediction(
                age=float(points[i]),
                age_interval=(float(min(low[i], points[i])), float(max(high[i], points[i]))),
                age_probabilities=ages[i],
                gender=self._gender(float(female[i])),
                female_probability=float(female[i]),
                box=face.box if face else None,
                landmarks=face.landmarks if face else None,
                detection_score=face.score if face else None,
                status=verdicts[i].status,
                reasons=verdicts[i].reasons,
                doubt=verdicts[i].doubt,
            )
            for i, face in enumerate(found)
        ]

    def _gender(self, female: float) -> Gender | None:
        if max(female, 1 - female) < self._gender_threshold:
            return None
        return Gender.FEMALE if female >= 0.5 else Gender.MALE


def _mean(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    return ((a + b) / 2).astype(np.float32, copy=False)
