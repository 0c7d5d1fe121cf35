"""Measure a model on a part of a dataset: the function behind `agelens evaluate`.

An evaluation folder holds
  predictions.parquet  one row for each face (columns: `predictions.prediction_table`)
  evaluation.json      all figures, and what is needed to measure them again
"""

import itertools
import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl

from agelens import provenance
from agelens.data.dataset import SPLITS, Dataset, published_fold, split_folds
from agelens.data.storage import read_object
from agelens.errors import DatasetError
from agelens.evaluation import bootstrap, data_quality, figures, groups, metrics, predictions
from agelens.evaluation.figures import Faces
from agelens.evaluation.predictions import ModelOutputs
from agelens.inference.runtime import Model, shipped
from agelens.output.tables import replacing

FORMAT = 1  # of evaluation.json
PARTS = ("test", "validation", "train", "all")  # of a split; "all" is the whole dataset
GROUP_FIGURES = (
    "age_mae", "age_bias", "age_within_5", "gender_accuracy", "interval_coverage", "interval_width",
)  # fmt: skip
METHODS = {
    "intervals": bootstrap.METHOD,
    "gaps": groups.METHOD,
    "loss": f"age: cross-entropy to a normal curve of {metrics.LABEL_SIGMA} years around the label "
    f"+ {metrics.EXPECTATION_WEIGHT} smooth L1 of the mean; plus gender: log loss",
}

Progress = Callable[[str, int, int], None]  # called with the model's name, faces done, of how many


