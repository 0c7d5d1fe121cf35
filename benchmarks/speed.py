"""How fast is agelens, against OpenCV's detector, other packages and an older version of itself?

    python benchmarks/speed.py [--compare CHECKOUT/src] [--only PART ...] [--rounds 9]

What is compared is run in turn, so that other work on the machine delays all of it alike. Ratios
are taken of each round, in wall and in processor time; given are medians and quartiles. Times are
those of one face, picture or answer. --compare measures the source of another checkout too. Parts:
chip (the network alone, of --models), photo (640 px, one face), group (the example), portrait (up
to 48 megapixels), start (a process), folder (of --pictures), service (with locust), peers (those
installed, see peers/README.md), install (a fresh environment). Writes results/speed.json.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from argparse import Namespace
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

import record
from agelens.provenance import available_cores
from batch import PORTRAIT, make_pictures
from service import GROUP, run_locust, serving

WORKER = Path(__file__).with_name("speed_worker.py")
MODELS = ("fast", "default")
SIZES = {"640 px": 640, "12 megapixels": 3464, "48 megapixels": 6928}  # of square portraits
REDUCED = {"12 megapixels": 2, "48 megapixels": 4}  # while decoding, to 1,732 px
BARS = (  # the most that a ratio of a part may be
    ("photo", "fast / yunet", 0.9), ("photo", "default / yunet", 2.0),
    ("group", "fast / before", 0.45), ("group", "default / before", 0.45),
    ("portrait", "12 megapixels less decoding / 640 px", 1.5),
    ("start", "agelens predict / imports", 2.2), ("folder", "1 thread / before", 1 / 3),
    ("folder", "2 threads / before", 1 / 3), ("service", "32 clients / before", 1 / 2.5),
)  # fmt: skip
PARTS = ("chip", "photo", "group", "portrait", "start", "folder", "service", "peers", "install")
Call = tuple[Any, ...]  # a method of Side and its arguments
Sample = dict[str, float]  # wall seconds, "cpu" seconds, and what else was measured


class Part(NamedTuple):
    """What is measured on each side, what only once beside it, and the ratios between these."""

    works: dict[str, Call]
    references: Mapping[str, Call] = {}
    ratios: tuple[tuple[str, ...], ...] = ()  # numerator, denominator, what the first is less


def parts(given: Namespace, folder: Path) -> dict[str, Part]:
    """Make the pictures and return what is compared."""
    files = {name: str(folder / f"{name}.jpg") for name in SIZES}
    portrait = Image.open(PORTRAIT).convert("RGB")
    for name, side in SIZES.items():
        portrait.resize((side, side), Image.Resampling.LANCZOS).save(files[name], quality=90)
    (folder / "photos").mkdir()
    make_pictures(folder / "photos", 0 if given.photos else given.pictures)
    one, photos = files["640 px"], str(given.photos or folder / "photos")
    words = ("-m", "agelens", "predict", one, "--quiet", "--format", "json")
    decoding = {
        f"decoding {name} at 1/{n}": ("ask", 1, "decode", files[name], n)
        for name, reduced in REDUCED.items() for n in (1, reduced)
    }  # fmt: skip
    return {
        "chip": Part({f"{model}, batch {n}": ("ask", 1, "chips", model, n)
                      for model in given.models for n in (1, 32)}),
        "photo": Part(
            {model: ("ask", 1, "photo", model, one) for model in MODELS},
            {"yunet": ("ask", 1, "yunet", one), "decoding": ("ask", 1, "decode", one, 1)},
            tuple((model, "yunet") for model in MODELS),
        ),
        "group": Part({model: ("ask", 1, "photo", model, str(GROUP)) for model in MODELS}),
        "portrait": Part(
            {name: ("ask", 1, "photo", None, file) for name, file in files.items()}
            | {f"{name}, alone": ("fresh", "photo", None, file) for name, file in files.items()},
            decoding,
            tuple((name, "640 px", f"decoding {name} at 1/{n}") for name, n in REDUCED.items()),
        ),
        "start": Part(
            {"agelens predict": ("run", *words), "import agelens": ("run", "-c", "import agelens")},
            {"imports": ("run", "-c", "import numpy, cv2, onnxruntime")},
            (("agelens predict", "imports"),),
        ),
        "folder": Part({f"{n} thread{'s' * (n > 1)}": ("ask", n, "folder", None, photos)
                        for n in (1, 2)}),
        "service": Part({f"{n} client{'s' * (n > 1)}": ("serve", Path(photos), n)
                         for n in (1, 8, 32)}),
    }  # fmt: skip


class Side:
    """A source folder that is measured: its workers, by the number of threads, and its service."""

    def __init__(self, source: Path, given: Namespace, stack: ExitStack) -> None:
        self._source, self._given, self._stack = source, given, stack
        self._started: dict[Any, Any] = {}

    def _env(self, threads: int = 1) -> dict[str, str]:
        settings = {"OMP_NUM_THREADS": str(threads), "PYTHONDONTWRITEBYTECODE": ""}
        return os.environ | settings | {"PYTHONPATH": str(self._source)}

    def _worker(self, threads: int) -> "subprocess.Popen[str]":
        words, pipe = [sys.executable, WORKER, str(threads)], subprocess.PIPE
        return subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True, env=self._env(threads))

    def ask(self, threads: int, *task: Any) -> Sample:
        """Let the worker with so many threads run a task of speed_worker.py."""
        if threads not in self._started:
            self._started[threads] = self._stack.enter_context(self._worker(threads))
        return ask(self._started[threads], *task)

    def fresh(self, *task: Any) -> Sample:
        """Run a task in a process of its own, for its memory."""
        with self._worker(1) as process:
            return ask(process, *task)

    def run(self, *words: str) -> Sample:
        """Run a Python process to its end."""
        before, began = os.times(), time.perf_counter()
        words = (sys.executable, *words)
        subprocess.run(words, check=True, capture_output=True, env=self._env())
        seconds, after = time.perf_counter() - began, os.times()
        return {"seconds": seconds, "cpu": sum(after[2:4]) - sum(before[2:4])}

    def serve(self, photos: Path, clients: int) -> Sample:
        """Load the service with some clients for a few seconds."""
        if "service" not in self._started:
            folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
            running = serving(None, folder, "--no-page", env=self._env(available_cores()))
            self._started["service"] = self._stack.enter_context(running), folder / "records"
        service, records = self._started["service"]
        program, seconds = self._given.locust, self._given.seconds
        before = processor_seconds(service.process.pid)
        load = run_locust(program, service.url, records, photos, clients, seconds)
        used = processor_seconds(service.process.pid) - before
        if not (answered := load["statuses"].get("200", 0)):
            sys.exit(f"no answer within {seconds:g} s: raise --seconds")
        each = {"seconds": 1 / load["answered_per_second"], "cpu": used / answered}
        refused = load["statuses"].get("429", 0) / load["requests"]
        return each | {"p99_ms": load["accepted_ms"]["p99"], "refused": refused}


def ask(process: "subprocess.Popen[str]", *task: Any) -> Sample:
    """Send a task to a worker and wait for its figures."""
    print(json.dumps(task), file=process.stdin, flush=True)
    if not (line := process.stdout.readline()):
        sys.exit(f"the worker failed at {task}")
    return dict(json.loads(line))


def processor_seconds(pid: int) -> float:
    """Return the processor time of a running process."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def main() -> int:
    """Measure, print and write; 1 where a bar is not met."""
    parser = record.parser(__doc__, rounds=9, pictures=300, seconds=5.0, locust="locust")
    parser.add_argument("--compare", type=Path, help="the src folder of another checkout")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--models", nargs="+", default=MODELS, help="of the chip part")
    parser.add_argument("--photos", type=Path, help="a folder, in place of drawn ones")
    given = parser.parse_args()
    if "service" in given.only and not shutil.which(given.locust):
        sys.exit(f"no program {given.locust!r}: give --locust, or --only without service")
    busy, figures = os.getloadavg()[0], {}
    sources = {"now": record.ROOT / "src"}
    sources |= {"before": given.compare.resolve()} if given.compare else {}
    with tempfile.TemporaryDirectory() as folder:
        for name, part in parts(given, Path(folder)).items():
            if name not in given.only:
                continue
            with ExitStack() as stack:
                sides = {side: Side(path, given, stack) for side, path in sources.items()}
                figures[name] = measure(part, sides, given.rounds)
            record.show({name: figures[name]["ratios"]})
    bars = {
        f"{name}: {ratio} at most {most:.2f}": found["wall"]["median"] <= most
        for name, ratio, most in BARS
        if (found := figures.get(name, {}).get("ratios", {}).get(ratio))
    }
    if "peers" in given.only:
        sys.path.append(str(record.ROOT / "benchmarks" / "peers"))
        import runner

        chip = Image.open(PORTRAIT).convert("RGB").resize((200, 200), box=(128, 0, 368, 240))
        times = runner.installed_times(MODELS, np.asarray(chip), given.rounds)
        figures["peers"] = {name: {part: spread(np.array(ms), 2) for part, ms in own.items()}
                            for name, own in times.items()}  # fmt: skip
    if "install" in given.only:
        figures["install"] = install()
    about = {
        "load_average_before": round(busy, 2), "rounds": given.rounds, "pictures": given.pictures,
        "sources": {side: record.commit(path) for side, path in sources.items()},
    }  # fmt: skip
    record.write(given, {**about, "parts": figures, "bars": bars})
    return record.report_missed(bars)


