"""The command line, the result file and the clock that the benchmarks share."""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from agelens import provenance
from agelens.output.tables import replacing

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"

Key = TypeVar("Key")


def parser(
    description: str, *, data: bool = False, **options: float | str | None
) -> argparse.ArgumentParser:
    """Make a parser with --output, --data where asked for, and options of these defaults and types.

    `description` is a benchmark's docstring, whose first line is the question that it answers. The
    result goes to results/NAME.json, with the name of the script, unless --output is given.
    """
    question = description.splitlines()[0]
    made = argparse.ArgumentParser(description=question)
    made.set_defaults(question=question)
    output = RESULTS / f"{Path(sys.argv[0]).stem}.json"
    made.add_argument("--output", type=Path, default=output, help="the result file")
    if data:
        made.add_argument("--data", type=Path, required=True, help="a data set folder")
    for name, default in options.items():
        kind = str if default is None else type(default)
        made.add_argument(f"--{name}", type=kind, default=default, help="default: %(default)s")
    return made


def write(
    given: argparse.Namespace, figures: Mapping[str, Any], threads: int | None = None
) -> dict[str, Any]:
    """Write figures with how they were made to the result file, and return the whole record.

    `threads` is the number of threads that did the work, None for one per core.
    """
    script = Path(sys.argv[0]).resolve()
    record = {
        "question": given.question,
        "command": provenance.command(["python", str(script.relative_to(ROOT)), *sys.argv[1:]]),
        "date": provenance.now(), "machine": provenance.machine(threads),
        "versions": provenance.versions(), **figures,
    }  # fmt: skip
    given.output.parent.mkdir(parents=True, exist_ok=True)
    with replacing(given.output) as file:
        file.write(json.dumps(record, indent=2, ensure_ascii=False) + "\n")
    return record


def commit(source: Path) -> str:
    """Return the commit of a checkout; empty where there is none."""
    words = ["git", "-C", source, "describe", "--always", "--dirty"]
    return subprocess.run(words, capture_output=True, text=True).stdout.strip()


def report_missed(bars: Mapping[str, bool]) -> int:
    """Print which bars are not met; return the exit status."""
    missed = [bar for bar, met in bars.items() if not met]
    if missed:
        print(f"not met: {'; '.join(missed)}", file=sys.stderr)
    return 1 if missed else 0


def show(figures: Any) -> None:
    """Print figures as JSON."""
    print(json.dumps(figures, indent=2), flush=True)


def interleaved_seconds(
    functions: Mapping[Key, Callable[[int], object]], rounds: int
) -> dict[Key, float]:
    """Time functions in turn and return the median seconds of each.

    Taking turns spreads a slow spell of the machine over all of them. Every function gets the
    number of the round; round 0 warms up and does not count.
    """
    seconds: dict[Key, list[float]] = {key: [] for key in functions}
    for turn in range(rounds + 1):
        for key, function in functions.items():
            began = time.perf_counter()
            function(turn)
            seconds[key].append(time.perf_counter() - began)
    return {key: statistics.median(took[1:]) for key, took in seconds.items()}
