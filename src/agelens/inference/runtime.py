"""Load and run model files; the only user of ONNX Runtime.

A model file is one ONNX graph that carries its card. Its contract: input `chips`, uint8
(B, 200, 200, 3) RGB, aligned to the UTKFace template; outputs `age_probabilities` float32 (B, 117),
`age_years` float32 (B,) and `female_probability` float32 (B,); metadata `agelens.card`, a JSON
object.
"""

import ctypes
import json
import os
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agelens.errors import ModelError
from agelens.inference.distribution import AGES, Levels

CHIP = 200
"""Side of an aligned chip in pixels."""

CARD_KEY = "agelens.card"
DEFAULT_MODEL = "default"


class Output(NamedTuple):
    """The output of a model for a batch of B chips."""

    age_probabilities: NDArray[np.float32]  # (B, 117), rows sum to 1
    age_years: NDArray[np.float32]  # (B,)
    female_probability: NDArray[np.float32]  # (B,), 0 to 1


def shipped() -> dict[str, Path]:
    """Return the models that come with the package, name to file; each has its card beside it."""
    folder = Path(str(resources.files("agelens") / "weights"))
    return {
        file.stem: file
        for file in sorted(folder.glob("*.onnx"))
        if file.with_suffix(".json").is_file()
    }


def locate(model: str | Path | None) -> Path:
    """Find a model: None for the default, a shipped name, a run folder or an ONNX file.

    Raises ModelError if there is no such model.
    """
    known = shipped()
    if model is None:
        model = os.environ.get("AGELENS_MODEL", DEFAULT_MODEL)
    if str(model) in known:
        return known[str(model)]
    path = Path(model)
    if path.is_dir() and (path / "model.onnx").is_file():
        path /= "model.onnx"
    if path.is_file():
        return path
    raise ModelError(
        f"no model {str(model)!r}: expected a shipped name ({', '.join(known) or 'none'}), "
        "a run folder with a model.onnx, or an ONNX file"
    )


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
        self._session, self._process = self._open(), os.getpid()
        self.card = self._read_card()

    def __reduce__(self) -> tuple[Callable[..., "Model"], tuple[str, int | None]]:
        # A shipped model goes by name: on another machine its path differs.
        names = {path: name for name, path in shipped().items()}
        return Model, (names.get(self.path, str(self.path)), self.threads)

    def _open(self) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        if self.threads is not None:
            options.intra_op_num_threads = self.threads
            options.inter_op_num_threads = 1
        try:
            return onnxruntime.InferenceSession(
                str(self.path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its exceptions share no base class
            raise ModelError(
                f"cannot load {str(self.path)!r}: not a readable ONNX model ({error})"
            ) from error

    def _after_fork(self) -> None:
        """Load the model again in a forked process, which inherits none of the threads."""
        # Destroying the inherited session would wait for those threads forever, so it is leaked.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._session))
        self._session, self._process = self._open(), os.getpid()

    def _read_card(self) -> Mapping[str, Any]:
        text = self._session.get_modelmeta().custom_metadata_map.get(CARD_KEY)
        outputs = {node.name for node in self._session.get_outputs()}
        missing = set(Output._fields) - outputs
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
        without them they are 0.05 and 0.95. Raises ModelError for invalid levels.
        """
        interval = self.card.get("interval", {})
        try:
            low, high = (
                np.broadcast_to(np.asarray(interval.get(key, default), np.float64), (AGES,))
                for key, default in (("low", 0.05), ("high", 0.95))
            )
        except (AttributeError, TypeError, ValueError):
            low = high = np.full(AGES, -1.0)
        if not ((low >= 0) & (low < high) & (high <= 1)).all():
            raise ModelError(
                f"the card of {str(self.path)!r} has interval {str(interval)[:200]}: expected low "
                f"and high with 0 <= low < high <= 1, one or {AGES} of each"
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
        if self._process != os.getpid():
            self._after_fork()
        return Output(*self._session.run(list(Output._fields), {"chips": chips}))
