"""Evaluations to report on: a drawn dataset, and models that are right and wrong in known ways."""

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import polars as pl
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper
from PIL import Image

from agelens.data.dataset import SCHEMA
from agelens.evaluation.evaluate import Evaluator
from agelens.inference.runtime import Model
from agelens.reports import charts
from agelens.reports.numbers import read

RACES = ("asian", "black", "white")
DRAWING = {
    name: getattr(charts, name) for name in ("lines", "forest", "heat", "scatter", "reliability")
}
FIXED = {  # numbers that belong to a definition and not to a measurement
    "CS@5", "1", "5", "10", "12", "13", "15", "19", "20", "21", "25", "26", "40", "41", "60", "61",
    "61+", "90%", "95%", "100%", "2014", "2018", "256", "0", "116",
}  # fmt: skip


def chip(age: int, female: bool, random: np.random.Generator) -> NDArray[np.uint8]:
    """Draw what the tiny model of conftest.py reads this age (31 to 69) and gender off."""
    brightness, red = age * 2.55, 230 if female else 20
    picture = np.full((200, 200, 3), round(brightness), np.float64)
    rest = 3 * brightness - red
    picture[:, :100] = (red, round(rest / 2), rest - round(rest / 2))
    noise = random.normal(0, 6, (20, 20, 1)).repeat(10, 0).repeat(10, 1)
    return np.clip(picture + noise - noise.mean(), 0, 255).astype(np.uint8)


def write_faces(folder: Path, count: int = 100) -> Path:
    """Write faces in test folds, labels off by some years; the last copies the first's picture."""
    (folder / "images").mkdir(parents=True)
    random = np.random.default_rng(5)
    rows = []
    for number in range(count):
        age, female = int(random.integers(31, 70)), number % 2 == 1
        path = folder / "images" / f"{number:03}.png"
        Image.fromarray(chip(age, female, random)).save(path)
        if number == count - 1:
            path.write_bytes((folder / "images" / "000.png").read_bytes())
        label = age + round(random.normal(0, 3))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        gender = "female" if female != (number % 17 == 0) else "male"
        rows.append((path.name, label, gender, RACES[number % 3], 200, 200, digest, 8 + number % 2))
    pl.DataFrame(rows, schema=SCHEMA, orient="row").write_parquet(folder / "samples.parquet")
    return folder


def bent_model(tiny: Path, file: Path, scale: float = 1.0, sigma: float = 4.0) -> Path:
    """Write the tiny model with ages `scale` times as high, and bells of `sigma` years."""
    model = onnx.load(tiny)
    values = {"scale": scale * 100 / 255, "narrow": -1 / (2 * sigma**2)}
    for one in model.graph.initializer:
        if one.name in values:
            value = np.asarray(values[one.name], np.float32)
            one.CopyFrom(numpy_helper.from_array(value, one.name))
    file.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(file))
    return file


def evaluate(model: Path, data: Path, folder: Path, name: str, **plan: object) -> Path:
    evaluator = Evaluator(data, threads=1, command=f"agelens evaluate {name}", **plan)  # type: ignore[arg-type]
    evaluator.run(Model(model, 1), folder, name, lambda *_: None)
    return folder


def texts(html: str) -> str:
    return "\n".join(one.text for one in read(html))


def names_in(tree: Any) -> set[str]:
    """Collect the texts of a JSON tree that have digits in them and are no plain numbers."""
    found: set[str] = set()
    if isinstance(tree, dict):
        found = set().union(tree, *map(names_in, tree.values()))
    elif isinstance(tree, list):
        found = set().union(*map(names_in, tree))
    elif isinstance(tree, str):
        found = {tree, tree[:16], tree.rpartition("/")[2]}  # digests are cut, paths are shortened
    return {one for one in found if re.search(r"\d", one) and not one.isdigit()}


def resolve(tree: Any, path: str) -> Any:
    for step in path.split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        tree = tree[int(key)] if isinstance(tree, list) else tree[key]
    return tree


def numbers_are_in(tree: Any, html: str) -> int:
    """Check that every number of a page's text stands in its JSON; give how many there were."""
    names = sorted(names_in({k: v for k, v in tree.items() if k != "text"}), key=len, reverse=True)
    seen = 0
    for one in read(html):
        left = one.text
        for number in one.numbers:
            shown = float(number.shown.replace(",", ""))
            value = resolve(tree, number.at) * number.times
            if number.shown[0] not in "+-":
                shown, value = abs(shown), abs(value)
            decimals = len(number.shown.partition(".")[2])
            assert shown == pytest.approx(value, abs=0.5 * 10**-decimals + 1e-9), (one, number)
            assert number.shown in left
            left = left.replace(number.shown, "", 1)
            seen += 1
        for name in names:
            left = left.replace(name, "")
        untraced = set(re.findall(r"(?:CS@)?\d[\d.,]*[%+]?", left))
        assert {number.rstrip(".,") for number in untraced} <= FIXED, (one.text, untraced)
    return seen


def drawn_once(draw: Callable[..., str]) -> Callable[..., str]:
    """Draw the first chart of a kind, and show it for the others: drawing takes long."""
    drawn: list[str] = []

    def chart(*words: Any, **settings: Any) -> str:
        if not drawn:
            drawn.append(draw(*words, **settings))
        return drawn[0]

    return chart


def not_drawn(*words: Any, **settings: Any) -> str:
    return '<svg viewBox="0 0 400 300"></svg>'
