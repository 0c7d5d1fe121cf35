"""Load and run model files, and turn their output into predictions.

A model file is one ONNX graph that carries its card. Its contract: input `chips`, uint8
(B, 200, 200, 3) RGB, aligned to the UTKFace template; outputs `age_probabilities` float32 (B, 117),
`age_years` float32 (B,) and `female_probability` float32 (B,); metadata `agelens.card`, a JSON
object. Nothing else uses ONNX Runtime.
"""

import ctypes
import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agelens.errors import ModelError
from agelens.inference.distribution import AGES, TAIL, Levels, assess, median
from agelens.results import Face, Gender, Prediction, Reason

CHIP = 200
"""Side of an aligned chip in pixels."""
BATCH = 16
"""Faces per model call: larger batches are no faster on a processor and need more memory."""

CARD_KEY = "agelens.card"
DEFAULT_MODEL = "default"


class Output(NamedTuple):
    """The output of a model for a batch of B chips."""

    age_probabilities: NDArray[np.float32]  # (B, 117), rows sum to 1
    age_years: NDArray[np.float32]  # (B,)
    female_probability: NDArray[np.float32]  # (B,), 0 to 1


def shipped() -> dict[str, Path]:
    """Return the models that come with the package, name to file; each has its card beside it."""
    files = sorted(Path(str(resources.files("agelens") / "weights")).glob("*.onnx"))
    return {file.stem: file for file in files if file.with_suffix(".json").is_file()}


def locate(model: str | Path | None) -> Path:
    """Find a model: None for the default, a shipped name, a run folder or an ONNX file.

    Raises ModelError if there is no such model.
    """
    known = shipped()
    if model is None:
        model = os.environ.get("AGELENS_MODEL", DEFAULT_MODEL)
    if str(model) in known:
        return known[str(model)]
    for path in (Path(model) / "model.onnx", Path(model)):
        if path.is_file():
            return path
    raise ModelError(
        f"no model {str(model)!r}: expected a shipped name ({', '.join(known) or 'none'}), "
        "a run folder with a model.onnx, or an ONNX file"
    )


class Session:
    """A network in ONNX Runtime; safe to use from several threads and in forked processes."""

    def __init__(self, model: Path | bytes, threads: int | None = None) -> None:
        """Open an ONNX file or its content, to run on `threads` threads (None: one per core).

        Raises ModelError if it is not a readable model.
        """
        self._model, self._threads = model, threads
        self._session, self._process = self._open(), os.getpid()

    def _open(self) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        if self._threads is not None:
            options.intra_op_num_threads = self._threads
            options.inter_op_num_threads = 1
        model = self._model if isinstance(self._model, bytes) else str(self._model)
        try:
            return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exceptions share no base class
            name = "the model" if isinstance(model, bytes) else repr(model)
            raise ModelError(f"cannot load {name}: not a readable ONNX model ({error})") from error

    def describe(self) -> tuple[dict[str, str], list[str]]:
        """Return the metadata of the file, and the names of the outputs."""
        metadata = self._session.get_modelmeta().custom_metadata_map
        return metadata, [node.name for node in self._session.get_outputs()]

    def run(self, outputs: Sequence[str], given: NDArray[Any]) -> list[NDArray[Any]]:
        """Run the network on its one input and return the named outputs."""
        if self._process != os.getpid():  # forked: the session's threads are not inherited
            # Destroying the old session would wait for them forever, so it is leaked.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._session))
            self._session, self._process = self._open(), os.getpid()
        name = self._session.get_inputs()[0].name
        return list(self._session.run(list(outputs), {name: given}))


