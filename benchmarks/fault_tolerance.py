"""Does a batch run survive what it should, every time? The kill tests, again and again.

    python benchmarks/fault_tolerance.py [--rounds 10] [--output FILE]

Runs the tests of both engines in which workers, drivers and nodes are killed, disks are full,
sources vanish and shards are damaged, each round in a fresh pytest and a fresh Ray cluster (the
extra scale must be there). Writes results/fault_tolerance.json: of each test how
often it passed and how long it took.
Ends with 1 when one failed or was skipped.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any
from xml.etree.ElementTree import Element, parse

from agelens import provenance
from agelens.cli.progress import bar

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks/results/fault_tolerance.json"
FILES = ("tests/batch/test_local_engine.py", "tests/batch/test_ray_engine.py")


def main() -> int:
    """Run the rounds, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--output", type=Path, default=RESULT)
    given = parser.parse_args()
    seen: dict[str, list[tuple[str, float]]] = defaultdict(list)
    with bar() as progress:
        for number in progress.track(range(given.rounds), description="rounds"):
            for case in one_round():
                name = f"{case.get('classname', '').rpartition('.')[2]}::{case.get('name')}"
                seen[name].append((outcome(case), float(case.get("time", 0))))
            failed = [name for name, ways in seen.items() if ways[-1][0] != "passed"]
            print(f"round {number + 1}: {len(seen) - len(failed)} passed", *failed, flush=True)
            write(given.output, seen, number + 1)
    return 0 if all(how == "passed" for ways in seen.values() for how, _ in ways) else 1


def write(output: Path, seen: dict[str, list[tuple[str, float]]], rounds: int) -> None:
    """Write the record of the rounds until now."""
    record = {
        "question": "do the kill tests of agelens batch pass every time",
        "command": provenance.command(["python", "benchmarks/fault_tolerance.py", *sys.argv[1:]]),
        "date": provenance.now(),
        "machine": provenance.machine(),
        "versions": provenance.versions(),
        "rounds": rounds,
        "tests": {name: summary(ways) for name, ways in sorted(seen.items())},
    }
    aside = output.with_suffix(".part")
    aside.write_text(json.dumps(record, indent=2) + "\n", "utf-8")
    aside.replace(output)


def one_round() -> list[Element]:
    """Run the tests once; give pytest's record of each."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        words = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", *FILES]
        subprocess.run(
            [*words, f"--junitxml={report}"], cwd=ROOT, check=False, stdout=subprocess.DEVNULL
        )
        return list(parse(report).iter("testcase"))  # noqa: S314 - written by our own pytest


def outcome(case: Element) -> str:
    """Give how a test ended."""
    ways = ("failure", "error", "skipped")
    return next((way for way in ways if case.find(way) is not None), "passed")


def summary(ways: list[tuple[str, float]]) -> dict[str, Any]:
    """Give how often a test passed, and its median and longest time in seconds."""
    seconds = [second for _, second in ways]
    return {
        "passed": sum(how == "passed" for how, _ in ways),
        "median_seconds": round(median(seconds), 1),
        "longest_seconds": round(max(seconds), 1),
    }


if __name__ == "__main__":
    sys.exit(main())
