import json
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agelens.errors import TrainingError
from agelens.training.networks import checkpoint

TEXT = st.text('aé"\\\n☃')
NAMES = st.text("abc.", min_size=1, max_size=6)
SHAPES = st.dictionaries(NAMES, st.lists(st.integers(0, 4), max_size=3), min_size=1)
SHARED_FOLDER = [HealthCheck.function_scoped_fixture]


@settings(max_examples=10, deadline=None, suppress_health_check=SHARED_FOLDER)
@given(shapes=SHAPES, about=st.dictionaries(TEXT, st.floats(allow_nan=False) | TEXT, max_size=3))
def test_what_is_saved_is_loaded(tmp_path: Path, shapes: dict, about: dict) -> None:
    tensors = {name: torch.randn(shape) for name, shape in shapes.items()}
    path = tmp_path / "a.safetensors"
    checkpoint.save(path, tensors, about)
    loaded, metadata = checkpoint.load(path)
    assert metadata == about
    assert json.loads(path.with_suffix(".json").read_text("utf-8")) == about
    assert loaded.keys() == tensors.keys()
    assert all(torch.equal(loaded[name], tensors[name]) for name in tensors)
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("content", [b"", b"\x80\x04pickle", b"\xff" * 64, None])
def test_a_broken_or_missing_file_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "last.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TrainingError, match=r"last\.safetensors"):
        checkpoint.load(path)
