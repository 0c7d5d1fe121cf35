"""How soon does a newcomer see an answer, and how much disk does it take?

Makes a fresh virtual environment, installs the base package, and measures its size, the
import, and `agelens predict` as a whole process. Writes results/startup.json.

    python benchmarks/startup.py
"""

import json
import re
import statistics
import subprocess
import tempfile
import time
import venv
from pathlib import Path

from agelens import provenance

ROOT = Path(__file__).parents[1]
RESULT = Path(__file__).parent / "results" / "startup.json"
RUNS = 7


def main() -> None:
    """Measure, print and write."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        venv.create(folder, with_pip=True)
        empty = megabytes(Path(folder))
        python = Path(folder) / "bin" / "python"
        subprocess.run([python, "-m", "pip", "install", "--quiet", str(ROOT)], check=True)
        installed = time.monotonic() - began
        agelens = Path(folder) / "bin" / "agelens"
        photo = ROOT / "examples" / "pictures" / "astronaut.jpg"
        predict = [agelens, "predict", photo, "--format", "json"]
        subprocess.run(predict, check=True, capture_output=True)  # compiles the modules
        result = {
            "command": "python benchmarks/startup.py",
            "date": provenance.now(),
            "machine": provenance.machine(),
            "versions": provenance.versions(),
            "runs": RUNS,
            "environment_megabytes": round(megabytes(Path(folder))),
            "of_it_empty_environment": round(empty),
            "install_seconds": round(installed, 1),
            "import_seconds": median(lambda: import_seconds(python)),
            "predict_one_photo_seconds": median(lambda: whole_process(predict)),
        }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    print(json.dumps(result, indent=2))


def megabytes(folder: Path) -> float:
    """Give the size of a folder's files in MB of 10^6 bytes."""
    return sum(f.lstat().st_size for f in folder.rglob("*") if not f.is_dir()) / 1e6


def import_seconds(python: Path) -> float:
    """Give the cumulative time of `import agelens` that -X importtime tells."""
    done = subprocess.run(
        [python, "-X", "importtime", "-c", "import agelens"],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = re.findall(r"\|\s+(\d+) \| agelens$", done.stderr, re.M)
    return int(lines[-1]) / 1e6


def whole_process(command: list) -> float:
    """Give the wall time of a command, in seconds."""
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


def median(measure) -> float:
    """Give the median of several runs, in seconds."""
    return round(statistics.median(measure() for _ in range(RUNS)), 4)


if __name__ == "__main__":
    main()
