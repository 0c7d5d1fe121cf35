"""How long does a model take for a face? Aligned chips in, answers out; one thread.

    python benchmarks/inference_speed.py [MODEL...]

Each model is timed at batch 1 and batch 32, in turn with the others, and the medians are
written to results/inference_speed.json. Without names: all shipped models.
"""

from functools import partial

import numpy as np

import record
from agelens.inference.runtime import CHIP, Model, shipped

ROUNDS = 7
FACES = 64  # timed in each round, at each batch size


def main() -> None:
    """Measure, print and write."""
    parser = record.parser(__doc__)
    parser.add_argument("models", nargs="*", default=sorted(shipped()))
    given = parser.parse_args()
    models = {name: Model(name, threads=1) for name in given.models}
    chips = np.random.default_rng(0).integers(0, 256, (32, CHIP, CHIP, 3), np.uint8)

    def run(model: Model, batch: int, _: int) -> None:
        for _ in range(FACES // batch):
            model.run(chips[:batch])

    works = {(n, batch): partial(run, m, batch) for n, m in models.items() for batch in (1, 32)}
    seconds = record.interleaved_seconds(works, ROUNDS)
    ms = {key: 1000 * value / FACES for key, value in seconds.items()}
    rows = [{
        "model": name, "megabytes": round(model.path.stat().st_size / 1e6, 1),
        "ms_per_face_batch_1": round(ms[name, 1], 2),
        "ms_per_face_batch_32": round(ms[name, 32], 2),
        "faces_per_second_batch_32": round(1000 / ms[name, 32], 1),
    } for name, model in models.items()]  # fmt: skip
    record.write(given, {"rounds": ROUNDS, "models": rows}, threads=1)
    record.show(rows)


if __name__ == "__main__":
    main()
