"""The only user of ONNX Runtime. A model file is one ONNX graph that carries its card.

The contract of a model file: input `chips`, uint8 (B, 200, 200, 3) RGB, aligned to the
UTKFace template; outputs `age_probabilities` float32 (B, 117), `age_years` float32 (B,)
and `female_probability` float32 (B,); metadata `agelens.card`, a JSON object.
"""

import ctypes
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agelens.errors import ModelError
from agelens.inference.distribution import AGES, Levels

CHIP = 200
"""Side of an aligned chip in pixels."""

CARD_KEY = "agelens.card"
DEFAULT_MODEL = "default"


@dataclass(frozen=True, slots=True)
class Output:
    """What a model says of a batch of B chips."""

    age_probabilities: NDArray[np.float32]  # (B, 117), rows sum to 1
    age_years: NDArray[np.float32]  # (B,)
    female_probability: NDArray[np.float32]  # (B,), 0 to 1


def shipped() -> dict[str, Path]:
    """Give the models that come with the package, name to file."""
    folder = resources.files("agelens") / "weights"
    return {
        Path(item.name).stem: Path(str(item))
        for item in sorted(folder.iterdir(), key=lambda item: item.name)
        if item.name.endswith(".onnx")
    }


def locate(model: str | Path | None) -> Path:
    """Find a model: None for the default, a shipped name, or a path to an ONNX file.

    Raises ModelError when there is no such model.
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
    names = ", ".join(known) or "none"
    raise ModelError(
        f"no model {str(model)!r}: expected a shipped name ({names}), "
        "a run folder with a model.onnx, or an ONNX file"
    )


class Model:
    """One loaded model file; safe to call from several threads, and in forked processes.

    It is pickled by name or path and number of threads, and loaded anew where it is unpickled.
    """

    def __init__(self, model: str | Path | None = None, threads: int | None = None) -> None:
        """Load a model by name or path, to run on `threads` threads (None: one per core).

        Raises ModelError for a file that is missing, unreadable or not an agelens model.
        """
        self.path = locate(model)
        self.threads = threads
        self._session, self._process = self._open(), os.getpid()
        self.card = self._read_card()

    def __reduce__(self) -> tuple[Callable[..., "Model"], tuple[str, int | None]]:
        # By name where it is shipped: another machine keeps it elsewhere.
        named = {path: name for name, path in shipped().items()}
        return Model, (named.get(self.path, str(self.path)), self.threads)

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
        # The inherited session waits for those threads when it is destroyed: it never shall be.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._session))
        self._session, self._process = self._open(), os.getpid()

    def _read_card(self) -> Mapping[str, Any]:
        text = self._session.get_modelmeta().custom_metadata_map.get(CARD_KEY)
        outputs = {node.name for node in self._session.get_outputs()}
        missing = {"age_probabilities", "age_years", "female_probability"} - outputs
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
        """Give the levels whose interval holds the age 9 times in 10, off the card.

        The card's `interval` has `low` and `high`, each one share for all ages or a list of 117;
        without them 0.05 and 0.95. Raises ModelError for levels that are none.
        """
        interval = self.card.get("interval", {})
        try:
            low, high = (
                np.broadcast_to(np.asarray(interval.get(key, usual), np.float64), (AGES,))
                for key, usual in (("low", 0.05), ("high", 0.95))
            )
        except (AttributeError, TypeError, ValueError):
            low = high = np.full(AGES, -1.0)
        if not ((low >= 0) & (low < high) & (high <= 1)).all():
            raise ModelError(
                f"the card of {str(self.path)!r} has interval {str(interval)[:200]}: expected low "
                f"and high, shares with 0 <= low < high <= 1, one or {AGES} of each"
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
            none = np.zeros(0, np.float32)
            return Output(np.zeros((0, AGES), np.float32), none, none)
        if self._process != os.getpid():
            self._after_fork()
        return Output(
            *self._session.run(
                ["age_probabilities", "age_years", "female_probability"], {"chips": chips}
            )
        )
