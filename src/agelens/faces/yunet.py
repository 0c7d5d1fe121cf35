"""Run YuNet in ONNX Runtime: pictures of one size -> boxes, five landmarks and scores."""

from functools import lru_cache
from importlib import resources
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from agelens.errors import ModelError
from agelens.inference.runtime import Session
from agelens.provenance import sha256

WEIGHTS = Path(str(resources.files("agelens"))) / "weights/face_detection_yunet_2023mar.onnx"
SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"

STRIDES = (8, 16, 32)  # pixels between neighbouring places of the three output grids
LEAST_SCORE = 0.3
NMS_OVERLAP = 0.3  # intersection over union above which the weaker of two boxes is dropped
NMS_BOXES = 1000  # best boxes that are compared
BATCH_PIXELS = 8 * 224 * 224  # most pixels run at once, if more than one picture: bounds memory
# The file states an input of 1 x 3 x 640 x 640. The network is convolutional, so in memory these
# four numbers (as protobuf encodes them) become names of the same length: any batch and size.
_FIXED = bytes.fromhex("0a020801 0a020803 0a03088005 0a03088005")
_DYNAMIC = bytes.fromhex("0a021200 0a020803 0a03120148 0a03120157")


class YuNet:
    """The network with its decoding; safe to use from several threads and in forked processes."""

    def __init__(self) -> None:
        """Load the file. Raises ModelError if it is missing or damaged."""
        digest = sha256(WEIGHTS) if WEIGHTS.is_file() else "no file"
        if digest != SHA256:
            raise ModelError(
                f"the face detector {WEIGHTS.name} has SHA-256 {digest}: expected {SHA256}; "
                "run  pip install --force-reinstall agelens"
            )
        # One thread: pictures are so small that more threads gain little, and they hinder others.
        self._session = Session(WEIGHTS.read_bytes().replace(_FIXED, _DYNAMIC), 1)

    def run(
        self, pictures: NDArray[np.uint8], least: float = LEAST_SCORE
    ) -> list[NDArray[np.float64]]:
        """Detect in RGB pictures, uint8 (B, H, W, 3), and return one array per picture.

        Its rows (N, 15), best first, are x, y, width, height, five landmarks and a score of at
        least `least`, in pixels.
        """
        step = max(1, BATCH_PIXELS // (pictures.shape[1] * pictures.shape[2]))
        starts = range(0, len(pictures), step)
        return [rows for at in starts for rows in self._run(pictures[at : at + step], least)]

    def _run(self, pictures: NDArray[np.uint8], least: float) -> list[NDArray[np.float64]]:
        count, high, wide = pictures.shape[:3]
        padded = (high + -high % STRIDES[-1], wide + -wide % STRIDES[-1])
        bgr = np.zeros((count, 3, *padded), np.float32)
        bgr[:, :, :high, :wide] = pictures[..., ::-1].transpose(0, 3, 1, 2)
        names = [f"{kind}_{stride}" for kind in ("cls", "obj", "bbox", "kps") for stride in STRIDES]
        raw = [out.reshape(count, -1, out.shape[-1]) for out in self._session.run(names, bgr)]
        kinds = (np.concatenate(raw[at : at + 3], axis=1) for at in range(0, 12, 3))
        classes, objects, boxes, points = kinds
        scores = np.sqrt(np.clip(classes, 0, 1) * np.clip(objects, 0, 1))[..., 0]
        return [
            _decode(scores[i], boxes[i], points[i], _grid(*padded), least) for i in range(count)
        ]


@lru_cache(maxsize=64)
def _grid(high: int, wide: int) -> NDArray[np.float64]:
    """Return column, row and stride of each output, (N, 3)."""
    grids = []
    for stride in STRIDES:
        rows, columns = np.indices((high // stride, wide // stride)).reshape(2, -1)
        grids.append(np.column_stack([columns, rows, np.full(rows.size, stride)]))
    return np.concatenate(grids).astype(np.float64)


def _decode(
    scores: NDArray[np.float32], boxes: NDArray[np.float32], points: NDArray[np.float32],
    grid: NDArray[np.float64], least: float,
) -> NDArray[np.float64]:  # fmt: skip
    """Decode outputs of one picture as `cv2.FaceDetectorYN` does, and suppress overlaps."""
    at = np.flatnonzero(scores >= least)
    place, stride = grid[at, :2], grid[at, 2:]
    with np.errstate(over="ignore"):
        size = np.exp(boxes[at, 2:].astype(np.float64)) * stride
    corner = (place + boxes[at, :2]) * stride - size / 2
    landmarks = (points[at] + np.tile(place, 5)) * stride
    rows = np.column_stack([corner, size, landmarks, scores[at]])
    # Only finite numbers, and boxes of at least a pixel.
    rows = rows[(np.abs(rows) < 1e6).all(axis=1) & (size >= 1).all(axis=1)]
    whole = np.trunc(rows[:, :4]).tolist()
    kept = cv2.dnn.NMSBoxes(whole, rows[:, 14].tolist(), least, NMS_OVERLAP, top_k=NMS_BOXES)
    return np.asarray(rows[np.asarray(kept, int).ravel()], np.float64)