def measure(part: Part, sides: dict[str, Side], rounds: int) -> dict[str, Any]:
    """Run all of a part in turn, round after round; the first one warms up."""
    now = next(iter(sides))
    calls = {(now, name): call for name, call in part.references.items()}
    calls |= {(side, name): call for name, call in part.works.items() for side in sides}
    found: dict[tuple[str, str], list[Sample]] = {key: [] for key in calls}
    for _ in range(rounds + 1):
        for (side, name), (method, *arguments) in calls.items():
            found[side, name].append(getattr(sides[side], method)(*arguments))
    values = {
        key: {figure: np.array([sample[figure] for sample in samples[1:]]) for figure in samples[0]}
        for key, samples in found.items()
    }
    pairs = {f"{above}{' less decoding' * len(less)} / {below}": ((now, above), (now, below), *less)
             for above, below, *less in part.ratios}  # fmt: skip
    pairs |= {f"{name} / {side}": ((now, name), (side, name))
              for name in part.works for side in sides if side != now}  # fmt: skip
    ratios: dict[str, Any] = {}
    for title, (above, below, *less) in pairs.items():
        for kind, figure in (("wall", "seconds"), ("processor", "cpu")):
            without = sum(values[now, name][figure] for name in less)
            quotient = (values[above][figure] - without) / values[below][figure]
            ratios.setdefault(title, {})[kind] = spread(quotient, 3)
    times: dict[str, Any] = {side: {} for side in sides}
    for (side, name), own in values.items():
        ms, cpu = (spread(1000 * own.pop(figure), 2) for figure in ("seconds", "cpu"))
        more = {figure: round(float(np.median(each)), 3) for figure, each in own.items()}
        times[side][name] = {"ms": ms, "processor_ms": cpu, **more}
    return {**times, "ratios": ratios}


def spread(values: np.ndarray, digits: int) -> dict[str, float]:
    """Return the median and the quartiles."""
    levels = {"median": 50, "low": 25, "high": 75}
    return {name: round(float(np.percentile(values, q)), digits) for name, q in levels.items()}


def install() -> dict[str, float]:
    """Install the base package into a fresh environment; give its size, 10^6 bytes, and seconds."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        venv.create(folder, with_pip=True)
        pip = [Path(folder, "bin", "python"), "-m", "pip", "install", "--quiet", record.ROOT]
        subprocess.run(pip, check=True)
        seconds = round(time.monotonic() - began, 1)
        files = [file.lstat() for file in Path(folder).rglob("*") if not file.is_dir()]
        return {"megabytes": round(sum(file.st_size for file in files) / 1e6), "seconds": seconds}


if __name__ == "__main__":
    sys.exit(main())
