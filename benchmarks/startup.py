"""How soon does a newcomer see an answer, and how much disk does it take?

Makes a fresh virtual environment, installs the base package, and measures its size, the
import, and `agelens predict` as a whole process. Writes results/startup.json.

    python benchmarks/startup.py
"""

import re
import statistics
import subprocess
import tempfile
import time
import venv
from collections.abc import Callable
from functools import partial
from pathlib import Path

import record
from record import ROOT

RUNS = 7


def main() -> None:
    """Measure, print and write."""
    given = record.parser(__doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        venv.create(folder, with_pip=True)
        empty = megabytes(Path(folder))
        programs = Path(folder) / "bin"
        pip = [programs / "python", "-m", "pip", "install", "--quiet", ROOT]
        subprocess.run(pip, check=True)
        installed = time.monotonic() - began
        photo = ROOT / "examples" / "pictures" / "astronaut.jpg"
        predict = [programs / "agelens", "predict", photo, "--format", "json"]
        seconds_of(predict)  # compiles the modules
        figures = {
            "runs": RUNS, "environment_megabytes": round(megabytes(Path(folder))),
            "of_it_empty_environment": round(empty), "install_seconds": round(installed, 1),
            "import_seconds": median(partial(import_seconds, programs / "python")),
            "predict_one_photo_seconds": median(partial(seconds_of, predict)),
        }  # fmt: skip
    record.show(record.write(given, figures))


def megabytes(folder: Path) -> float:
    """Add up the sizes of a folder's files, in MB of 10^6 bytes."""
    return sum(f.lstat().st_size for f in folder.rglob("*") if not f.is_dir()) / 1e6


def import_seconds(python: Path) -> float:
    """Read the cumulative time of `import agelens` off -X importtime."""
    words = [python, "-X", "importtime", "-c", "import agelens"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return int(re.findall(r"\|\s+(\d+) \| agelens$", done.stderr, re.M)[-1]) / 1e6


def seconds_of(command: list[str | Path]) -> float:
    """Run a command and return its wall time in seconds."""
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


def median(measure: Callable[[], float]) -> float:
    """Return the median of several runs, in seconds."""
    return round(statistics.median(measure() for _ in range(RUNS)), 4)


if __name__ == "__main__":
    main()
