from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from agelens.errors import ModelError
from agelens.evaluation.calibration import Scaling
from agelens.evaluation.recalibration import onnx_graph
from agelens.inference import distribution
from agelens.inference.distribution import Levels
from agelens.inference.runtime import Model
from reported import chip

LEVELS, RANDOM = Levels.between(0.01, 0.96), np.random.default_rng(8)
CHIPS = np.stack([chip(age, age % 2 == 1, RANDOM) for age in range(40, 60, 4)])


def test_scaling_is_applied_in_the_graph(tiny_model: Path, tmp_path: Path) -> None:
    model, file = Model(tiny_model, 1), tmp_path / "new.onnx"
    new = onnx_graph.write(model, file, Scaling(0.5, 2.0, 0.3), LEVELS, {"on": "mine"}, CHIPS)
    old, now = model.run(CHIPS), new.run(CHIPS)
    wanted = np.sqrt(old.age_probabilities.astype(np.float64))
    wanted /= wanted.sum(axis=1, keepdims=True)
    assert np.allclose(now.age_probabilities, wanted, atol=1e-5)
    assert np.allclose(now.age_years, distribution.median(wanted), atol=1e-3)
    odds = old.female_probability / (1 - old.female_probability)
    moved = odds**2 * np.exp(0.3)
    assert np.allclose(now.female_probability, moved / (1 + moved), atol=1e-5)
    assert new.interval_levels().low[50] == pytest.approx(0.01)
    assert new.card["name"] == "tiny"
    assert new.card["recalibrated"]["scaling"] == {"age": 0.5, "gender": 2.0, "bias": 0.3}
    assert [path.name for path in tmp_path.iterdir()] == ["new.onnx"]


def test_model_can_be_recalibrated_twice(make_model: Callable[..., Path], tmp_path: Path) -> None:
    card = {
        "name": "tiny", "test": {"age_mae": 4.0}, "validation": {},
        "scaling": {"age": 1.5, "gender": 0.5, "bias": 0.2},
    }  # fmt: skip
    model, files = Model(make_model(card), 1), [tmp_path / "1.onnx", tmp_path / "2.onnx"]
    once = onnx_graph.write(model, files[0], Scaling(0.5, 2.0, 0.3), LEVELS, {}, CHIPS)
    twice = onnx_graph.write(once, files[1], Scaling(2.0, 0.5, -0.15), LEVELS, {}, CHIPS)
    old, now = model.run(CHIPS), twice.run(CHIPS)
    assert np.allclose(now.age_probabilities, old.age_probabilities, atol=1e-5)
    assert np.allclose(now.female_probability, old.female_probability, atol=1e-5)
    assert once.card["scaling"] == {"age": 0.75, "gender": 1.0, "bias": 0.7}
    assert twice.card["scaling"] == card["scaling"]
    assert not {"test", "validation"} & set(once.card)  # figures of another model


def test_old_opset_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    old = onnx.load(tiny_model)
    old.opset_import[0].version = 12
    fake = tmp_path / "old.onnx"
    onnx.save(old, fake)
    model = Model(tiny_model, 1)
    model.path = fake
    with pytest.raises(ModelError, match="has ONNX opset 12, expected 13 or newer"):
        onnx_graph.write(model, tmp_path / "new.onnx", Scaling(), LEVELS, {}, CHIPS)
    assert not (tmp_path / "new.onnx").exists()


def test_file_that_differs_from_the_fit_is_removed(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_graph, "scale_logits", lambda spread, _: np.roll(spread, 1, axis=1))
    words = Model(tiny_model, 1), tmp_path / "new.onnx", Scaling(0.5), LEVELS, {}, CHIPS
    with pytest.raises(ModelError, match=r"is off by 1\.\d+ years"):
        onnx_graph.write(*words)
    assert list(tmp_path.iterdir()) == []
