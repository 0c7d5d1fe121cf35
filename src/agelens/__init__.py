"""Age and gender of every person in a picture.

>>> import agelens
>>> predictor = agelens.load()
>>> for person in predictor.predict("photo.jpg"):
...     print(person.age, person.gender)

The names below are imported when first used, so `import agelens` costs nothing.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agelens import errors
    from agelens.errors import AgelensError
    from agelens.output import frames
    from agelens.predictor import Predictor, load
    from agelens.results import Box, Face, Gender, Landmarks, Prediction, Reason, Status
    from agelens.video.pipeline import people
    from agelens.video.tracks import Moment, Track

    __version__: str

__all__ = [
    "AgelensError",
    "Box",
    "Face",
    "Gender",
    "Landmarks",
    "Moment",
    "Prediction",
    "Predictor",
    "Reason",
    "Status",
    "Track",
    "__version__",
    "errors",
    "frames",
    "load",
    "people",
]

# Newer builds of ONNX Runtime keep an id of the machine and tell their maker of its use,
# unless this is set before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_HOMES = {
    "AgelensError": "agelens.errors",
    "Box": "agelens.results",
    "Face": "agelens.results",
    "Gender": "agelens.results",
    "Landmarks": "agelens.results",
    "Moment": "agelens.video.tracks",
    "Prediction": "agelens.results",
    "Predictor": "agelens.predictor",
    "Reason": "agelens.results",
    "Status": "agelens.results",
    "Track": "agelens.video.tracks",
    "load": "agelens.predictor",
    "people": "agelens.video.pipeline",
}

_MODULES = {"errors": "agelens.errors", "frames": "agelens.output.frames"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value: Any = getattr(import_module(_HOMES[name]), name)
    elif name in _MODULES:
        value = import_module(_MODULES[name])
    elif name == "__version__":
        value = _version()
    else:
        raise AttributeError(f"module 'agelens' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("agelens")
    except PackageNotFoundError:  # used from a source folder, without installation
        return "0+source"
