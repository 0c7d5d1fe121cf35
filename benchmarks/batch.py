"""How fast is `agelens batch`, with one worker, with two, and on Ray, and does memory stay flat?

Makes the pictures in a temporary folder, 640 x 480 px: the example portrait before a drawn
background, in one of five twice, each scaled, mirrored, lit and compressed differently. Runs each
engine in a fresh process, reads the memory of its workers twice a second, and writes
results/batch.json: pictures per second, the time by stage, memory of each worker over the run,
bytes of the answers.

    python benchmarks/batch.py [--pictures 20000] [--engines local-1 local-2 ray-2] [--model NAME]

One worker can be given fewer of them (`--single`): it takes the longest, and its rate is the same.

To be run on a machine that does nothing else.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from agelens import provenance

ROOT = Path(__file__).resolve().parents[1]
PORTRAIT = ROOT / "examples/pictures/astronaut.jpg"

LIMIT_MB = 800
STEADY = 2000  # pictures from which on memory may grow by a tenth at most
ENGINES = ("local-1", "local-2", "ray-2")


def make_pictures(folder: Path, count: int) -> int:
    """Write `count` different pictures; give how many portraits are in them."""
    random = np.random.default_rng(0)
    portrait = Image.open(PORTRAIT).convert("RGB").crop((80, 0, 368, 320))  # head and shoulders
    portraits = 0
    for number in range(count):
        paint = random.integers(0, 256, (6, 8, 3), np.uint8)
        picture = Image.fromarray(paint).resize((640, 480), Image.Resampling.BICUBIC)
        there = 2 if number % 5 == 0 else 1
        for place in range(there):
            one = portrait if random.integers(2) else ImageOps.mirror(portrait)
            high = int(random.integers(180, 401))
            one = one.resize((high * 288 // 320 * 3 // 4, high * 3 // 4))
            one = ImageEnhance.Brightness(one).enhance(random.uniform(0.7, 1.2))
            room = 640 // there - one.width
            left = place * 320 + int(random.integers(room + 1))
            picture.paste(one, (left, int(random.integers(481 - one.height))))
        picture.save(folder / f"{number:05}.jpg", quality=int(random.integers(75, 95)))
        portraits += there
    return portraits


def memory(driver: int) -> dict[int, float]:
    """Give the MB of each Python process that does the work: below the driver, or Ray's actors."""
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
    """Run one engine to its end; give what was measured."""
    name, workers = engine.rsplit("-", 1)
    words = [sys.executable, "-m", "agelens", "batch", str(source), "--output", str(output)]
    words += ["--engine", name, "--workers", workers, *(["--model", model] if model else [])]
    marks: list[tuple[int, dict[int, float]]] = []
    first = None
    start = time.perf_counter()
    with subprocess.Popen(words, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as run:
        while run.poll() is None:
            time.sleep(0.5)
            done = status(output).get("pictures", 0)
            if done and first is None:
                first = time.perf_counter(), done
            marks.append((done, memory(run.pid)))
    end = time.perf_counter()
    assert run.returncode == 0, f"{engine} ended with {run.returncode}"
    said = status(output)
    assert said["errors"] == 0, said
    stages = said["seconds_by_stage"]
    work = sum(stages.values())
    model_share = sum(stages[stage] for stage in ("detect", "align", "predict")) / work
    parts = list((output / "parts").iterdir())
    steady = {}
    for process in {process for _, seen in marks for process in seen}:
        late = [seen[process] for done, seen in marks if done >= STEADY and process in seen]
        if late:
            steady[str(process)] = round(max(late) / late[0], 3)
    return {
        "engine": engine,
        "pictures": said["pictures"],
        "faces": said["faces"],
        "seconds": round(end - start, 1),
        "pictures_per_second": round(said["pictures"] / (end - start), 2),
        "seconds_to_the_first_pictures": None if first is None else round(first[0] - start, 1),
        "seconds_by_stage": stages,
        "ms_per_picture_by_stage": {
            stage: round(1000 * seconds / said["pictures"], 2) for stage, seconds in stages.items()
        },
        "share_of_detect_align_predict": round(model_share, 3),
        "peak_memory_mb": round(max(max(seen.values(), default=0) for _, seen in marks)),
        "growth_after_picture_2000": steady,
        "answer_bytes_per_picture": round(
            sum(p.stat().st_size for p in parts) / said["pictures"], 1
        ),
    }


def status(output: Path) -> dict[str, Any]:
    """Read the run's status file; empty before there is one."""
    try:
        said: dict[str, Any] = json.loads((output / "status.json").read_text("utf-8"))
    except FileNotFoundError:
        return {}
    return said


def main() -> int:
    """Make the photos, run the engines, print and write; 1 where a limit is not kept."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=20_000)
    parser.add_argument("--single", type=int, help="pictures for one worker (default: all)")
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--model", default=None)
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks/results/batch.json")
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
            print(json.dumps(runs[-1], indent=2))
    speed = {run["engine"]: run["pictures_per_second"] for run in runs}
    record = {
        "question": "throughput, time by stage and memory of agelens batch",
        "command": provenance.command(["python", "benchmarks/batch.py", *sys.argv[1:]]),
        "date": provenance.now(),
        "machine": provenance.machine(),
        "versions": provenance.versions(),
        "picture_bytes": round(size),
        "portraits": portraits,
        "limit_mb": LIMIT_MB,
        "two_workers_over_one": _ratio(speed, "local-2", "local-1"),
        "ray_over_local": _ratio(speed, "ray-2", "local-2"),
        "runs": runs,
    }
    given.output.parent.mkdir(parents=True, exist_ok=True)
    aside = given.output.with_suffix(".part")
    aside.write_text(json.dumps(record, indent=2) + "\n")
    aside.replace(given.output)
    return check(record)


def _ratio(speed: dict[str, float], above: str, below: str) -> float | None:
    if above in speed and below in speed:
        return round(speed[above] / speed[below], 3)
    return None


def check(record: dict[str, Any]) -> int:
    """Say which limits are not kept."""
    wrong = []
    for name, least in (("two_workers_over_one", 1.8), ("ray_over_local", 0.9)):
        if record[name] is not None and record[name] < least:
            wrong.append(f"{name} is {record[name]}: expected at least {least}")
    for run in record["runs"]:
        if run["peak_memory_mb"] >= LIMIT_MB:
            wrong.append(f"{run['engine']} takes {run['peak_memory_mb']} MB: over {LIMIT_MB}")
        if max(run["growth_after_picture_2000"].values(), default=1) > 1.1:
            wrong.append(f"memory of {run['engine']} grows: {run['growth_after_picture_2000']}")
        if run["share_of_detect_align_predict"] < 0.8:
            wrong.append(f"{run['engine']}: {run['share_of_detect_align_predict']:.0%} of the work")
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