class Model:
    """A loaded model file; safe to use from several threads and in forked processes.

    It is pickled as its name or path and its number of threads, and loaded again when unpickled.
    """

    def __init__(self, model: str | Path | None = None, threads: int | None = None) -> None:
        """Load a model by name or path to run on `threads` threads (None: one per core).

        Raises ModelError if the file is missing, unreadable or not an agelens model.
        """
        self.path = locate(model)
        self.threads = threads
        self._session = Session(self.path, threads)
        self.card = self._read_card()

    def __reduce__(self) -> tuple[Callable[..., "Model"], tuple[str, int | None]]:
        # A shipped model goes by name: on another machine its path differs.
        names = {path: name for name, path in shipped().items()}
        return Model, (names.get(self.path, str(self.path)), self.threads)

    def _read_card(self) -> Mapping[str, Any]:
        metadata, outputs = self._session.describe()
        text, missing = metadata.get(CARD_KEY), set(Output._fields).difference(outputs)
        if text is None or missing:
            what = "card" if text is None else ", ".join(sorted(missing))
            raise ModelError(
                f"{str(self.path)!r} is not an agelens model: it has no {what}; "
                "make one with  agelens train  or  agelens export"
            )
        card = json.loads(text)
        if not isinstance(card, dict):
            raise ModelError(f"the card of {str(self.path)!r} is not a JSON object")
        return card

    def interval_levels(self) -> Levels:
        """Return the card's levels, whose interval contains the true age 9 times in 10.

        The card's `interval` has `low` and `high`, each one level for all ages or a list of 117;
        without them they are 0.05 and 0.95. Levels of a list that leave out more mass than TAIL,
        as those of models made before 0.2 do, are widened to it. Raises ModelError for invalid
        levels.
        """
        interval = self.card.get("interval", {})
        low, high = np.zeros((2, AGES))
        with suppress(AttributeError, TypeError, ValueError):
            low[:], high[:] = interval.get("low", 0.05), interval.get("high", 0.95)
            if isinstance(interval.get("low"), list):
                low, high = np.minimum(low, TAIL), np.maximum(high, 1 - TAIL)
        if not ((low >= 0) & (low < 0.5) & (high > 0.5) & (high <= 1)).all():
            raise ModelError(
                f"the card of {str(self.path)!r} has interval {str(interval)[:200]}: expected low "
                f"and high with 0 <= low < 0.5 < high <= 1, one or {AGES} of each"
            )
        return Levels(low, high)

    def run(self, chips: NDArray[np.uint8]) -> Output:
        """Predict a batch of aligned chips, uint8 (B, 200, 200, 3) RGB; B may be 0.

        Raises ValueError for another shape or dtype.
        """
        if chips.dtype != np.uint8 or chips.ndim != 4 or chips.shape[1:] != (CHIP, CHIP, 3):
            raise ValueError(
                f"chips of shape {chips.shape} and dtype {chips.dtype}: "
                f"expected uint8 (B, {CHIP}, {CHIP}, 3)"
            )
        if len(chips) == 0:
            return Output(np.zeros((0, AGES), np.float32), *(np.zeros(0, np.float32),) * 2)
        return Output(*self._session.run(Output._fields, chips))

    def predict(self, chips: NDArray[np.uint8], *, flip: bool = False) -> Output:
        """Run the model over any number of chips in batches; `flip` adds their mirror images."""
        outputs = []
        for start in range(0, max(1, len(chips)), BATCH):
            batch = chips[start : start + BATCH]
            outputs.append(self.run(batch))
            if flip:
                pairs = zip(outputs[-1], self.run(batch[:, :, ::-1].copy()), strict=True)
                outputs[-1] = Output(*(((a + b) / 2).astype(np.float32) for a, b in pairs))
        return Output(*map(np.concatenate, zip(*outputs, strict=True)))

    def predictions(
        self,
        output: Output,
        faces: Sequence[Face] | None,
        quality_issues: Sequence[tuple[Reason, ...]] | None = None,
        gender_threshold: float = 0.5,
    ) -> list[Prediction]:
        """Turn the model's output for N chips into predictions.

        `faces` are the N detected faces; None where the chips come without a picture.
        `quality_issues` says, for each, why it is poorly visible. Where neither gender reaches
        the threshold, it is None.
        """
        ages, female = output.age_probabilities, output.female_probability
        estimated = self.card.get("estimator", "median") != "median"
        years = output.age_years.astype(np.float64) if estimated else median(ages)
        low, high = self.interval_levels().ends(ages)
        assessments = assess(years, ages, female, quality_issues=quality_issues)
        detected: Sequence[Face | None] = [None] * len(ages) if faces is None else faces
        predictions = []
        for i, (face, assessment) in enumerate(zip(detected, assessments, strict=True)):
            age, p = float(years[i]), float(female[i])
            gender = Gender.FEMALE if p >= 0.5 else Gender.MALE
            predictions.append(
                Prediction(
                    age=age,
                    age_interval=(int(low[i]), int(high[i])),
                    age_probabilities=ages[i],
                    gender=gender if max(p, 1 - p) >= gender_threshold else None,
                    female_probability=p,
                    box=face.box if face else None,
                    landmarks=face.landmarks if face else None,
                    detection_score=face.score if face else None,
                    **assessment._asdict(),
                )
            )
        return predictions
