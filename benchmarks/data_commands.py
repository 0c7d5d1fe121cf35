"""How long do `agelens data explore` and `agelens data audit` take, and how much memory?

    python benchmarks/data_commands.py --data utkface [--output FILE]

Runs both, one after the other, on a view of the dataset folder without what they measured before
(the features and out-of-fold answers of `agelens data out-of-fold` stay: they come of training).
Writes results/data_commands.json: the seconds of each and of its steps, and the memory of all its
processes together. To be run on a machine that does nothing else.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from agelens import provenance

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks/results/data_commands.json"
MEASURED = "quality."  # how the names of the files begin that explore and audit leave
SECONDS, MEGABYTES = 360, 1500  # at most: both together, each


def main() -> int:
    """Run both, print and write; 1 where a limit is not kept."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=RESULT)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        view = Path(folder, "data")
        view.mkdir()
        for entry in given.data.resolve().iterdir():
            if not entry.name.startswith(MEASURED):
                (view / entry.name).symlink_to(entry)
        runs = {name: measure(name, view, Path(folder, name)) for name in ("explore", "audit")}
    together = sum(run["seconds"] for run in runs.values())
    record = {
        "question": "how long explore and audit take, and how much memory",
        "command": provenance.command(["python", "benchmarks/data_commands.py", *sys.argv[1:]]),
        "date": provenance.now(),
        "machine": provenance.machine(),
        "versions": provenance.versions(),
        "seconds_together": round(together, 1),
        "limits": {"seconds_together": SECONDS, "memory_mb": MEGABYTES},
        **runs,
    }
    aside = given.output.with_suffix(".part")
    aside.write_text(json.dumps(record, indent=2) + "\n", "utf-8")
    aside.replace(given.output)
    print(json.dumps(runs, indent=2))
    kept = together <= SECONDS and all(run["memory_mb"] < MEGABYTES for run in runs.values())
    return 0 if kept else 1


def measure(name: str, data: Path, output: Path) -> dict[str, Any]:
    """Run one command to its end."""
    words = [sys.executable, "-m", "agelens", "data", name, str(data), "--output", str(output)]
    peak, start = 0.0, time.perf_counter()
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
        while run.poll() is None:
            peak = max(peak, memory(run.pid))
            time.sleep(0.5)
    assert run.returncode == 0, f"data {name} ended with {run.returncode}"
    told = json.loads((output / f"{name}.json").read_text("utf-8"))
    return {
        "seconds": round(time.perf_counter() - start, 1),
        "memory_mb": round(peak),
        "steps": told["made"]["seconds"],
    }


def memory(process: int) -> float:
    """Give the MB of a process and all below it; shared memory counts once."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        below = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:  # it has ended meanwhile
        return 0.0
    own = next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0) / 1000
    return own + sum(memory(int(child)) for child in below)


if __name__ == "__main__":
    sys.exit(main())
