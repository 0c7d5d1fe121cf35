"""The process that speed.py and service.py measure: one task after another, each timed.

    PYTHONPATH=SOURCE python benchmarks/speed_worker.py THREADS

Reads lines of JSON, each a name of TASKS and its arguments, and writes the seconds, wall and
processor time, that a run took. It uses nothing but what older versions of agelens have as well.
"""

import json
import sys
import time
from collections import deque
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import agelens
from agelens.images.sources import find

THREADS = int(sys.argv[1]) if len(sys.argv) > 1 else 1
LEAST_SECONDS = 0.1  # short tasks are repeated for so long
Task = tuple[int, Callable[[], Any]]  # by how many the time is divided, and what is timed
load = cache(agelens.load)


@cache
def chips(model: str | None, batch: int) -> Task:
    """Run the network on aligned chips, a batch at a time."""
    pixels = np.random.default_rng(0).integers(0, 256, (batch, 200, 200, 3), np.uint8)
    network = load(model, THREADS).model
    return batch, lambda: network.run(pixels)


@cache
def photo(model: str | None, file: str) -> Task:
    """Predict a picture from its bytes."""
    predictor, data = load(model, THREADS), Path(file).read_bytes()
    return 1, lambda: predictor.predict(data)


@cache
def folder(model: str | None, path: str) -> Task:
    """Predict all pictures of a folder; per picture."""
    predictor, files = load(model, THREADS), list(find([path]))
    return len(files), lambda: deque(predictor.predict_stream(files), maxlen=0)


@cache
def decode(file: str, reduced: int) -> Task:
    """Decode a picture, at 1 / `reduced` of its size."""
    data = np.fromfile(file, np.uint8)
    flag = getattr(cv2, f"IMREAD_REDUCED_COLOR_{reduced}") if reduced > 1 else cv2.IMREAD_COLOR
    return 1, lambda: cv2.imdecode(data, flag)


@cache
def yunet(file: str) -> Task:
    """Search a decoded picture once with OpenCV's face detector."""
    picture = cv2.imread(file)
    (weights,) = (Path(agelens.__file__).parent / "weights").glob("face_detection_yunet*.onnx")
    detector = cv2.FaceDetectorYN.create(str(weights), "", picture.shape[1::-1])
    return 1, lambda: detector.detect(picture)


TASKS = {"chips": chips, "photo": photo, "folder": folder, "decode": decode, "yunet": yunet}


def timed(name: str, *arguments: Any) -> dict[str, float]:
    """Run a task, short ones repeatedly; return its seconds, and the most memory so far."""
    count, run = TASKS[name](*arguments)
    began, worked, runs = time.perf_counter(), time.process_time(), 0
    while not runs or time.perf_counter() - began < LEAST_SECONDS:
        run()
        runs += count
    seconds, cpu = time.perf_counter() - began, time.process_time() - worked
    status = Path("/proc/self/status").read_text()
    peak = int(status.partition("VmHWM:")[2].split()[0]) / 1024
    return {"seconds": seconds / runs, "cpu": cpu / runs, "peak_mb": peak}


def main() -> None:
    """Answer until the input ends."""
    cv2.setNumThreads(THREADS)
    for line in sys.stdin:
        print(json.dumps(timed(*json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
