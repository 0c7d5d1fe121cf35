"""Age and gender by packages that bring their weights along, and ours, on the same test faces.

    python benchmarks/peers/peers.py --data utkface --work DIR [MODEL...]
    python benchmarks/peers/peers.py --data utkface --work DIR --time 3 [MODEL...]

The first asks every peer of catalogue.toml, and agelens with each MODEL (default: `default`), about
the test folds of split 0 and writes benchmarks/results/peers.json. Answers are kept in DIR, so a
run that was stopped goes on, and a later one asks only what has changed. The second measures time:
do it when the machine is quiet. README.md says what to install.

A chip is one face and nothing else, which detectors are not made for, so each may have a border
around it: the one with which it finds most faces on validation chips.
"""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import runner
import timing
from catalogue import Peer, catalogue, roll
from comparison import beside, standing
from runner import HERE, Border
from store import Keeper, Trial, best

from agelens import provenance
from agelens.cli.progress import bar
from agelens.data.dataset import Dataset
from agelens.data.folds import split_folds
from agelens.errors import AgelensError, ConfigError
from agelens.evaluation import bootstrap
from faces import Faces, shuffled, spread

RESULT = HERE.parent / "results" / "peers.json"
VALIDATION_CHIPS = 200  # on which borders are tried


def main() -> None:
    """Ask, or time, and write the record."""
    given = words()
    target = given.output or (RESULT if given.faces is None else given.work / "peers.json")
    try:
        dataset = Dataset(given.data)
        peers = roll(given.models or ["default"], given.only)
        commands = {peer.name: runner.command(peer.program, given.python) for peer in peers}
        if given.time:
            if not target.is_file():
                raise ConfigError(f"no {target.name} yet: run without --time first")
            record = json.loads(target.read_text("utf-8"))
            with bar() as progress:
                record["timing"] = {"command": command_line(given, peers)} | timing.measure(
                    record, dataset, peers, commands, given.time, progress
                )
        else:
            record = ask_all(given, dataset, peers, commands)
            record["timing"] = kept_timing(target)
        write(target, record)
    except AgelensError as error:
        sys.exit(str(error))
    print(target)


def words() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", help="ours: names or paths (default: default)")
    parser.add_argument("--data", type=Path, required=True, help="a dataset folder")
    parser.add_argument("--work", type=Path, required=True, help="where answers are kept")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these peers, beside ours")
    parser.add_argument(
        "--faces", type=int, help="a fair sample of so many; the record goes to --work"
    )
    parser.add_argument("--output", type=Path, help="the record, elsewhere")
    parser.add_argument("--time", type=int, metavar="ROUNDS", help="measure time instead")
    parser.add_argument(
        "--python", type=Path, default=HERE / ".venv/bin/python", help="of the peers' environment"
    )
    return parser.parse_args()


def ask_all(
    given: argparse.Namespace, dataset: Dataset, peers: list[Peer], commands: dict[str, list[str]]
) -> dict[str, Any]:
    """Ask every peer that has not been asked, and give the record of what the answers are worth."""
    split = dataset.split(0)
    whole = Faces.of(dataset, shuffled(split.test))
    faces = whole.first(given.faces)
    trial = Faces.of(dataset, spread(split.validation, VALIDATION_CHIPS))
    tried: dict[str, dict[Border, Trial]] = {}
    about, said = {}, {}
    with bar() as progress:
        keeper = Keeper(given.work, commands, progress)
        for peer in peers:
            if peer.detector and peer.detector not in tried:
                tried[peer.detector] = keeper.trials(peer, trial)
        border = {peer.name: best(tried[peer.detector]) for peer in peers if peer.detector}
        for peer in peers:
            around = border.get(peer.name, Border())
            about[peer.name], said[peer.name] = keeper.answers(peer, whole, around, len(faces))
    weights = bootstrap.resample(faces.photos)
    mine = [peer for peer in peers if peer.ours and peer.detector]
    rows = []
    for peer in peers:
        answers = said[peer.name]
        row = {
            "name": peer.name,
            "package": peer.package,
            "ours": peer.ours,
            "border": str(border[peer.name]) if peer.detector else None,
            "versions": about[peer.name]["versions"],
            "weights_bytes": about[peer.name]["weights"],
            **standing(answers, faces.truth, weights),
            **peer.facts,
        }
        if not peer.ours:
            row["same_faces"] = {
                own.name: beside(answers, said[own.name], faces.truth, weights) for own in mine
            }
        rows.append(row)
    return {
        "command": command_line(given, peers),
        "date": provenance.now(),
        "data": {
            "name": given.data.resolve().name,
            "fingerprint": dataset.fingerprint,
            "split": 0,
            "part": "test",
            "folds": list(split_folds(0).test),
        },
        "faces": len(faces),
        "of_faces": len(whole),
        "machine": provenance.machine(threads=1),
        "versions": provenance.versions(),
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
        "peers": rows,
        "left_out": catalogue()["left_out"],
    }


def command_line(given: argparse.Namespace, peers: list[Peer]) -> str:
    """Say how the record was made, without the places of this machine."""
    mine = [peer.name.removeprefix("agelens ") for peer in peers if peer.ours and peer.detector]
    only = [f"--only {' '.join(map(repr, given.only))}"] if given.only else []
    more = [f"--time {given.time}"] if given.time else []
    more += [f"--faces {given.faces}"] if given.faces else []
    start = f"python benchmarks/peers/peers.py {' '.join(mine)}"
    return " ".join([start, f"--data {given.data.resolve().name} --work DIR", *more, *only])


def kept_timing(file: Path) -> dict[str, Any] | None:
    """Give the times that stand in a record already."""
    return json.loads(file.read_text("utf-8")).get("timing") if file.is_file() else None


def write(file: Path, content: dict[str, Any]) -> None:
    """Write JSON aside, then put it in its place."""
    file.parent.mkdir(parents=True, exist_ok=True)
    aside = file.with_name(file.name + ".part")
    aside.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")
    aside.replace(file)


if __name__ == "__main__":
    main()
