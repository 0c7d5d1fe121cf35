"""Does a folder of 1,000 photos of 640 px stay under 600 MB, and how fast does it go?

    python benchmarks/predict_folder.py [--pictures 1000] [--model NAME]

Makes the photos in a temporary folder from the example collage (each turned, scaled and cut
differently), predicts them in a fresh process for one thread and for two, prints faces per second
and the peak memory, and writes results/predict_folder.json.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import record

LIMIT_MB = 600


def main() -> int:
    """Make the photos, measure both, print and write; 1 where the limit is not kept."""
    parser = record.parser(__doc__, pictures=1000, model=None)
    parser.add_argument("--measure", nargs=2, metavar=("FOLDER", "THREADS"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        predict(given.measure[0], int(given.measure[1]), given.model)
        return 0
    from service import make_photos  # not above: the measured process loads only what it needs

    with tempfile.TemporaryDirectory() as folder:
        make_photos(Path(folder), given.pictures)
        runs = [in_new_process(Path(folder), threads, given.model) for threads in (1, 2)]
    record.show(record.write(given, {"limit_mb": LIMIT_MB, "runs": runs}))
    return int(any(run["peak_rss_mb"] >= LIMIT_MB for run in runs))


def in_new_process(folder: Path, threads: int, model: str | None) -> dict[str, Any]:
    """Predict a folder in a process of its own and return its figures."""
    words = [sys.executable, __file__, "--measure", str(folder), str(threads)]
    words += ["--model", model] if model else []
    limits = {"OMP_NUM_THREADS": str(threads)}
    return dict(json.loads(subprocess.check_output(words, env=os.environ | limits)))


def predict(folder: str, threads: int, model: str | None) -> None:
    """Predict a folder in this process and print the figures as JSON."""
    import agelens
    from agelens.images.sources import find

    predictor = agelens.load(model, threads)
    start, faces, pictures, marks = time.perf_counter(), 0, 0, []
    for answer in predictor.predict_stream(find([folder])):
        assert answer.error is None, answer
        faces += len(answer.predictions)
        pictures += 1
        if pictures % 100 == 0:
            marks.append(round(time.perf_counter() - start, 2))
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # kB on Linux
    figures = {
        "threads": threads, "pictures": pictures, "faces": faces, "seconds": round(seconds, 2),
        "faces_per_second": round(faces / seconds, 1),
        "pictures_per_second": round(pictures / seconds, 1),
        "peak_rss_mb": round(peak), "seconds_at_every_100_pictures": marks,
        "model": predictor.card.get("name"),
    }  # fmt: skip
    print(json.dumps(figures))


if __name__ == "__main__":
    sys.exit(main())
