"""Run a model over any number of chips in batches, and turn its output into predictions."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agelens.errors import ConfigError
from agelens.inference import distribution
from agelens.inference.runtime import Model, Output
from agelens.inference.uncertainty import assess
from agelens.results import Face, Gender, Prediction, Reason

BATCH = 16
"""Faces per model call: larger batches are no faster on a processor and need more memory."""


class BatchedModel:
    """A model that predicts chips in batches, with flip averaging and a gender threshold."""

    def __init__(self, model: Model, *, flip: bool | None, gender_threshold: float) -> None:
        """Wrap a loaded model; see `agelens.load` for the settings.

        Raises ConfigError for a threshold out of range.
        """
        if not 0.5 <= gender_threshold <= 1:
            raise ConfigError(f"gender_threshold {gender_threshold!r}: expected 0.5 to 1")
        self.flip = bool(model.card.get("flip", False)) if flip is None else flip
        self._model = model
        self._estimates_age = model.card.get("estimator", "median") != "median"
        self._levels = model.interval_levels()
        self._gender_threshold = gender_threshold

    def predict(self, chips: NDArray[np.uint8]) -> Output:
        """Run the model over chips, uint8 (N, 200, 200, 3) RGB; N may be 0."""
        batches = [self._batch(chips[i : i + BATCH]) for i in range(0, max(1, len(chips)), BATCH)]
        return Output(*(np.concatenate(parts) for parts in zip(*batches, strict=True)))

    def _batch(self, chips: NDArray[np.uint8]) -> Output:
        output = self._model.run(chips)
        if not self.flip:
            return output
        mirrored = self._model.run(np.ascontiguousarray(chips[:, :, ::-1]))
        return Output(
            *(((a + b) / 2).astype(np.float32) for a, b in zip(output, mirrored, strict=True))
        )

    def predictions(
        self,
        output: Output,
        faces: Sequence[Face] | None,
        quality_issues: Sequence[tuple[Reason, ...]] | None = None,
    ) -> list[Prediction]:
        """Turn the model's output for N chips into predictions.

        `faces` are the N detected faces; None where the chips come without a picture.
        `quality_issues` says, for each, why it is poorly visible.
        """
        ages, female = output.age_probabilities, output.female_probability
        years = (
            output.age_years.astype(np.float64)
            if self._estimates_age
            else distribution.median(ages)
        )
        low, high = self._levels.ends(ages)
        assessments = assess(years, ages, female, quality_issues=quality_issues)
        detected: Sequence[Face | None] = [None] * len(ages) if faces is None else faces
        return [
            Prediction(
                age=float(years[i]),
                age_interval=(float(min(low[i], years[i])), float(max(high[i], years[i]))),
                age_probabilities=ages[i],
                gender=self._gender(float(female[i])),
                female_probability=float(female[i]),
                box=face.box if face else None,
                landmarks=face.landmarks if face else None,
                detection_score=face.score if face else None,
                status=assessments[i].status,
                reasons=assessments[i].reasons,
                error_probability=assessments[i].error_probability,
            )
            for i, face in enumerate(detected)
        ]

    def _gender(self, female: float) -> Gender | None:
        if max(female, 1 - female) < self._gender_threshold:
            return None
        return Gender.FEMALE if female >= 0.5 else Gender.MALE
