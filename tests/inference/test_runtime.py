import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from agelens.errors import ModelError
from agelens.inference.runtime import AGES, CHIP, Model, locate


def test_the_output_is_that_of_the_graph(tiny_model: Path) -> None:
    chips = np.stack([np.full((CHIP, CHIP, 3), v, np.uint8) for v in (51, 153)])
    chips[1, :, :100, 0] = 255
    out = Model(tiny_model, threads=1).run(chips)
    assert out.age_probabilities.shape == (2, AGES)
    np.testing.assert_allclose(out.age_probabilities.sum(1), 1, atol=1e-5)
    assert out.age_probabilities[0].argmax() == 20  # 51 / 255 of 100
    assert out.age_years[0] == pytest.approx(20.25, abs=1e-3)
    np.testing.assert_allclose(out.female_probability, [0.2, 1.0], atol=1e-5)


def test_the_runtime_stores_no_id_of_the_machine(tiny_model: Path, tmp_path: Path) -> None:
    unset = {"ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME"}
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    code = f"from agelens.inference.runtime import Model; Model({str(tiny_model)!r}, 1)"
    subprocess.run([sys.executable, "-c", code], check=True, env=environment | {"HOME": tmp_path})
    assert [item for item in tmp_path.rglob("*") if item.is_file()] == []


def test_no_chips_give_empty_outputs_and_other_chips_are_refused(tiny_model: Path) -> None:
    out = Model(tiny_model).run(np.zeros((0, CHIP, CHIP, 3), np.uint8))
    assert out.age_probabilities.shape == (0, AGES)
    assert out.age_years.shape == out.female_probability.shape == (0,)
    for chips in (np.zeros((1, 100, 100, 3), np.uint8), np.zeros((1, CHIP, CHIP, 3), np.float32)):
        with pytest.raises(ValueError, match="expected uint8"):
            Model(tiny_model).run(chips)


def test_the_card_comes_with_the_file(make_model) -> None:
    assert Model(make_model({"name": "x", "flip": True})).card["flip"] is True
    for card in (None, ["not", "an", "object"]):
        with pytest.raises(ModelError, match="card"):
            Model(make_model(card))


def test_a_broken_file_and_a_missing_output_are_errors(tiny_model: Path, tmp_path: Path) -> None:
    file = tmp_path / "broken.onnx"
    file.write_bytes(b"not a model")
    with pytest.raises(ModelError, match=r"broken\.onnx"):
        Model(file)
    model = onnx.load(tiny_model)
    del model.graph.output[2]
    onnx.save(model, file)
    with pytest.raises(ModelError, match="female_probability"):
        Model(file)


def test_models_are_found_by_path_run_folder_and_variable(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert locate(tiny_model) == tiny_model
    (tmp_path / "model.onnx").write_bytes(tiny_model.read_bytes())
    assert locate(tmp_path) == tmp_path / "model.onnx"
    monkeypatch.setenv("AGELENS_MODEL", str(tiny_model))
    assert locate(None) == tiny_model
    with pytest.raises(ModelError, match="'no-such-model'"):
        locate("no-such-model")
