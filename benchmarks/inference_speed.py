"""How long does a model take for a face? Aligned chips in, answers out; one thread.

    python benchmarks/inference_speed.py [MODEL...]

Each model is timed at batch 1 and batch 32, in turn with the others, and the medians are
written to results/inference_speed.json. Without names: all shipped models.
"""

import json
import statistics
import sys
import time
from pathlib import Path

import numpy as np

from agelens import provenance
from agelens.inference.runtime import CHIP, Model, shipped

RESULT = Path(__file__).parent / "results" / "inference_speed.json"
ROUNDS = 7
FACES = 64  # timed in each round, at each batch size


def main() -> None:
    """Measure, print and write."""
    names = sys.argv[1:] or sorted(shipped())
    models = {name: Model(name, threads=1) for name in names}
    chips = np.random.default_rng(0).integers(0, 256, (32, CHIP, CHIP, 3), np.uint8)
    times: dict[tuple[str, int], list[float]] = {}
    for _ in range(ROUNDS + 1):  # the first round warms up
        for name, model in models.items():
            for batch in (1, 32):
                began = time.perf_counter()
                for _ in range(FACES // batch):
                    model.run(chips[:batch])
                seconds = time.perf_counter() - began
                times.setdefault((name, batch), []).append(1000 * seconds / FACES)
    rows = [
        {
            "model": name,
            "megabytes": round(model.path.stat().st_size / 1e6, 1),
            "ms_per_face_batch_1": round(statistics.median(times[name, 1][1:]), 2),
            "ms_per_face_batch_32": round(statistics.median(times[name, 32][1:]), 2),
            "faces_per_second_batch_32": round(1000 / statistics.median(times[name, 32][1:]), 1),
        }
        for name, model in models.items()
    ]
    result = {
        "command": " ".join(["python benchmarks/inference_speed.py", *sys.argv[1:]]),
        "date": provenance.now(),
        "machine": provenance.machine(threads=1),
        "versions": provenance.versions(),
        "rounds": ROUNDS,
        "models": rows,
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    print(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
