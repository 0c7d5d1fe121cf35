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
    from agelens import errors, frames
    from agelens.errors import AgelensError
    from agelens.face import Box, Face, Gender, Landmarks, Prediction, Reason, Status
    from agelens.predict import Predictor, load
    from agelens.video.follow import people
    from agelens.video.track import Moment, Track

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
    "Box": "agelens.face",
    "Face": "agelens.face",
    "Gender": "agelens.face",
    "Landmarks": "agelens.face",
    "Moment": "agelens.video.track",
    "Prediction": "agelens.face",
    "Predictor": "agelens.predict",
    "Reason": "agelens.face",
    "Status": "agelens.face",
    "Track": "agelens.video.track",
    "load": "agelens.predict",
    "people": "agelens.video.follow",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value: Any = getattr(import_module(_HOMES[name]), name)
    elif name in ("errors", "frames"):
        value = import_module(f"agelens.{name}")
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
