"""Small inputs for batch runs: flat chips, whose brightness the tiny model reads as an age."""

import io
import tarfile
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image

from agelens.batch import run as running
from agelens.batch.run import Engine, Options
from agelens.batch.status import Progress

CHIPS = Options(chips=True)


@cache
def chip(brightness: int, side: int = 20) -> bytes:
    """Give a grey PNG."""
    file = io.BytesIO()
    Image.fromarray(np.full((side, side, 3), brightness, np.uint8)).save(file, "PNG")
    return file.getvalue()


def write_chips(folder: Path, count: int, side: int = 20) -> list[str]:
    """Write chips of rising brightness into some subfolders; give their paths in order."""
    for number in range(count):
        file = folder / f"{number % 3}" / f"{number:04}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(chip(number % (256 if side < 100 else 8), side))
    return sorted(str(path) for path in folder.rglob("*.png"))


def write_shard(path: Path, names: list[str]) -> list[str]:
    """Write a tar in WebDataset's layout, a chip and a label for each name; give its sources."""
    with tarfile.open(path, "w") as archive:
        for number, name in enumerate(names):
            for suffix, data in ((".cls", b"1"), (".png", chip(number % 256))):
                member = tarfile.TarInfo(name + suffix)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    return [f"{path}/{name}.png" for name in names]


def answer(
    source: object, output: object, model: object, options: Options = CHIPS, workers: int = 1
) -> Progress:
    """Run a batch to its end with the local engine."""
    store, job = running.begin(str(source), str(output), str(model), options)
    with store.alone():
        return running.run(
            store, job, Engine("local", workers), lambda count: None, lambda progress: None
        )


def rows(output: Path) -> pl.DataFrame:
    """Read what a run has left."""
    return pl.read_parquet(output / "parts" / "*.parquet")


def sources(output: Path) -> list[str]:
    """Give the sources of all rows, sorted; of chips there is one row for each."""
    return sorted(rows(output)["source"])
