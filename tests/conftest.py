"""Shared by the tests: a tiny model, the example picture, drawn faces."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

PICTURES = Path(__file__).parents[1] / "examples" / "pictures"
_STATUS = pytest.StashKey[int]()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    session.config.stash[_STATUS] = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """After tests on Ray end at once: its threads may keep the interpreter from ending."""
    if "ray" in sys.modules and not hasattr(config, "workerinput"):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(config.stash.get(_STATUS, 1))


def build_tiny_model(path: Path, card: dict[str, Any] | None) -> Path:
    """Write a model that obeys the contract of runtime.py and needs no training.

    Brightness b = mean of the chip / 255 sets the age: probabilities are a bell of
    sigma 4 years around 100 b; age_years is 100 b + 0.25. The red share of the left
    half sets the gender, so mirror images differ: female_probability is the mean red
    of the left half / 255.
    """
    constants = {
        "scale": np.float32(100 / 255), "ages": np.arange(117, dtype=np.float32)[None],
        "narrow": np.float32(-1 / (2 * 4.0**2)), "quarter": np.float32(0.25),
        "byte": np.float32(255), "starts": np.array([0, 0]), "ends": np.array([100, 1]),
        "axes": np.array([2, 3]), "one": np.array([1]), "all": np.array([1, 2, 3]),
    }  # fmt: skip
    steps: list[tuple[str, str, str, dict[str, int]]] = [
        ("Cast", "chips", "x", {"to": TensorProto.FLOAT}),
        ("ReduceMean", "x all", "mean", {"keepdims": 0}),
        ("Mul", "mean scale", "centre", {}),
        ("Unsqueeze", "centre one", "column", {}),
        ("Sub", "ages column", "off", {}),
        ("Mul", "off off", "square", {}),
        ("Mul", "square narrow", "logits", {}),
        ("Softmax", "logits", "age_probabilities", {"axis": 1}),
        ("Add", "centre quarter", "age_years", {}),
        ("Slice", "x starts ends axes", "red", {}),
        ("ReduceMean", "red all", "redness", {"keepdims": 0}),
        ("Div", "redness byte", "female_probability", {}),
    ]
    outputs = {"age_probabilities": ["B", 117], "age_years": ["B"], "female_probability": ["B"]}
    graph = helper.make_graph(
        [
            helper.make_node(kind, given.split(), [made], **more)
            for kind, given, made, more in steps
        ],
        "tiny",
        [helper.make_tensor_value_info("chips", TensorProto.UINT8, ["B", 200, 200, 3])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, outputs[name]) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    if card is not None:
        helper.set_model_props(model, {"agelens.card": json.dumps(card)})
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path


@pytest.fixture(scope="session")
def make_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    def make(card: dict[str, Any] | None) -> Path:
        return build_tiny_model(tmp_path_factory.mktemp("model") / "tiny.onnx", card)

    return make


@pytest.fixture(scope="session")
def tiny_model(make_model: Callable[..., Path]) -> Path:
    return make_model({"name": "tiny"})


@pytest.fixture(scope="session")
def astronaut_path() -> Path:
    """The public-domain portrait: one face, 512 x 512 px."""
    return PICTURES / "astronaut.jpg"


@pytest.fixture(scope="session")
def group_path() -> Path:
    return PICTURES / "group.jpg"


@pytest.fixture(scope="session")
def astronaut(astronaut_path: Path) -> NDArray[np.uint8]:
    """The portrait as upright RGB, uint8 (512, 512, 3)."""
    from agelens.images.decode import read

    return read(astronaut_path)


@pytest.fixture
def drawn_chip() -> Callable[..., NDArray[np.uint8]]:
    return draw_chip


def draw_chip(brightness: int = 150, side: int = 200) -> NDArray[np.uint8]:
    """Draw a face to the UTKFace template, uint8 (side, side, 3) RGB."""
    import cv2

    chip = np.full((200, 200, 3), brightness // 3, np.uint8)
    cv2.ellipse(chip, (98, 105), (68, 92), 0, 0, 360, (brightness,) * 3, -1)
    for x, y in ((59, 58), (138, 60)):
        cv2.ellipse(chip, (x, y), (14, 7), 0, 0, 360, (245, 245, 245), -1)
        cv2.circle(chip, (x, y), 5, (30, 20, 20), -1)
    cv2.line(chip, (97, 75), (96, 108), (brightness // 2,) * 3, 3)
    cv2.ellipse(chip, (97, 137), (34, 9), 0, 0, 180, (150, 50, 50), -1)
    return np.asarray(cv2.resize(chip, (side, side)), np.uint8)
