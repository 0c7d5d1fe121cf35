"""Read the faces to adapt a model to: pictures with a labels.csv, or a dataset folder."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from agelens import provenance
from agelens.data.audit import duplicates
from agelens.data.dataset import Dataset
from agelens.data.labels import read_gender
from agelens.data.readers.csv_files import Columns, rows
from agelens.errors import AgelensError, DatasetError, SourceError
from agelens.evaluation.adaptation.parts import LabelledOutputs
from agelens.faces.pipeline import FacePipeline, PictureFaces, Settings, prefetch
from agelens.images.sources import Source
from agelens.inference.runtime import BATCH, CHIP, Model

TABLE = "labels.csv"
PARITY_FACES = 16


@dataclass(frozen=True, slots=True)
class Portrait:
    """A picture of one face, and what is known of it (NaN or "" where it is not)."""

    path: Path
    age: float  # years
    female: float  # 1 or 0
    person: str


@dataclass(frozen=True, slots=True, eq=False)
class PredictedAlbum:
    """What a model gave for the faces of an album."""

    outputs: LabelledOutputs
    people_named: bool  # False: only near copies of a photo stay together
    chips: NDArray[np.uint8]  # the first few, (B, 200, 200, 3)
    rejects: list[tuple[str, str]]  # file and reason


def read_album(folder: Path) -> list[Portrait]:
    """Read the labels of a folder. Raises SourceError or DatasetError for what has none."""
    if (folder / "samples.parquet").is_file():
        dataset = Dataset(folder)
        found = [
            Portrait(dataset.image_path(row["file"]), float(row["age"]), _female(row["gender"]),
                     row.get("subject") or "")
            for row in dataset.samples.to_dicts()
        ]  # fmt: skip
    elif (folder / TABLE).is_file():
        found = list(_read_table(folder))
    elif folder.exists():
        raise DatasetError(
            f"{str(folder)!r} has no {TABLE}: expected pictures beside a {TABLE} with the columns "
            "file, age, gender, person (age or gender may be left out, and person), or a dataset "
            "folder of  agelens data import"
        )
    else:
        raise SourceError(f"no such folder: {str(folder)!r}; check the path")
    if not found:
        raise DatasetError(f"{str(folder)!r} names no labelled picture: add rows to its {TABLE}")
    return found


def _read_table(folder: Path) -> Iterator[Portrait]:
    columns: Columns | None = None
    with (folder / TABLE).open("rb") as stream:
        for number, row in enumerate(rows(stream, TABLE), 2):
            columns = columns or Columns.of(row)
            fields = (columns.file, columns.age, columns.low, columns.high, columns.person)
            name, *ages, person = (row[field].strip() if field else "" for field in fields)
            try:
                age = float(columns.label(row).age) if any(ages) else np.nan
                gender = read_gender(row[columns.gender]) if columns.gender else None
            except ValueError as error:
                raise DatasetError(f"{TABLE} row {number}: {error}") from error
            if not (folder / name).is_file():
                raise DatasetError(
                    f"{TABLE} row {number}: no picture {name!r} in {str(folder)!r}; expected a "
                    f"column file with paths relative to {TABLE}"
                )
            if np.isfinite(age) or gender:
                yield Portrait(folder / name, age, _female(gender), person)


def _female(gender: str | None) -> float:
    return np.nan if gender is None else float(gender == "female")


def predict_album(
    model: Model, album: list[Portrait], flip: bool, threads: int | None,
    advance: Callable[[int], None],
) -> PredictedAlbum:  # fmt: skip
    """Predict the face of each picture, of a whole photo its largest.

    Square pictures of a chip's size, and those of a dataset folder, are aligned chips. Where not
    every person is named, near copies of a photo count as one person. Raises DatasetError where no
    picture can be used.
    """
    settings = Settings(threads=threads, max_faces=1, keep_doubtful=True)
    pipeline = FacePipeline(provenance.Stopwatch(("decode", "detect", "align")), settings)

    def process(one: Portrait) -> PictureFaces:
        source = Source(one.path.name, one.path)
        return pipeline.process(source, chips=_is_chip(one.path), keep_picture=False)

    named = all(one.person for one in album)
    taken, ages, female, hashes, rejects = [], [], [], [], []
    chips = np.zeros((0, CHIP, CHIP, 3), np.uint8)
    pictures = zip(album, prefetch(process, album, threads or 4, "adapt"), strict=True)
    while batch := list(islice(pictures, BATCH)):
        for one, faces in batch:
            if len(faces.chips):
                taken.append(one)
            else:
                rejects.append((one.path.name, str(faces.error or "no face found")))
        batch_chips = np.concatenate([faces.chips for _, faces in batch])
        output = model.predict(batch_chips, flip=flip)
        ages.append(output.age_probabilities)
        female.append(output.female_probability)
        if not named:
            hashes += [duplicates.perceptual_hash(chip) for chip in batch_chips]
        chips = np.concatenate([chips, batch_chips])[:PARITY_FACES]
        advance(len(taken) + len(rejects))
    if not taken:
        raise DatasetError(
            f"no face in any of {len(album):,} pictures, the first {rejects[0][0]!r}: "
            f"{rejects[0][1]}; expected photos in which a face is seen, or aligned chips"
        )
    people = np.array([one.person for one in taken], object)
    if not named:
        digests = np.array([provenance.sha256(one.path) for one in taken])
        people = np.arange(len(taken)).astype(object)
        for group in duplicates.find(digests, np.array(hashes), np.ones(len(taken), bool)).groups():
            people[group] = people[group[0]]
    age, gender = np.array([(one.age, one.female) for one in taken]).T
    outputs = LabelledOutputs(
        np.concatenate(ages), np.concatenate(female).astype(np.float64), age, gender, people
    )
    return PredictedAlbum(outputs, named, chips, rejects)


def _is_chip(path: Path) -> bool:
    with suppress(OSError, AgelensError), Image.open(path) as picture:  # read again, with a reason
        width, height = picture.size
        return width == height and (width == CHIP or path.parent.name == "images")
    return False
