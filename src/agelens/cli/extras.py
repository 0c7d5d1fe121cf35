"""What a command needs beyond the base install, said before anything heavy is imported."""

from importlib.util import find_spec

from agelens.errors import MissingExtra


def need(extra: str, *packages: str) -> None:
    """Raise MissingExtra for the first of the packages that is not installed."""
    for package in packages:
        if find_spec(package) is None:
            raise MissingExtra(package, extra)


def need_train() -> None:
    """Ask for the packages of the extra `train`."""
    need("train", "torch", "pydantic", "polars", "safetensors", "onnx", "onnxscript")
