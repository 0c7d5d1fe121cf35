"""Age and gender by packages that bring their weights along, and ours, on the same test faces.

    python benchmarks/peers/peers.py --data utkface --work DIR [MODEL...]
    python benchmarks/peers/peers.py --data utkface --work DIR --time 3 [MODEL...]

The first runs every peer of catalogue.toml, and agelens with each MODEL (default: `default`), on
the test folds of split 0 and writes benchmarks/results/peers.json. Answers are kept in DIR, so a
run that was stopped resumes, and a later one runs only what has changed. The second measures time:
do it when the machine is quiet. README.md says what to install.

A chip is one face and nothing else, which detectors are not made for, so each may have a border
around it: the one with which it finds most faces on validation chips.
"""

import argparse
import json
import os
import statistics
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import runner
from comparison import Faces, compare, figures, shuffled, spread
from runner import BORDERS, HERE, Border, Peer
from store import AnswerStore, Trial, best

from agelens import provenance
from agelens.cli.console import bar
from agelens.data.dataset import Dataset, split_folds
from agelens.errors import AgelensError, ConfigError
from agelens.evaluation import bootstrap
from agelens.output.tables import replacing

RESULT = HERE.parent / "results" / "peers.json"
VALIDATION_CHIPS = 200  # on which borders are tried
TIMED_CHIPS = 32
TURNS = 3  # over all peers, so that a slow spell of the machine does not hit one of them


def main() -> None:
    """Collect answers, or time, and write the record."""
    given = arguments()
    target = given.output or (RESULT if given.faces is None else given.work / "peers.json")
    before = json.loads(target.read_text("utf-8")) if target.is_file() else {}
    try:
        dataset = Dataset(given.data)
        peers = runner.peers(given.models or ["default"], given.only)
        commands = {peer.name: runner.command(peer.program, given.python) for peer in peers}
        if given.time and not before:
            raise ConfigError(f"no {target.name} yet: run without --time first")
        if given.time:
            times = time_peers(before, dataset, peers, commands, given.time)
            record = before | {"timing": {"command": command_line(given, peers)} | times}
        else:
            record = measure(given, dataset, peers, commands)
            record["timing"] = before.get("timing")
    except AgelensError as error:
        sys.exit(str(error))
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as file:
        json.dump(record, file, indent=1, ensure_ascii=False)
        file.write("\n")
    print(target)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add, python = parser.add_argument, HERE / ".venv/bin/python"
    add("models", nargs="*", help="ours: names or paths (default: default)")
    add("--data", type=Path, required=True, help="a data set folder")
    add("--work", type=Path, required=True, help="where answers are kept")
    add("--only", nargs="+", metavar="NAME", help="these peers, beside ours")
    add("--faces", type=int, help="a fair sample of so many; the record goes to --work")
    add("--output", type=Path, help="the record, elsewhere")
    add("--time", type=int, metavar="ROUNDS", help="measure time instead")
    add("--python", type=Path, default=python, help="of the peers' environment")
    return parser.parse_args()


