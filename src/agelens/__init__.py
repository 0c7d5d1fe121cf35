"""Age and gender of every person in a picture.

>>> import agelens
>>> predictor = agelens.load()
>>> for person in predictor.predict("photo.jpg"):
...     print(person.age, person.gender)

The names below are imported when first used, so `import agelens` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agelens import errors
    from agelens.errors import AgelensError
    from agelens.face import Box, Face, Gender, Landmarks, Prediction, Reason, Status
    from agelens.predict import Predictor, load

    __version__: str

__all__ = [
    "AgelensError",
    "Box",
    "Face",
    "Gender",
    "Landmarks",
    "Prediction",
    "Predictor",
    "Reason",
    "Status",
    "__version__",
    "errors",
    "load",
]

_HOMES = {
    "AgelensError": "agelens.errors",
    "Box": "agelens.face",
    "Face": "agelens.face",
    "Gender": "agelens.face",
    "Landmarks": "agelens.face",
    "Prediction": "agelens.face",
    "Predictor": "agelens.predict",
    "Reason": "agelens.face",
    "Status": "agelens.face",
    "load": "agelens.predict",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value: Any = getattr(import_module(_HOMES[name]), name)
    elif name == "errors":
        value = import_module("agelens.errors")
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
