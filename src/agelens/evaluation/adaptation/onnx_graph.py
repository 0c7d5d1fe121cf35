"""Write an adapted model file: the same graph, with a few nodes behind it.

The age distribution goes through a matrix (the age map) and the gender logit through a line before
they leave the graph; the levels of the intervals go into the card.
"""

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper
import onnx.parser
from numpy.typing import NDArray

from agelens.errors import ModelError
from agelens.evaluation.adaptation.parts import Adaptation
from agelens.evaluation.calibration import MIN_GENDER_PROBABILITY
from agelens.inference import distribution
from agelens.inference.distribution import AGES
from agelens.inference.runtime import CARD_KEY, Model, Output

MAX_AGE_DIFFERENCE = 1e-2  # years, between what was fitted and what the file gives
MAX_GENDER_DIFFERENCE = 1e-3
OLDEST_OPSET = 13

_GRAPH = """
adaptation (float[B,{ages}] {p}age_probabilities, float[B] {p}female_probability)
  => (float[B,{ages}] age_probabilities, float[B] age_years, float[B] female_probability)
<
  int64 {p}last_axis = {{1}}, int64[1] {p}axes = {{1}},
  float {p}half = {{0.5}}, float {p}tiny = {{1e-9}},
  float {p}zero = {{0.0}}, float {p}oldest = {{{last}.0}},
  float {p}low = {{{low}}}, float {p}high = {{{high}}}, float {p}one = {{1.0}},
  float {p}slope = {{{slope}}}, float {p}offset = {{{offset}}}
>
{{
  age_probabilities = MatMul({p}age_probabilities, {p}age_map)

  {p}upto = CumSum(age_probabilities, {p}last_axis)
  {p}before = Sub({p}upto, age_probabilities)
  {p}missing = Sub({p}half, {p}before)
  {p}mass = Max(age_probabilities, {p}tiny)
  {p}share = Div({p}missing, {p}mass)
  {p}passed = Clip({p}share, {p}zero, {p}one)
  {p}count = ReduceSum<keepdims = 0>({p}passed, {p}axes)
  {p}median = Sub({p}count, {p}half)
  age_years = Clip({p}median, {p}zero, {p}oldest)

  {p}female = Clip({p}female_probability, {p}low, {p}high)
  {p}male = Sub({p}one, {p}female)
  {p}odds = Div({p}female, {p}male)
  {p}logit = Log({p}odds)
  {p}steep = Mul({p}logit, {p}slope)
  {p}moved = Add({p}steep, {p}offset)
  female_probability = Sigmoid({p}moved)
}}
"""
"""The median, as in `inference.distribution`, counts the years that half of the mass passes."""


def write(
    model: Model, file: Path, adaptation: Adaptation, about: Mapping[str, Any],
    chips: NDArray[np.uint8], threads: int | None = None,
) -> Model:  # fmt: skip
    """Write an adapted model, and load it; `about` goes into its card as "adapted".

    The new file is compared with the old on some chips, (B, 200, 200, 3). Raises ModelError for
    a model that cannot be changed so, and where they disagree; then no file is left.
    """
    graph = _adapted(model, adaptation)
    # The figures of the old file are not those of the new one.
    card = {key: value for key, value in model.card.items() if key not in ("test", "validation")}
    card["adapted"] = dict(about)
    if (levels := adaptation.levels) is not None:
        ends = {"low": levels.low[0], "high": levels.high[0]}
        card["interval"] = {end: round(float(level), 6) for end, level in ends.items()}
    text = json.dumps(card, ensure_ascii=False, allow_nan=False)
    entries = {entry.key: entry.value for entry in graph.metadata_props}
    onnx.helper.set_model_props(graph, entries | {CARD_KEY: text})
    onnx.checker.check_model(graph)
    partial = file.with_name(file.name + ".part")
    try:
        onnx.save(graph, partial)
        _check_parity(model, Model(partial, 1), adaptation, chips)
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)
    return Model(file, threads)


def _adapted(model: Model, adaptation: Adaptation) -> onnx.ModelProto:
    graph = onnx.load(model.path)
    opset = next((one.version for one in graph.opset_import if one.domain in ("", "ai.onnx")), 0)
    if opset < OLDEST_OPSET:
        raise ModelError(
            f"{str(model.path)!r} has ONNX opset {opset}, expected {OLDEST_OPSET} or newer: "
            "export the model again"
        )
    # A model may be adapted twice: the new nodes' names start as no other does.
    taken = {name for node in graph.graph.node for name in node.output}
    starts = (f"adaptation{number}_" for number in itertools.count(1))
    prefix = next(p for p in starts if not any(name.startswith(p) for name in taken))
    for node in graph.graph.node:
        for names in (node.input, node.output):
            names[:] = [prefix + name if name in Output._fields else name for name in names]
    text = _GRAPH.format(
        p=prefix, ages=AGES, last=AGES - 1, low=MIN_GENDER_PROBABILITY,
        high=1 - MIN_GENDER_PROBABILITY, slope=adaptation.slope, offset=adaptation.offset,
    )  # fmt: skip
    tail = onnx.parser.parse_graph(text)
    graph.graph.node.extend(tail.node)
    graph.graph.initializer.extend(tail.initializer)
    matrix = adaptation.matrix().astype(np.float32)
    graph.graph.initializer.append(onnx.numpy_helper.from_array(matrix, f"{prefix}age_map"))
    return graph


def _check_parity(old: Model, new: Model, adaptation: Adaptation, chips: NDArray[np.uint8]) -> None:
    before, after = old.run(chips), new.run(chips)
    years = distribution.median(adaptation.age_probabilities(before.age_probabilities))
    female = adaptation.female_probability(before.female_probability)
    off = np.abs(after.age_years - years).max(initial=0)
    off_gender = np.abs(after.female_probability - female).max(initial=0)
    if not (off < MAX_AGE_DIFFERENCE and off_gender < MAX_GENDER_DIFFERENCE):
        raise ModelError(
            f"the adapted model is off by {off:.4f} years and {off_gender:.5f} in gender from "
            f"what was fitted, expected under {MAX_AGE_DIFFERENCE} and {MAX_GENDER_DIFFERENCE}: "
            "another version of onnx or onnxruntime may agree"
        )
