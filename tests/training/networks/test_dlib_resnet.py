from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from agelens.errors import TrainingError
from agelens.training.networks import dlib_resnet
from agelens.training.networks.dlib_resnet import Affine, DlibResNet, read_embedding

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


def write_file(path: Path, net: DlibResNet) -> Path:
    """Write a network in the form of dlib's file."""
    content = b"\x01\x01"
    for module in net.modules():
        if isinstance(module, torch.nn.Conv2d | Affine):
            tag = "affine_" if isinstance(module, Affine) else "con_4"
            flat = torch.cat([part.detach().flatten() for part in module.parameters()])
            content += layer(tag, flat.numpy()) + b"\x01\x08relu_110"
    path.write_bytes(content + layer("fc_2", EMBEDDING.flatten()))
    return path


@pytest.fixture(scope="module")
def drawn_net() -> DlibResNet:
    torch.manual_seed(1)
    return DlibResNet()


def test_weights_and_embedding_are_those_of_the_file(drawn_net: DlibResNet, tmp_path: Path) -> None:
    path = write_file(tmp_path / "net.dat", drawn_net)
    other = DlibResNet()
    other.load_dlib(path)
    for name, tensor in drawn_net.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name
    assert np.array_equal(read_embedding(path), EMBEDDING)
    convolutions = [m for m in drawn_net.modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(convolutions) == 29
    assert sum(p.numel() for p in convolutions[0].parameters()) == 32 * (7 * 7 * 3 + 1)


def test_a_map_for_any_size(drawn_net: DlibResNet) -> None:
    for size, side in ((150, 2), (200, 3)):
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
def test_another_file_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "net.dat"
    path.write_bytes(content)
    with pytest.raises(TrainingError, match=message):
        DlibResNet().load_dlib(path)


@pytest.mark.skipif(
    find_spec("dlib") is None or find_spec("face_recognition_models") is None,
    reason="compares with dlib itself: pip install 'agelens[data]'",
)
def test_it_equals_dlib_on_drawn_faces(drawn_chip) -> None:
    import dlib

    path = dlib_resnet.installed_file()
    ours, embedding = DlibResNet().eval(), read_embedding(path)
    ours.load_dlib(path)
    theirs = dlib.face_recognition_model_v1(str(path))
    for brightness in (60, 150, 230):
        chip = drawn_chip(brightness, 150)
        x = torch.from_numpy(chip).permute(2, 0, 1)[None].float()
        with torch.inference_mode():
            descriptor = ours(x).mean((2, 3))[0].numpy() @ embedding
        expected = np.array(theirs.compute_face_descriptor(chip))
        assert np.abs(descriptor - expected).max() < 1e-5
    assert len(list(dlib_resnet.read_tensors(path))) == 59
