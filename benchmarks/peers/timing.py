"""How long the peers take for a face, on one core, one after the other in turns."""

import os
import statistics
from typing import Any

import runner
from catalogue import Peer
from comparison import Faces, spread
from rich.progress import Progress
from runner import BORDERS

from agelens import provenance
from agelens.data.dataset import Dataset
from agelens.errors import ConfigError

CHIPS = 32
TURNS = 3  # over all peers, so that a slow spell of the machine does not hit one of them


def measure(
    record: dict[str, Any],
    dataset: Dataset,
    peers: list[Peer],
    commands: dict[str, list[str]],
    rounds: int,
    progress: Progress,
) -> dict[str, Any]:
    """Time the peers of a record, each with the border that it has there; return its `timing`.

    Every turn is a process of its own with a round to warm up and `rounds` that count. Raises
    ConfigError for a peer that is not in the record.
    """
    borders = {str(border): border for border in BORDERS}
    chosen = {row["name"]: borders[row["border"] or "none"] for row in record["peers"]}
    if lacking := [peer.name for peer in peers if peer.name not in chosen]:
        raise ConfigError(f"{', '.join(lacking)}: not in the record; run without --time first")
    sample = list(Faces.of(dataset, spread(dataset.split(0).test, CHIPS)).chips(0, CHIPS))
    pinned = pin()
    times: dict[str, dict[str, list[float]]] = {}
    task = progress.add_task("timing", total=TURNS * len(peers))
    for _ in range(TURNS):
        for peer in peers:
            progress.update(task, description=peer.name)
            measured = runner.times(commands[peer.name], sample, chosen[peer.name], rounds)
            for part, ms in measured.items():
                times.setdefault(peer.name, {}).setdefault(part, []).extend(ms)
            progress.advance(task)
    return {
        "date": provenance.now(),
        "machine": provenance.machine(threads=1),
        "pinned_to_one_core": pinned,
        "faces": len(sample),
        "rounds": TURNS * rounds,
        "milliseconds": {
            name: {part: round(statistics.median(each), 2) for part, each in parts.items()}
            for name, parts in times.items()
        },
    }


def pin() -> bool:
    """Keep this process, and those it starts, on one core; return whether the system can."""
    if not hasattr(os, "sched_setaffinity"):
        return False
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    return True