@dataclass
class Evaluator:
    """Measures models, one after the other, on the same faces."""

    data: Path
    split: int = 0  # 0 to 4
    part: Literal["test", "validation", "train", "all"] = "test"
    flip: bool | None = None  # None: as the model's card says
    pipeline: bool = False  # detect and align the faces too
    threads: int | None = None  # None: one per core
    command: str = ""  # the command line, for the record

    def __post_init__(self) -> None:
        """Open the dataset. Raises DatasetError for a missing dataset, split or picture."""
        self._dataset = Dataset(self.data)
        self._samples = self._select()
        self._paths = [self._dataset.image_path(name) for name in self._samples["file"]]
        if gone := [path for path in self._paths if not path.is_file()]:
            raise DatasetError(
                f"{len(gone):,} of {len(self):,} pictures are missing from "
                f"{str(gone[0].parent)!r}, such as {gone[0].name!r}: import the dataset again"
            )
        self._weights = bootstrap.resample(self._samples["sha256"].to_numpy())
        self._first: tuple[str, ModelOutputs, Faces] | None = None

    def __len__(self) -> int:
        return len(self._paths)

    def folders(self, models: Sequence[Model], output: Path | None) -> list[Path]:
        """Choose the folder of each model's evaluation.

        A model in a run folder: into it, as `evaluation-split0-test`. Another one: to
        `evaluation/NAME-split0-test`. With `output`: to `output` itself, or, with several models,
        to `output/NAME`. Averaging mirror images adds `-flip`, detecting the faces `-pipeline`; a
        second model of the same name gets a number.
        """
        chosen: list[Path] = []
        for model in models:
            name = re.sub(r"[^\w.-]+", "_", model_name(model))
            suffix = "all" if self.part == "all" else f"split{self.split}-{self.part}"
            suffix += "-flip" * uses_flip(model, self.flip) + "-pipeline" * self.pipeline
            if output is not None:
                folder = output if len(models) == 1 else output / name
            elif _in_run_folder(model):
                folder = model.path.parent / f"evaluation-{suffix}"
            else:
                folder = Path("evaluation") / f"{name}-{suffix}"
            numbered = (folder.with_name(f"{folder.name}-{n}") for n in itertools.count(2))
            chosen.append(next(f for f in itertools.chain([folder], numbered) if f not in chosen))
        return chosen

    def run(self, model: Model, folder: Path, name: str, progress: Progress) -> dict[str, Any]:
        """Measure one model, write its evaluation folder, and return the content of its JSON file.

        From the second model on the differences from the first are measured too. Raises
        ModelError for a model whose outputs make no sense, DatasetError for a damaged picture.
        """
        began, flip = time.monotonic(), uses_flip(model, self.flip)
        levels = model.interval_levels()
        outputs = predictions.predict(
            model, self._paths, flip, self.threads, lambda done: progress(name, done, len(self)),
            pipeline=self.pipeline,
        )  # fmt: skip
        predicted = time.monotonic()
        faces = predictions.labelled_faces(self._samples, outputs, levels)
        about = {
            "format": FORMAT,
            "command": self.command,
            "date": provenance.now(),
            "model": describe_model(model, name),
            "data": self._describe_data(),
            "faces": len(self),
            "learnt_from": count_training_pictures(model, self._samples["file"].to_list()),
            "flip": flip,
            "pipeline": self.pipeline,
            "estimator": "median",
            "interval_levels": {"low": levels.low.tolist(), "high": levels.high.tolist()},
            "methods": METHODS,
            "versions": provenance.versions(),
            "machine": provenance.machine(self.threads),
            **self._measure(outputs, faces),
            **self._compare(name, outputs, faces),
            "seconds": {"predictions": round(predicted - began, 2)},
        }
        about["seconds"]["figures"] = round(time.monotonic() - predicted, 2)
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "evaluation.json"
        file.unlink(missing_ok=True)  # so that it never stands beside other predictions
        with replacing(folder / "predictions.parquet", "wb") as stream:
            predictions.prediction_table(self._samples, outputs, faces).write_parquet(stream)
        with replacing(file) as stream:
            stream.write(json.dumps(about, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
        return about

    def _measure(self, outputs: ModelOutputs, faces: Faces) -> dict[str, Any]:
        found = outputs.found
        weights = self._weights if found.all() else self._weights[:, found]
        values = figures.face_values(faces)
        values = {name: values[name] for name in GROUP_FIGURES}
        decades = groups.partition([groups.decades(faces.age)])
        known = groups.intersections(groups.attributes(self._samples.filter(pl.Series(found))))
        about: dict[str, Any] = {
            "subsets": figures.subsets(faces, weights),
            "by_decade": [r for r, _ in groups.group_rows(("decade",), decades, values, weights)],
            "by_group": groups.compare_groups(known, values, weights),
        }
        if self.pipeline:
            missed = {"missed": (~found).astype(float)}
            everyone = groups.intersections(groups.attributes(self._samples))
            about["missed"] = {
                "faces": int((~found).sum()),
                "share": bootstrap.estimate_mean(missed["missed"], self._weights).as_dict(),
                "by_group": groups.compare_groups(everyone, missed, self._weights),
            }
        return about

    def _compare(self, name: str, outputs: ModelOutputs, faces: Faces) -> dict[str, Any]:
        if self._first is None:
            self._first = name, outputs, faces
            return {}
        first, others, theirs = self._first
        both = outputs.found & others.found
        ours, theirs = faces.take(both[outputs.found]), theirs.take(both[others.found])
        gaps = bootstrap.tables(figures.differences(ours, theirs, self._weights[:, both]))
        return {"difference": {"from": first, "faces": int(both.sum()), "figures": gaps}}

    def _describe_data(self) -> dict[str, Any]:
        whole = self.part == "all"
        form = read_object(self.data / "dataset.json").get("form")
        terms = form.get("terms") if isinstance(form, dict) else None
        return {
            "name": self.data.resolve().name,
            "fingerprint": self._dataset.fingerprint,
            "samples": len(self._dataset),
            "split": None if whole else self.split,
            "part": self.part,
            "folds": None if whole else list(getattr(split_folds(self.split), self.part)),
            "terms": str(terms) if terms else None,
            "label_noise": data_quality.label_noise(self._dataset.samples),
        }

    def _select(self) -> pl.DataFrame:
        if self.part not in PARTS:
            raise DatasetError(f"no part {self.part!r}: expected {', '.join(PARTS)}")
        self._dataset.need_genders()
        samples, problem = self._dataset.samples, ": import some"
        if self.part != "all":
            samples = samples[getattr(self._dataset.split(self.split), self.part)]
            where = f"in the {self.part} folds of split {self.split}"
            problem = f" {where}: choose another --split or --part"
        if not len(samples):
            raise DatasetError(f"{str(self.data)!r} has no faces{problem}")
        return samples


def count_training_pictures(model: Model, files: Sequence[str]) -> int | None:
    """Count the pictures that a model was trained or calibrated on, by UTKFace's file names.

    None where its card does not name the folds.
    """
    data = model.card.get("data", {})
    if data.get("folds") != "v1" or data.get("split") not in range(SPLITS):
        return None
    folds = split_folds(data["split"])
    return sum(published_fold(name) in {*folds.train, *folds.validation} for name in files)


def uses_flip(model: Model, flip: bool | None) -> bool:
    """Return whether mirror images are averaged: as given, or for None as the card says."""
    return bool(model.card.get("flip", False)) if flip is None else flip


def model_name(model: Model) -> str:
    """Name a model: a shipped one by its name, one in a run folder by the folder, or its file."""
    if model.path in shipped().values() or not _in_run_folder(model):
        return model.path.stem
    return model.path.resolve().parent.name


def describe_model(model: Model, name: str) -> dict[str, Any]:
    """Return what identifies a model file, and its card."""
    return {
        "name": name,
        "file": model.path.name,
        "sha256": provenance.sha256(model.path),
        "bytes": model.path.stat().st_size,
        "card": dict(model.card),
    }


def _in_run_folder(model: Model) -> bool:
    return model.path.name == "model.onnx" and (model.path.parent / "run.json").is_file()
