from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from agelens.errors import ModelError
from agelens.evaluation.adaptation import onnx_graph
from agelens.evaluation.adaptation.parts import KNOTS, Adaptation
from agelens.inference import distribution
from agelens.inference.distribution import Levels
from agelens.inference.runtime import Model
from reported import chip

RANDOM = np.random.default_rng(8)
CHIPS = np.stack([chip(age, age % 2 == 1, RANDOM) for age in range(40, 60, 4)])
YOUNGER = Adaptation(KNOTS * 0.8 + 1, 2.0, 0.3, Levels.between(0.1, 0.8))


def test_file_gives_what_numpy_gives(make_model: Callable[..., Path], tmp_path: Path) -> None:
    card = {"name": "tiny", "test": {"age_mae": 4.0}, "validation": {}}
    model = Model(make_model(card), 1)
    new = onnx_graph.write(model, tmp_path / "new.onnx", YOUNGER, {"on": "mine"}, CHIPS)
    old, now = model.run(CHIPS), new.run(CHIPS)
    wanted = YOUNGER.age_probabilities(old.age_probabilities)
    assert np.allclose(now.age_probabilities, wanted, atol=1e-5)
    assert np.allclose(now.age_years, distribution.median(wanted), atol=1e-3)
    assert np.allclose(now.age_years, old.age_years * 0.8 + 1, atol=0.5)
    moved = (old.female_probability / (1 - old.female_probability)) ** 2 * np.exp(0.3)
    assert np.allclose(now.female_probability, moved / (1 + moved), atol=1e-5)
    levels = new.interval_levels()
    assert (levels.low[50], levels.high[50]) == (0.1, 0.8)
    assert (new.card["name"], new.card["adapted"]) == ("tiny", {"on": "mine"})
    assert not {"test", "validation"} & set(new.card)  # figures of another model
    assert [path.name for path in tmp_path.iterdir()] == ["new.onnx"]


def test_model_can_be_adapted_twice(tiny_model: Path, tmp_path: Path) -> None:
    model = Model(tiny_model, 1)
    once = onnx_graph.write(model, tmp_path / "1.onnx", YOUNGER, {}, CHIPS)
    back = Adaptation(np.interp(KNOTS, YOUNGER.ages, KNOTS), 0.5, -0.15)
    twice = onnx_graph.write(once, tmp_path / "2.onnx", back, {"on": "others"}, CHIPS)
    old, now = model.run(CHIPS), twice.run(CHIPS)
    assert np.allclose(now.age_years, old.age_years, atol=0.6)
    assert np.allclose(now.female_probability, old.female_probability, atol=1e-5)
    assert twice.interval_levels().low[0] == 0.1  # those of the first time
    assert twice.card["adapted"] == {"on": "others"}


def test_old_opset_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    old = onnx.load(tiny_model)
    old.opset_import[0].version = 12
    fake = tmp_path / "old.onnx"
    onnx.save(old, fake)
    model = Model(tiny_model, 1)
    model.path = fake
    with pytest.raises(ModelError, match="has ONNX opset 12, expected 13 or newer"):
        onnx_graph.write(model, tmp_path / "new.onnx", YOUNGER, {}, CHIPS)
    assert not (tmp_path / "new.onnx").exists()


def test_file_that_differs_from_the_fit_is_removed(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted = Adaptation.age_probabilities
    shifted = lambda own, p: np.roll(fitted(own, p), 1, axis=1)  # noqa: E731
    monkeypatch.setattr(Adaptation, "age_probabilities", shifted)
    with pytest.raises(ModelError, match=r"is off by 1\.\d+ years"):
        onnx_graph.write(Model(tiny_model, 1), tmp_path / "new.onnx", YOUNGER, {}, CHIPS)
    assert list(tmp_path.iterdir()) == []
