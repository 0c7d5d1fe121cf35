"""Check for the packages of an extra before anything heavy is imported."""

from importlib.util import find_spec

from agelens.errors import MissingExtra


def need(extra: str, *packages: str) -> None:
    """Raise MissingExtra for the first of the packages that is not installed."""
    for package in packages:
        if find_spec(package) is None:
            raise MissingExtra(package, extra)


def need_train() -> None:
    """Raise MissingExtra if a package of the extra `train` is not installed."""
    need("train", "torch", "pydantic", "polars", "safetensors", "onnx", "onnxscript")
