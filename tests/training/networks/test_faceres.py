import json
from pathlib import Path

import numpy as np
import pytest
import torch

from agelens.errors import TrainingError
from agelens.training.networks.faceres import BLOCKS, FaceRes, read_tensors


def drawn_tensors() -> dict[str, np.ndarray]:
    """Draw tensors with the names and shapes of faceres-deep, in TensorFlow's layout."""
    random = np.random.default_rng(5)

    def draw(*shape: int) -> np.ndarray:
        return random.normal(0, (2 / np.prod(shape[:-1])) ** 0.5, shape).astype(np.float32)

    tensors = {"conv1/convolution/merged_input": draw(3, 3, 3, 32)}
    tensors["conv1_bn/batchnorm_1/sub"] = draw(32)
    inputs = 32
    for number, (outputs, _) in enumerate(BLOCKS, 1):
        tensors[f"conv_dw_{number}/depthwise_kernel"] = draw(3, 3, inputs, 1)
        tensors[f"conv_dw_{number}_bn/batchnorm_1/mul"] = draw(inputs) + 1
        tensors[f"conv_dw_{number}_bn/batchnorm_1/sub"] = draw(inputs)
        tensors[f"conv_pw_{number}/convolution/merged_input"] = draw(1, 1, inputs, outputs)
        tensors[f"conv_pw_{number}_bn/batchnorm_1/sub"] = draw(outputs)
        inputs = outputs
    return tensors


def write_graph(folder: Path, tensors: dict[str, np.ndarray]) -> Path:
    weights = [{"name": name, "shape": v.shape, "dtype": "float32"} for name, v in tensors.items()]
    (folder / "net.bin").write_bytes(b"".join(v.astype("<f4").tobytes() for v in tensors.values()))
    path = folder / "net.json"
    path.write_text(json.dumps({"weightsManifest": [{"paths": ["net.bin"], "weights": weights}]}))
    return path


def reference(tensors: dict[str, np.ndarray], picture: np.ndarray) -> np.ndarray:
    """Run the same graph the slow way, in NumPy: (H, W, 3) RGB to 1,024 features."""

    def windows(x: np.ndarray, stride: int) -> np.ndarray:
        edge = (0, 1) if stride == 2 else (1, 1)
        padded = np.pad(x, (edge, edge, (0, 0)))
        view = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (0, 1))
        return view[::stride, ::stride]  # (H', W', C, 3, 3)

    x = picture[..., ::-1].astype(np.float64) - (103.939, 116.779, 123.68)
    x = np.einsum("hwcij,ijco->hwo", windows(x, 2), tensors["conv1/convolution/merged_input"])
    x = np.clip(x + tensors["conv1_bn/batchnorm_1/sub"], 0, 6)
    for number, (_, stride) in enumerate(BLOCKS, 1):
        kernel = tensors[f"conv_dw_{number}/depthwise_kernel"][..., 0]
        x = np.einsum("hwcij,ijc->hwc", windows(x, stride), kernel)
        x = x * tensors[f"conv_dw_{number}_bn/batchnorm_1/mul"]
        x = np.clip(x + tensors[f"conv_dw_{number}_bn/batchnorm_1/sub"], 0, 6)
        x = x @ tensors[f"conv_pw_{number}/convolution/merged_input"][0, 0]
        x = np.clip(x + tensors[f"conv_pw_{number}_bn/batchnorm_1/sub"], 0, 6)
    return x.mean((0, 1))


def test_it_computes_the_graph_of_the_file(tmp_path: Path) -> None:
    tensors = drawn_tensors()
    net = FaceRes().eval()
    net.load_tensorflow(write_graph(tmp_path, tensors))
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.float32)
    with torch.inference_mode():
        ours = net(torch.from_numpy(picture).permute(2, 0, 1)[None])[0].mean((1, 2)).numpy()
    expected = reference(tensors, picture)
    assert expected.std() > 0.01
    assert np.abs(ours - expected).max() < 2e-5 * max(1, np.abs(expected).max())


def test_a_missing_tensor_and_a_file_of_another_size_are_named(tmp_path: Path) -> None:
    tensors = drawn_tensors()
    del tensors["conv_pw_7/convolution/merged_input"]
    with pytest.raises(TrainingError, match="conv_pw_7/convolution/merged_input"):
        FaceRes().load_tensorflow(write_graph(tmp_path, tensors))
    path = write_graph(tmp_path, {"a": np.zeros((4, 4), np.float32)})
    for size in (68, 12):
        (tmp_path / "net.bin").write_bytes(b"\0" * size)
        with pytest.raises(TrainingError, match=f"names 64 bytes, its files hold {size}"):
            read_tensors(path)


def test_a_graph_cannot_point_outside_its_folder(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    path = write_graph(tmp_path / "inside", {"a": np.zeros(2, np.float32)})
    (tmp_path / "inside" / "net.bin").rename(tmp_path / "net.bin")
    path.write_text(path.read_text().replace("net.bin", "../net.bin"))
    with pytest.raises(TrainingError, match="cannot read"):
        read_tensors(path)
