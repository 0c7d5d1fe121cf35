"""Read pictures: files, bytes and arrays become upright RGB pixels, within size limits.

Imports only `agelens.errors` and `agelens.results`.
"""

import warnings
from importlib import import_module
from typing import Any

_MOVED = ("Limits", "Picture", "from_array", "from_pil", "read")  # once `agelens/images.py`


def __getattr__(name: str) -> Any:
    if name not in _MOVED:
        raise AttributeError(f"module 'agelens.images' has no attribute {name!r}")
    new = f"agelens.images.decode.{name}"
    warnings.warn(f"agelens.images.{name} is now {new}", DeprecationWarning, stacklevel=2)
    return getattr(import_module("agelens.images.decode"), name)
