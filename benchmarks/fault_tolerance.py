"""Does a batch run survive what it should, every time? The fault tests, again and again.

    python benchmarks/fault_tolerance.py [--rounds 10]

Runs the tests of both engines in which workers, drivers and nodes are killed, disks are full,
sources vanish and shards are damaged, each round in a fresh pytest and a fresh Ray cluster (needs
the extra `scale`). Writes results/fault_tolerance.json: how often each test passed, and how long
it took. The exit status is 1 when one failed or was skipped.
"""

import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any
from xml.etree.ElementTree import Element, parse

import record
from agelens.cli.console import bar
from record import ROOT

FILES = ("tests/batch/test_local_engine.py", "tests/batch/test_ray_engine.py")


def main() -> int:
    """Run the rounds, print and write after each."""
    given = record.parser(__doc__, rounds=10).parse_args()
    results: dict[str, list[tuple[bool, float]]] = defaultdict(list)
    with bar() as progress:
        for number in progress.track(range(1, given.rounds + 1), description="rounds"):
            for case in one_round():
                name = f"{case.get('classname', '').rpartition('.')[2]}::{case.get('name')}"
                passed = not {"failure", "error", "skipped"} & {part.tag for part in case}
                results[name].append((passed, float(case.get("time", 0))))
            failed = [name for name, all_rounds in results.items() if not all_rounds[-1][0]]
            print(f"round {number}: {len(results) - len(failed)} passed", *failed, flush=True)
            tests = {name: summary(all_rounds) for name, all_rounds in sorted(results.items())}
            record.write(given, {"rounds": number, "tests": tests})
    return int(any(test["passed"] < given.rounds for test in tests.values()))


def one_round() -> list[Element]:
    """Run the tests once and return pytest's record of each."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        words = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", *FILES]
        subprocess.run(
            [*words, f"--junitxml={report}"], cwd=ROOT, check=False, stdout=subprocess.DEVNULL
        )
        return list(parse(report).iter("testcase"))  # noqa: S314 - written by our own pytest


def summary(rounds: list[tuple[bool, float]]) -> dict[str, Any]:
    """Return how often a test passed, and its median and longest time in seconds."""
    seconds = [second for _, second in rounds]
    return {
        "passed": sum(passed for passed, _ in rounds),
        "median_seconds": round(median(seconds), 1),
        "longest_seconds": round(max(seconds), 1),
    }


if __name__ == "__main__":
    sys.exit(main())
