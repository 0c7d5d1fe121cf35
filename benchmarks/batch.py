"""How fast is `agelens batch`, with one worker, with two, and on Ray, and does memory stay flat?

    python benchmarks/batch.py [--pictures 20000] [--engines local-1 local-2 ray-2] [--model NAME]

Makes pictures of 640 x 480 px in a temporary folder: the example portrait before a drawn scene, in
one of five twice, each scaled, mirrored, lit and compressed differently. Runs each engine in a
fresh process, reads the memory of its workers twice a second, and writes results/batch.json. One
worker can be given fewer pictures (`--single`): it takes the longest, and its rate is the same. Run
it on a machine that does nothing else.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

import record
from record import ROOT

PORTRAIT = ROOT / "examples/pictures/astronaut.jpg"
LIMIT_MB = 800
STEADY = 2000  # pictures from which on memory may grow by a tenth at most
ENGINES = ("local-1", "local-2", "ray-2")


def main() -> int:
    """Make the pictures, run the engines, print and write; 1 where a limit is not kept."""
    parser = record.parser(__doc__, pictures=20_000, model=None)
    parser.add_argument("--single", type=int, help="pictures for one worker (default: all)")
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    given = parser.parse_args()
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        photos = Path(folder, "photos")
        photos.mkdir()
        portraits = make_pictures(photos, given.pictures)
        size = sum(p.stat().st_size for p in photos.iterdir()) / given.pictures
        some = Path(folder, "some.txt")
        names = sorted(photos.iterdir())[: given.single or given.pictures]
        some.write_text("".join(f"{name}\n" for name in names), "utf-8")
        for engine in given.engines:
            source = some if engine.endswith("-1") else photos
            runs.append(measure(source, Path(folder, engine), engine, given.model))
            record.show(runs[-1])
    speed = {run["engine"]: run["pictures_per_second"] for run in runs}
    ratios, bars = {}, {}
    for name, above, below, least in (
        ("two_workers_over_one", "local-2", "local-1", 1.8),
        ("ray_over_local", "ray-2", "local-2", 0.9),
    ):
        both = above in speed and below in speed
        ratios[name] = round(speed[above] / speed[below], 3) if both else None
        bars[f"{name} at least {least}"] = not both or ratios[name] >= least
    for run in runs:
        engine, growth = run["engine"], run["growth_after_picture_2000"].values()
        bars[f"{engine}: under {LIMIT_MB} MB"] = run["peak_memory_mb"] < LIMIT_MB
        bars[f"{engine}: memory stays flat"] = max(growth, default=1) <= 1.1
        bars[f"{engine}: 80% of the work"] = run["share_of_detect_align_predict"] >= 0.8
    sizes = {"picture_bytes": round(size), "portraits": portraits, "limit_mb": LIMIT_MB}
    record.write(given, {**sizes, **ratios, "runs": runs})
    return record.report_missed(bars)


def make_pictures(folder: Path, count: int) -> int:
    """Write `count` different pictures and return how many portraits are in them."""
    random = np.random.default_rng(0)
    portrait = Image.open(PORTRAIT).convert("RGB").crop((80, 0, 368, 320))  # head and shoulders
    portraits = 0
    for number in range(count):
        paint = random.integers(0, 256, (6, 8, 3), np.uint8)
        picture = Image.fromarray(paint).resize((640, 480), Image.Resampling.BICUBIC)
        people = 2 if number % 5 == 0 else 1
        for place in range(people):
            one = portrait if random.integers(2) else ImageOps.mirror(portrait)
            high = int(random.integers(180, 401))
            one = one.resize((high * 288 // 320 * 3 // 4, high * 3 // 4))
            one = ImageEnhance.Brightness(one).enhance(random.uniform(0.7, 1.2))
            room = 640 // people - one.width
            left = place * 320 + int(random.integers(room + 1))
            picture.paste(one, (left, int(random.integers(481 - one.height))))
        picture.save(folder / f"{number:05}.jpg", quality=int(random.integers(75, 95)))
        portraits += people
    return portraits


def memory(driver: int) -> dict[int, float]:
    """Return the MB of each Python process at work: the driver, those below it, Ray's actors."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes()
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            pages = int((entry / "statm").read_text().split()[1])
        except (OSError, ValueError, IndexError):  # it has ended meanwhile
            continue
        below = parent == driver and b"spawn_main" in words
        if below or int(entry.name) == driver or b"ray::MapWorker" in words or b"_Worker" in words:
            found[int(entry.name)] = pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    return found


def measure(source: Path, output: Path, engine: str, model: str | None) -> dict[str, Any]:
    """Run one engine to its end and return its figures."""
    name, workers = engine.rsplit("-", 1)
    words = [sys.executable, "-m", "agelens", "batch", str(source), "--output", str(output)]
    words += ["--engine", name, "--workers", workers, *(["--model", model] if model else [])]
    peak, first = 0.0, None
    steady: dict[int, list[float]] = defaultdict(list)  # MB of each process after the first STEADY
    start = time.perf_counter()
    with subprocess.Popen(words, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as run:
        while run.poll() is None:
            time.sleep(0.5)
            done, used = status(output).get("pictures", 0), memory(run.pid)
            if done and first is None:
                first = round(time.perf_counter() - start, 1)
            peak = max(peak, *used.values(), 0)
            for process, megabytes in used.items():
                if done >= STEADY:
                    steady[process].append(megabytes)
    seconds = time.perf_counter() - start
    assert run.returncode == 0, f"{engine} ended with {run.returncode}"
    final = status(output)
    assert final["errors"] == 0, final
    pictures, stages = final["pictures"], final["seconds_by_stage"]
    model_seconds = sum(stages[stage] for stage in ("detect", "align", "predict"))
    size = sum(part.stat().st_size for part in (output / "parts").iterdir())
    return {
        "engine": engine, "pictures": pictures, "faces": final["faces"],
        "seconds": round(seconds, 1), "pictures_per_second": round(pictures / seconds, 2),
        "seconds_to_the_first_pictures": first, "seconds_by_stage": stages,
        "ms_per_picture_by_stage": {k: round(1000 * s / pictures, 2) for k, s in stages.items()},
        "share_of_detect_align_predict": round(model_seconds / sum(stages.values()), 3),
        "peak_memory_mb": round(peak),
        "growth_after_picture_2000": {
            str(process): round(max(used) / used[0], 3) for process, used in steady.items()
        },
        "answer_bytes_per_picture": round(size / pictures, 1),
    }  # fmt: skip


def status(output: Path) -> dict[str, Any]:
    """Read the run's status file; empty before there is one."""
    file = output / "status.json"
    return dict(json.loads(file.read_text("utf-8"))) if file.is_file() else {}


if __name__ == "__main__":
    sys.exit(main())
