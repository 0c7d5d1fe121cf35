"""Does a folder of 1,000 photos of 640 px stay under 600 MB, and how fast does it go?

Makes the photos in a temporary folder from the example collage (each turned, scaled and
cut differently), predicts them in a fresh process for one thread and for two, prints
faces per second and the peak memory, and writes results/predict_folder.json.

    python benchmarks/predict_folder.py [--pictures 1000] [--model NAME] [--output FILE]
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COLLAGE = ROOT / "examples/pictures/group.jpg"
LIMIT_MB = 600


def make_photos(folder: Path, count: int) -> None:
    """Write `count` different photos, 640 x 427 px JPEG, one to nine faces each."""
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(0)
    collage = Image.open(COLLAGE).convert("RGB")
    for number in range(count):
        share = random.uniform(0.5, 1.0)
        wide, high = collage.width * share, collage.height * share
        left = random.uniform(0, collage.width - wide)
        top = random.uniform(0, collage.height - high)
        photo = collage.resize(
            (640, 427), Image.Resampling.BILINEAR, (left, top, left + wide, top + high)
        )
        photo.save(folder / f"{number:05}.jpg", quality=int(random.integers(75, 95)))


def measure(folder: str, threads: int, model: str | None) -> None:
    """Predict the folder in this process and print the figures as JSON."""
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
        "threads": threads,
        "pictures": pictures,
        "faces": faces,
        "seconds": round(seconds, 2),
        "faces_per_second": round(faces / seconds, 1),
        "pictures_per_second": round(pictures / seconds, 1),
        "peak_rss_mb": round(peak),
        "seconds_at_every_100_pictures": marks,
        "model": predictor.card.get("name"),
    }
    print(json.dumps(figures))


def main() -> int:
    """Make the photos, measure both, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--model", default=None)
    parser.add_argument(
        "--output", type=Path, default=ROOT / "benchmarks/results/predict_folder.json"
    )
    parser.add_argument("--measure", nargs=2, metavar=("FOLDER", "THREADS"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        measure(given.measure[0], int(given.measure[1]), given.model)
        return 0
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        make_photos(Path(folder), given.pictures)
        for threads in (1, 2):
            command = [sys.executable, __file__, "--measure", folder, str(threads)]
            command += ["--model", given.model] if given.model else []
            limits = {"OMP_NUM_THREADS": str(threads)}
            done = subprocess.run(
                command, stdout=subprocess.PIPE, check=True, env=os.environ | limits
            )
            runs.append(json.loads(done.stdout))
            print(
                f"{threads} thread(s): {runs[-1]['faces_per_second']} faces/s, "
                f"{runs[-1]['pictures_per_second']} pictures/s, "
                f"peak {runs[-1]['peak_rss_mb']} MB"
            )
    packages = ("numpy", "onnxruntime", "opencv-python-headless", "pillow")
    record = {
        "question": "memory and rate for a folder of 640 px photos",
        "command": "python benchmarks/predict_folder.py " + " ".join(sys.argv[1:]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"cpu": cpu(), "cores": os.cpu_count(), "system": platform.system()},
        "versions": {"python": platform.python_version()} | {p: version(p) for p in packages},
        "limit_mb": LIMIT_MB,
        "runs": runs,
    }
    given.output.parent.mkdir(parents=True, exist_ok=True)
    aside = given.output.with_suffix(".part")
    aside.write_text(json.dumps(record, indent=2) + "\n")
    aside.replace(given.output)
    over = [run for run in runs if run["peak_rss_mb"] >= LIMIT_MB]
    if over:
        print(f"over the limit of {LIMIT_MB} MB", file=sys.stderr)
    return 1 if over else 0


def cpu() -> str:
    """Name the processor as the system does."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


if __name__ == "__main__":
    sys.exit(main())
