"""Write a model file with another calibration: the same graph, with a few nodes behind it.

The outputs go through a temperature (age) and a line (gender logit) before they leave the graph;
the levels of the intervals go into the card. So the new file is a model like any other.
"""

import itertools
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.helper
import onnx.parser
from numpy.typing import NDArray
from scipy.special import expit, logit

from agelens.errors import ModelError
from agelens.evaluation.calibration import MIN_GENDER_PROBABILITY, Scaling, scale_logits
from agelens.inference import distribution
from agelens.inference.distribution import AGES, Levels
from agelens.inference.runtime import CARD_KEY, Model, Output

MAX_AGE_DIFFERENCE = 1e-2  # years, between what was fitted and what the file gives
MAX_GENDER_DIFFERENCE = 1e-3
OLDEST_OPSET = 13

_GRAPH = """
calibration (float[B,{ages}] {p}age_probabilities, float[B] {p}female_probability)
  => (float[B,{ages}] age_probabilities, float[B] age_years, float[B] female_probability)
<
  float {p}least = {{1e-30}}, float {p}age = {{{age}}},
  int64 {p}last_axis = {{1}}, int64[1] {p}axes = {{1}},
  float {p}half = {{0.5}}, float {p}tiny = {{1e-9}},
  float {p}zero = {{0.0}}, float {p}oldest = {{{last}.0}},
  float {p}low = {{{low}}}, float {p}high = {{{high}}}, float {p}one = {{1.0}},
  float {p}gender = {{{gender}}}, float {p}bias = {{{bias}}}
>
{{
  {p}held = Max({p}age_probabilities, {p}least)
  {p}logits = Log({p}held)
  {p}scaled = Mul({p}logits, {p}age)
  age_probabilities = Softmax<axis = 1>({p}scaled)

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
  {p}steep = Mul({p}logit, {p}gender)
  {p}moved = Add({p}steep, {p}bias)
  female_probability = Sigmoid({p}moved)
}}
"""
"""The median, as in `inference.distribution`, counts the years that half of the mass passes."""


def write(
    model: Model, file: Path, scaling: Scaling, levels: Levels, about: Mapping[str, Any],
    chips: NDArray[np.uint8], threads: int | None = None,
) -> Model:  # fmt: skip
    """Write a model with another calibration, and load it; `about` goes into its card.

    The new file is compared with the old on some chips, (B, 200, 200, 3). Raises ModelError for
    a model that cannot be changed so, and where they disagree; then no file is left.
    """
    graph = _calibrated(model, scaling)
    card = json.dumps(
        _card(model.card, scaling, levels, about), ensure_ascii=False, allow_nan=False
    )
    entries = {entry.key: entry.value for entry in graph.metadata_props}
    onnx.helper.set_model_props(graph, entries | {CARD_KEY: card})
    onnx.checker.check_model(graph)
    partial = file.with_name(file.name + ".part")
    try:
        onnx.save(graph, partial)
        _check_parity(model, Model(partial, 1), scaling, chips)
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)
    return Model(file, threads)


def _calibrated(model: Model, scaling: Scaling) -> onnx.ModelProto:
    graph = onnx.load(model.path)
    opset = next((one.version for one in graph.opset_import if one.domain in ("", "ai.onnx")), 0)
    if opset < OLDEST_OPSET:
        raise ModelError(
            f"{str(model.path)!r} has ONNX opset {opset}, expected {OLDEST_OPSET} or newer: "
            "export the model again"
        )
    # A model may be calibrated twice: the new nodes' names start as no other does.
    taken = {name for node in graph.graph.node for name in node.output}
    starts = (f"calibration{number}_" for number in itertools.count(1))
    prefix = next(p for p in starts if not any(name.startswith(p) for name in taken))
    for node in graph.graph.node:
        for names in (node.input, node.output):
            names[:] = [prefix + name if name in Output._fields else name for name in names]
    text = _GRAPH.format(
        p=prefix, ages=AGES, last=AGES - 1,
        low=MIN_GENDER_PROBABILITY, high=1 - MIN_GENDER_PROBABILITY, **asdict(scaling),
    )  # fmt: skip
    tail = onnx.parser.parse_graph(text)
    graph.graph.node.extend(tail.node)
    graph.graph.initializer.extend(tail.initializer)
    return graph


def _card(
    card: Mapping[str, Any], scaling: Scaling, levels: Levels, about: Mapping[str, Any]
) -> dict[str, Any]:
    # The figures of the old file are not those of the new one.
    kept = {key: value for key, value in card.items() if key not in ("test", "validation")}
    if "scaling" in card:
        old = Scaling(**card["scaling"])
        bias = old.bias * scaling.gender + scaling.bias
        whole = Scaling(old.age * scaling.age, old.gender * scaling.gender, bias)
        kept["scaling"] = {key: round(value, 4) for key, value in asdict(whole).items()}
    return kept | {
        "interval": levels.table(),
        "recalibrated": {**about, "scaling": asdict(scaling)},
    }


def _check_parity(old: Model, new: Model, scaling: Scaling, chips: NDArray[np.uint8]) -> None:
    before, after = old.run(chips), new.run(chips)
    years = distribution.median(scale_logits(before.age_probabilities, scaling.age))
    said = before.female_probability.astype(np.float64)
    p = np.clip(said, MIN_GENDER_PROBABILITY, 1 - MIN_GENDER_PROBABILITY)
    female = expit(logit(p) * scaling.gender + scaling.bias)
    off = np.abs(after.age_years - years).max(initial=0)
    off_gender = np.abs(after.female_probability - female).max(initial=0)
    if not (off < MAX_AGE_DIFFERENCE and off_gender < MAX_GENDER_DIFFERENCE):
        raise ModelError(
            f"the recalibrated model is off by {off:.4f} years and {off_gender:.5f} in gender from "
            f"what was fitted, expected under {MAX_AGE_DIFFERENCE} and {MAX_GENDER_DIFFERENCE}: "
            "another version of onnx or onnxruntime may agree"
        )
