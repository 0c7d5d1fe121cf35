"""Age and gender of every person in a picture.

>>> import agelens
>>> predictor = agelens.load()
>>> for person in predictor.predict("photo.jpg"):
...     print(person.age, person.gender)

The names below are imported when first used, so `import agelens` itself loads nothing heavy.
"""

import os
import sys
import warnings
from importlib import import_module
from importlib.machinery import ModuleSpec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import ModuleType

    from agelens import errors
    from agelens.errors import AgelensError
    from agelens.output import frames
    from agelens.predictor import Predictor, load
    from agelens.results import Box, Face, Gender, Landmarks, Prediction, Reason, Status
    from agelens.video.pipeline import Moment, Track, people

    __version__: str

__all__ = [
    "AgelensError", "Box", "Face", "Gender", "Landmarks", "Moment", "Prediction", "Predictor",
    "Reason", "Status", "Track", "__version__", "errors", "frames", "load", "people",
]  # fmt: skip

# Newer builds of ONNX Runtime store an id of the machine and report its use to their maker,
# unless this is set before the import.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_PUBLIC = {
    "agelens.errors": ("AgelensError",),
    "agelens.predictor": ("Predictor", "load"),
    "agelens.results": ("Box", "Face", "Gender", "Landmarks", "Prediction", "Reason", "Status"),
    "agelens.video.pipeline": ("Moment", "Track", "people"),
}
_MODULES = {"errors": "agelens.errors", "frames": "agelens.output.frames"}
_MOVED = {
    "agelens.align": "agelens.faces.alignment",
    "agelens.clips": "agelens.images.sources",
    "agelens.detect": "agelens.faces.detector",
    "agelens.distribution": "agelens.inference.distribution",
    "agelens.draw": "agelens.output.drawing",
    "agelens.face": "agelens.results",
    "agelens.frames": "agelens.output.frames",
    "agelens.inputs": "agelens.images.sources",
    "agelens.outputs": "agelens.output.tables",
    "agelens.predict": "agelens.predictor",
    "agelens.resample": "agelens.images.resample",
    "agelens.runtime": "agelens.inference.runtime",
    "agelens.sources": "agelens.images.sources",
    "agelens.stopwatch": "agelens.provenance",
}
"""Modules of version 0.1.0 that have moved: the old names still work, with a warning."""


def __getattr__(name: str) -> Any:
    value: Any
    if modules := [module for module, names in _PUBLIC.items() if name in names]:
        value = getattr(import_module(modules[0]), name)
    elif name in _MODULES:
        value = import_module(_MODULES[name])
    elif name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            value = version("agelens")
        except PackageNotFoundError:  # used from a source folder, without installation
            value = "0+source"
    elif f"agelens.{name}" in _MOVED:
        return _import_moved(f"agelens.{name}")
    else:
        raise AttributeError(f"module 'agelens' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


def _import_moved(name: str) -> "ModuleType":
    warnings.warn(f"{name} is now {_MOVED[name]}", DeprecationWarning, stacklevel=3)
    return import_module(_MOVED[name])


class _MovedModules:
    """Import the modules of `_MOVED` by their old names."""

    @classmethod
    def find_spec(cls, name: str, *_: object) -> ModuleSpec | None:
        return ModuleSpec(name, cls()) if name in _MOVED else None  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: "ModuleType") -> None:
        sys.modules[module.__name__] = _import_moved(module.__name__)


sys.meta_path.append(_MovedModules)
