"""How does `agelens serve` stand up to many clients? One real load generator, on loopback.

Four parts in one run: the rate of the same photos (640 px, made from the example collage) in
process, before and after the others; 32 clients that each ask again as soon as they have an answer;
twice the rate that was reached, offered whether or not it is answered; and many requests while the
memory is watched, most of them small pictures, since those are soon answered. Writes
results/service.json.

    pip install locust       # best in an environment of its own: it is no part of agelens
    python benchmarks/service.py [--locust PROGRAM] [--seconds 60] [--requests 10000]

In process and as a service the library has the same cores; the clients take theirs from the
service, so the comparison is rather hard on it.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import record
from agelens import provenance
from agelens.provenance import available_cores

GROUP = record.ROOT / "examples/pictures/group.jpg"
LOCUSTFILE = str(Path(__file__).with_name("locustfile.py"))
CLIENTS = 32
LEAST_SHARE = 0.85  # of the rate in process
LONGEST = 2000.0  # milliseconds, of the accepted, at twice the load
GROWTH = 1.10  # of the memory over the last part
LONGEST_COUNT = 420  # seconds after which the many requests are given up
SMALL = 39  # small pictures for each photo, in the last part


def main() -> int:
    """Measure, print and write; 1 where a bar is not met."""
    given = record.parser(
        __doc__, locust="locust", seconds=60.0, requests=10_000, pictures=200, model=None
    ).parse_args()
    if shutil.which(given.locust) is None:
        sys.exit(f"no program {given.locust!r}: run  pip install locust, or give --locust")
    version = subprocess.check_output([given.locust, "--version"], text=True).split()[1]
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(given, Path(folder))
    versions = provenance.versions() | {"locust": version}
    record.show(record.write(given, {"versions": versions, **figures}))
    return record.report_missed(figures["bars"])


def measure(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Measure in process, under load, under twice the load, the memory, and in process again."""
    photos, mixed = folder / "photos", folder / "mixed"
    photos.mkdir()
    make_photos(photos, given.pictures)
    make_mixed(mixed, photos)
    busy = os.getloadavg()[0]  # before we start: other work on the machine spoils all of it
    before = in_process(photos, given.model)
    with serving(given.model, folder, "--no-page") as service, watching(service) as memory:
        load = partial(run_locust, given.locust, service.url, folder / "records")
        load(photos, CLIENTS, 5)  # first requests take longer than others
        full = load(photos, CLIENTS, given.seconds)
        if not full["answered_per_second"]:
            sys.exit(f"no answer within {given.seconds:g} s: {full['statuses']}; raise --seconds")
        offered = 2 * full["answered_per_second"]
        # Enough clients that some are always free to ask.
        over = load(photos, round(max(64, 6 * offered)), given.seconds, offered=offered)
        memory.clear()
        many = load(mixed, CLIENTS, LONGEST_COUNT, requests=given.requests)
        grown = list(memory)
    after = in_process(photos, given.model)
    rate = (before + after) / 2
    tenth = max(1, len(grown) // 10)
    first, last = statistics.median(grown[:tenth]), statistics.median(grown[-tenth:])
    share = full["answered_per_second"] / rate
    answered = many["statuses"].get("200", 0)
    statuses = {status for load in (full, over, many) for status in load["statuses"]}
    return {
        "load_average_before": round(busy, 2), "cores": available_cores(),
        "photos": {"count": given.pictures, "long_side": 640},
        "in_process": {"before": before, "after": after, "pictures_per_second": round(rate, 2)},
        "clients": full,
        "share_of_in_process": round(share, 3),
        "twice_the_load": over | {"offered_per_second": round(offered, 2)},
        "many_requests": many | {"small_pictures_for_each_photo": SMALL},
        "memory_mb": {name: round(value, 1) for name, value in (
            ("first_tenth", first), ("last_tenth", last), ("most", max(grown)),
        )},
        "bars": {
            "no error but 429": statuses <= {"200", "429"},
            f"throughput at least {LEAST_SHARE:.0%} of in process": share >= LEAST_SHARE,
            f"p99 of the accepted at twice the load under {LONGEST / 1000:g} s": (
                over["accepted_ms"].get("p99", LONGEST) < LONGEST
            ),
            f"memory within {GROWTH - 1:.0%} over {answered:,} requests that were answered": (
                answered >= given.requests and last < GROWTH * first
            ),
        },
    }  # fmt: skip


def make_photos(folder: Path, count: int) -> None:
    """Write `count` different photos, 640 x 427 px JPEG, one to nine faces each."""
    random = np.random.default_rng(0)
    collage = Image.open(GROUP).convert("RGB")
    for number in range(count):
        share = random.uniform(0.5, 1.0)
        wide, high = collage.width * share, collage.height * share
        left = random.uniform(0, collage.width - wide)
        top = random.uniform(0, collage.height - high)
        box = left, top, left + wide, top + high
        photo = collage.resize((640, 427), Image.Resampling.BILINEAR, box)
        photo.save(folder / f"{number:05}.jpg", quality=int(random.integers(75, 95)))


def make_mixed(folder: Path, photos: Path) -> None:
    """Write one of the photos for every SMALL pictures of 64 to 160 px with few faces or none."""
    folder.mkdir()
    random = np.random.default_rng(1)
    collage = Image.open(GROUP).convert("RGB")
    for group, photo in enumerate(sorted(photos.iterdir())[:10]):
        for number in range(SMALL):
            wide, high = random.integers(64, 161, 2).tolist()
            left = int(random.integers(0, collage.width - wide))
            top = int(random.integers(0, collage.height - high))
            small = collage.crop((left, top, left + wide, top + high))
            small.save(folder / f"{group:02}-{number:02}.jpg", quality=85)
        shutil.copy(photo, folder / f"{group:02}-photo.jpg")


def run_locust(
    program: str, url: str, records: Path, photos: Path, clients: int, seconds: float,
    *, offered: float = 0, requests: int = 0,
) -> dict[str, Any]:  # fmt: skip
    """Load the service for some seconds, and return what locust kept.

    With `offered` at so many requests per second in all, with `requests` until so many were
    answered.
    """
    settings = {"PHOTOS": str(photos), "RECORDS": str(records), "REQUESTS": str(requests)}
    settings |= {"PACE": str(offered / clients)} if offered else {}
    words = [
        program, "--headless", "--locustfile", LOCUSTFILE, "--host", url, "--users", str(clients),
        "--spawn-rate", str(offered or clients),  # offered evenly, not all at once
        "--run-time", f"{max(1, round(seconds))}s", "--stop-timeout", "60",
        "--only-summary", "--loglevel", "ERROR",
    ]  # fmt: skip
    done = subprocess.run(words, env=os.environ | settings, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"locust ended with {done.returncode}: {done.stderr[-2000:]}")
    ends, took, statuses = np.loadtxt(records, ndmin=2).T
    first = (ends - took / 1000).min()
    seconds = ends.max() - first if requests else seconds
    within, accepted = ends <= first + seconds, statuses == 200
    return {
        "clients": clients, "seconds": round(float(seconds), 1), "requests": len(ends),
        "statuses": dict(Counter(str(int(status)) for status in statuses)),
        "answered_per_second": round(float((within & accepted).sum() / seconds), 2),
        "accepted_ms": percentiles(took[accepted]),
        "refused_ms": percentiles(took[statuses == 429]),
    }  # fmt: skip


def percentiles(took: np.ndarray) -> dict[str, float]:
    """Return the median and high percentiles of some times; none where there are none."""
    levels = (50, 90, 99, 100) if len(took) else ()
    return {f"p{q}": round(float(np.percentile(took, q)), 1) for q in levels}


def in_process(photos: Path, model: str | None) -> float:
    """Return the pictures per second of the library, on all cores, in a process of its own."""
    words = [sys.executable, Path(__file__).with_name("speed_worker.py"), str(available_cores())]
    task = json.dumps(["folder", model, str(photos)])
    done = subprocess.run(words, input=task, stdout=subprocess.PIPE, text=True, check=True)
    return round(1 / json.loads(done.stdout)["seconds"], 2)


@dataclass(frozen=True)
class Running:
    """A service in a process of its own."""

    url: str
    process: "subprocess.Popen[bytes]"
    log: Path


@contextmanager
def serving(
    model: str | None, folder: Path, *more: str, env: Mapping[str, str] = os.environ
) -> Iterator[Running]:
    """Start the service as a user would, on a free port; its log goes to the folder."""
    words = [sys.executable, "-m", "agelens", "serve", "--port", "0", *more]
    words += ["--model", model] if model else []
    log = folder / "log"
    with log.open("w") as stream:
        process = subprocess.Popen(words, stderr=stream, env={**env, "COLUMNS": "200"})
    try:
        while "ready: model" not in log.read_text():
            if process.poll() is not None:
                sys.exit(log.read_text())
            time.sleep(0.1)
        found = re.search(r"agelens on (http://\S+?)/?\s", log.read_text())
        assert found is not None
        yield Running(found[1], process, log)
    finally:
        process.terminate()
        process.wait(120)


@contextmanager
def watching(service: Running) -> Iterator[list[float]]:
    """Return the memory of the service in MB, each second a value more."""
    memory: list[float] = []
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(1):
            memory.append(resident(service.process.pid))

    with ThreadPoolExecutor(1) as pool:
        pool.submit(watch)
        try:
            yield memory
        finally:
            ended.set()


def resident(pid: int) -> float:
    """Return the resident memory of a process in MB."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


if __name__ == "__main__":
    sys.exit(main())