def measure(
    given: argparse.Namespace, dataset: Dataset, peers: list[Peer], commands: dict[str, list[str]]
) -> dict[str, Any]:
    """Collect the answers that are missing, and return the record of their figures."""
    split = dataset.split(0)
    whole = Faces.of(dataset, shuffled(split.test))
    faces = whole.first(given.faces)
    trial = Faces.of(dataset, spread(split.validation, VALIDATION_CHIPS))
    tried: dict[str, dict[Border, Trial]] = {}
    reports, answers = {}, {}
    with bar() as progress:
        store = AnswerStore(given.work, commands, progress)
        for peer in peers:
            if peer.detector and peer.detector not in tried:
                tried[peer.detector] = store.trials(peer, trial)
        border = {peer.name: best(tried[peer.detector]) for peer in peers if peer.detector}
        for peer in peers:
            around = border.get(peer.name, Border())
            found = store.answers(peer, whole, around, len(faces))
            reports[peer.name], answers[peer.name] = found
    weights = bootstrap.resample(faces.photos)
    rows = [{
        "name": peer.name, "package": peer.package, "ours": peer.ours,
        "border": str(border[peer.name]) if peer.detector else None,
        "versions": reports[peer.name]["versions"],
        "weights_bytes": reports[peer.name]["weights"],
        **figures(answers[peer.name], faces, weights), **peer.facts,
    } for peer in peers]  # fmt: skip
    for row in rows:
        if not row["ours"]:
            row["same_faces"] = {
                own.name: compare(answers[row["name"]], answers[own.name], faces, weights)
                for own in peers
                if own.ours and own.detector
            }
    return {
        "command": command_line(given, peers), "date": provenance.now(),
        "data": {
            "name": given.data.resolve().name, "fingerprint": dataset.fingerprint, "split": 0,
            "part": "test", "folds": list(split_folds(0).test),
        },
        "faces": len(faces), "of_faces": len(whole),
        "machine": provenance.machine(threads=1), "versions": provenance.versions(),
        "methods": {
            "intervals": bootstrap.METHOD,
            "same_faces": "on the faces that both answer; the difference is ours less theirs",
            "borders": f"on {len(trial)} validation chips (folds 6 and 7): the share in which a "
            "face is found, and the age MAE of those, by the border around the chip (of its side, "
            "on each side), up to a width that misses none; a detector gets the border with which "
            "it finds most, of several that with the lower MAE",
        },
        "borders": {
            detector: {str(border): asdict(trial) for border, trial in trials.items()}
            for detector, trials in tried.items()
        },
        "peers": rows, "left_out": runner.catalogue()["left_out"],
    }  # fmt: skip


def time_peers(
    record: dict[str, Any], dataset: Dataset, peers: list[Peer], commands: dict[str, list[str]],
    rounds: int,
) -> dict[str, Any]:  # fmt: skip
    """Time the peers of a record, each with the border that it has there; return its `timing`.

    Every turn is a process of its own with a round to warm up and `rounds` that count. Raises
    ConfigError for a peer that is not in the record.
    """
    borders = {str(border): border for border in BORDERS}
    chosen = {row["name"]: borders[row["border"] or "none"] for row in record["peers"]}
    if lacking := [peer.name for peer in peers if peer.name not in chosen]:
        raise ConfigError(f"{', '.join(lacking)}: not in the record; run without --time first")
    rows = spread(dataset.split(0).test, TIMED_CHIPS)
    sample = list(Faces.of(dataset, rows).chips(0, TIMED_CHIPS))
    pinned = pin()
    times: dict[str, dict[str, list[float]]] = {}
    with bar() as progress:
        for peer in progress.track(peers * TURNS, description="timing"):
            measured = runner.times(commands[peer.name], sample, chosen[peer.name], rounds)
            for part, ms in measured.items():
                times.setdefault(peer.name, {}).setdefault(part, []).extend(ms)
    return {
        "date": provenance.now(), "machine": provenance.machine(threads=1),
        "pinned_to_one_core": pinned, "faces": len(sample), "rounds": TURNS * rounds,
        "milliseconds": {
            name: {part: round(statistics.median(each), 2) for part, each in parts.items()}
            for name, parts in times.items()
        },
    }  # fmt: skip


def pin() -> bool:
    """Keep this process, and those it starts, on one core; return whether the system can."""
    if not hasattr(os, "sched_setaffinity"):
        return False
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    return True


def command_line(given: argparse.Namespace, peers: list[Peer]) -> str:
    """Return how the record was made, without the places of this machine."""
    mine = [peer.name.removeprefix("agelens ") for peer in peers if peer.ours and peer.detector]
    only = [f"--only {' '.join(map(repr, given.only))}"] if given.only else []
    more = [f"--time {given.time}"] if given.time else []
    more += [f"--faces {given.faces}"] if given.faces else []
    start = f"python benchmarks/peers/peers.py {' '.join(mine)}"
    return " ".join([start, f"--data {given.data.resolve().name} --work DIR", *more, *only])


if __name__ == "__main__":
    main()
