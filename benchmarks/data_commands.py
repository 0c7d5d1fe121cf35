"""How long do `agelens data explore` and `agelens data audit` take, and how much memory?

    python benchmarks/data_commands.py --data utkface

Runs both, one after the other, on a view of the data set folder without what they measured before
(the features and out-of-fold predictions of `agelens data out-of-fold` stay: they come of
training). Writes results/data_commands.json: the seconds of each and of its steps, and the memory
of all its processes together. Run it on a machine that does nothing else.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import record

MEASURED = "quality."  # how the names of the files begin that explore and audit leave
SECONDS, MEGABYTES = 360, 1500  # at most: both together, each


def main() -> int:
    """Run both, print and write; 1 where a limit is not kept."""
    given = record.parser(__doc__, data=True).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        view = Path(folder, "data")
        view.mkdir()
        for entry in given.data.resolve().iterdir():
            if not entry.name.startswith(MEASURED):
                (view / entry.name).symlink_to(entry)
        runs = {name: measure(name, view, Path(folder, name)) for name in ("explore", "audit")}
    together = sum(run["seconds"] for run in runs.values())
    limits = {"seconds_together": SECONDS, "memory_mb": MEGABYTES}
    record.write(given, {"seconds_together": round(together, 1), "limits": limits, **runs})
    record.show(runs)
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
    return {
        "seconds": round(time.perf_counter() - start, 1),
        "memory_mb": round(peak),
        "steps": json.loads((output / f"{name}.json").read_text("utf-8"))["made"]["seconds"],
    }


def memory(process: int) -> float:
    """Return the MB of a process and of all below it; shared memory counts once."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        below = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:  # it has ended meanwhile
        return 0.0
    own = next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0) / 1000
    return own + sum(memory(int(child)) for child in below)


if __name__ == "__main__":
    sys.exit(main())
