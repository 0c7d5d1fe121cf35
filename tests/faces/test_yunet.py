"""YuNet in ONNX Runtime: the answers of OpenCV's detector, whatever the size and the batch."""

import pickle

import cv2
import numpy as np
import pytest

from agelens.errors import ModelError
from agelens.faces import yunet
from agelens.faces.detector import Detector
from agelens.faces.yunet import YuNet
from agelens.images.decode import read


@pytest.fixture(scope="module")
def network() -> YuNet:
    return YuNet()


@pytest.mark.parametrize(("high", "wide"), [(512, 512), (333, 401), (97, 640), (700, 450)])
def test_answers_are_those_of_opencv(network, astronaut, group_path, drawn_chip, high, wide):
    opencv = cv2.FaceDetectorYN.create(str(yunet.WEIGHTS), "", (wide, high), 0.3, 0.3, 1000)
    for picture in (astronaut, read(group_path), np.tile(drawn_chip(180), (2, 3, 1))):
        shown = cv2.resize(picture, (wide, high), interpolation=cv2.INTER_AREA)
        expected = opencv.detect(np.ascontiguousarray(shown[..., ::-1]))[1]
        (rows,) = network.run(shown[None])
        assert len(rows) == (0 if expected is None else len(expected))
        if len(rows):
            np.testing.assert_allclose(rows[:, :14], expected[:, :14], atol=0.5)
            np.testing.assert_allclose(rows[:, 14], expected[:, 14], atol=0.01)


def test_a_batch_gives_the_answers_of_each_picture(network, astronaut, monkeypatch) -> None:
    batch = np.stack([astronaut[:224, x : x + 224] for x in (60, 90, 120, 288)])
    alone = [network.run(one[None])[0] for one in batch]
    for pixels in (224 * 224, 3 * 224 * 224, yunet.BATCH_PIXELS):
        monkeypatch.setattr(yunet, "BATCH_PIXELS", pixels)
        for rows, expected in zip(network.run(batch), alone, strict=True):
            np.testing.assert_allclose(rows, expected, atol=0.01)
    assert [len(rows) for rows in alone] == [1, 1, 1, 0]


def test_a_pickled_detector_answers_the_same(astronaut) -> None:
    detector = Detector(longest=640, threshold=0.6)
    again = pickle.loads(pickle.dumps(detector))  # noqa: S301
    assert (again.longest, again.threshold) == (640, 0.6)
    assert again.detect(astronaut) == detector.detect(astronaut)


@pytest.mark.parametrize(("content", "message"), [(None, "no file"), (b"changed", "expected 8f23")])
def test_a_missing_or_changed_weights_file_is_an_error(
    monkeypatch, tmp_path, content: bytes | None, message: str
) -> None:
    file = tmp_path / "yunet.onnx"
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setattr(yunet, "WEIGHTS", file)
    with pytest.raises(ModelError, match=message):
        YuNet()
