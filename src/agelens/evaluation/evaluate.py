"""Measure a model on a part of a dataset: what `agelens evaluate` calls.

An evaluation folder holds
  predictions.parquet  one row for each face (the columns: answers.table)
  evaluation.json      everything measured, and what is needed to measure it again
"""

import hashlib
import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agelens import provenance
from agelens.data.dataset import Dataset
from agelens.data.folds import SPLITS, published_fold, split_folds
from agelens.errors import DatasetError
from agelens.evaluation import bootstrap, figures, groups, label_noise, metrics
from agelens.evaluation import predictions as answers
from agelens.inference.runtime import Model, shipped

FORMAT = 1
"""Version of `evaluation.json`."""

PARTS = ("test", "validation", "train", "all")
"""The parts of a split; "all" is the whole dataset, whatever its folds."""

GROUP_FIGURES = (
    "age_mae", "age_bias", "age_within_5", "gender_accuracy", "interval_coverage", "interval_width",
)  # fmt: skip

Report = Callable[[str, int, int], None]
"""Is told what is going on, and how many of how many faces are done."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure on, and how."""

    data: Path
    split: int = 0  # 0 to 4
    part: Literal["test", "validation", "train", "all"] = "test"
    flip: bool | None = None  # None: as the model's card says
    pipeline: bool = False  # find and align the faces too
    threads: int | None = None  # None: one per core


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """A model that has been measured."""

    name: str
    folder: Path
    table: dict[str, Any]  # what stands in evaluation.json


class Evaluator:
    """Measures models, one after the other, on the same faces."""

    def __init__(self, plan: Plan, command: str = "") -> None:
        """Open the dataset. Raises DatasetError when it, its split or its pictures are not there.

        `command` is the command line, for the record.
        """
        if plan.part not in PARTS:
            raise DatasetError(f"no part {plan.part!r}: expected {', '.join(PARTS)}")
        self.plan = plan
        self._command = command
        self._dataset = Dataset(plan.data)
        self._samples = self._choose()
        self._paths = [self._dataset.image_path(name) for name in self._samples["file"]]
        self._check_pictures()
        self._weights = bootstrap.resample(self._samples["sha256"].to_numpy())
        self._first: tuple[str, answers.Answers, figures.Faces] | None = None

    def _choose(self) -> pl.DataFrame:
        if self.plan.part == "all":
            self._dataset.need_genders()
            return self._dataset.samples
        rows = getattr(self._dataset.split(self.plan.split), self.plan.part)
        chosen: pl.DataFrame = self._dataset.samples[rows]
        return chosen

    def _check_pictures(self) -> None:
        plan = self.plan
        if not self._paths and plan.part == "all":
            raise DatasetError(f"{str(plan.data)!r} has no faces: import some")
        if not self._paths:
            raise DatasetError(
                f"{str(plan.data)!r} has no faces in the {plan.part} folds of split {plan.split}: "
                "choose another --split or --part"
            )
        gone = [path for path in self._paths if not path.is_file()]
        if gone:
            raise DatasetError(
                f"{len(gone):,} of {len(self._paths):,} pictures are missing from "
                f"{str(gone[0].parent)!r}, such as {gone[0].name!r}: import the dataset again"
            )

    def __len__(self) -> int:
        return len(self._paths)

    def run(self, model: Model, folder: Path, name: str, report: Report) -> Evaluation:
        """Measure one model and write its evaluation folder.

        From the second model on the differences from the first are measured too. Raises
        ModelError for a model whose numbers make no sense, DatasetError for a damaged picture.
        """
        plan, began = self.plan, time.monotonic()
        flip = flips(model, plan)
        levels = model.interval_levels()
        done = 0

        def advance(more: int) -> None:
            nonlocal done
            done += more
            report(name, done, len(self))

        ask = answers.on_pictures if plan.pipeline else answers.on_chips
        said = ask(model, self._paths, flip, plan.threads, advance)
        asked = time.monotonic()
        seen = answers.faces(self._samples, said, levels)
        about = {
            "format": FORMAT,
            "command": self._command,
            "date": provenance.now(),
            "model": describe_model(model, name),
            "data": self._describe_data(),
            "faces": len(self),
            "learnt_from": learnt_from(model, self._samples["file"].to_list()),
            "flip": flip,
            "pipeline": plan.pipeline,
            "estimator": "median",
            "interval_levels": {"low": levels.low.tolist(), "high": levels.high.tolist()},
            "methods": {
                "intervals": bootstrap.METHOD,
                "gaps": groups.METHOD,
                "loss": f"age: cross-entropy to a normal curve of {metrics.SIGMA} years around "
                f"the label + {metrics.EXPECTATION_WEIGHT} smooth L1 of the mean; plus gender: "
                "log loss",
            },
            "versions": provenance.versions(),
            "machine": provenance.machine(plan.threads),
        }
        about |= self._measure(said, seen)
        about |= self._compare(name, said, seen)
        about["seconds"] = {
            "predictions": round(asked - began, 2),
            "figures": round(time.monotonic() - asked, 2),
        }
        folder.mkdir(parents=True, exist_ok=True)
        predictions = folder / "predictions.parquet"
        partial = predictions.with_name(predictions.name + ".part")
        answers.table(self._samples, said, seen).write_parquet(partial)
        text = json.dumps(about, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        words = folder / "evaluation.json"
        aside = words.with_name(words.name + ".part")
        aside.write_text(text, "utf-8")
        words.unlink(missing_ok=True)  # so that it never stands beside other predictions
        partial.replace(predictions)
        aside.replace(words)
        return Evaluation(name, folder, about)

    def _measure(self, said: answers.Answers, seen: figures.Faces) -> dict[str, Any]:
        found = said.found
        weights = self._weights if found.all() else self._weights[:, found]
        values = figures.face_values(seen)
        values = {name: values[name] for name in GROUP_FIGURES}
        decades = groups.part(("decade",), [groups.decade_names(seen.age)])
        samples = self._samples.filter(pl.Series(found))
        breakdowns = groups.crossings(_attributes(samples))
        about: dict[str, Any] = {
            "subsets": figures.subsets(seen, weights),
            "by_decade": groups.by_group(decades, values, weights),
            "by_group": groups.compare(breakdowns, values, weights),
        }
        if self.plan.pipeline:
            about["missed"] = self._missed(found)
        return about

    def _missed(self, found: NDArray[np.bool_]) -> dict[str, Any]:
        """Give how many faces the detector missed, in all and by group."""
        values = {"missed": (~found).astype(np.float64)}
        share = bootstrap.estimate(bootstrap.mean(values["missed"]), self._weights)[0]
        return {
            "faces": int((~found).sum()),
            "share": share.table(),
            "by_group": groups.compare(
                groups.crossings(_attributes(self._samples)), values, self._weights
            ),
        }

    def _compare(self, name: str, said: answers.Answers, seen: figures.Faces) -> dict[str, Any]:
        """Give the differences from the first model, on the faces that both answered."""
        if self._first is None:
            self._first = name, said, seen
            return {}
        first, others, theirs = self._first
        both = said.found & others.found
        gaps = figures.differences(
            seen.take(both[said.found]), theirs.take(both[others.found]), self._weights[:, both]
        )
        tables = {figure: gap.table() for figure, gap in gaps.items()}
        return {"difference": {"from": first, "faces": int(both.sum()), "figures": tables}}

    def _describe_data(self) -> dict[str, Any]:
        plan = self.plan
        whole = plan.part == "all"
        return {
            "name": plan.data.resolve().name,
            "fingerprint": self._dataset.fingerprint,
            "samples": len(self._dataset),
            "split": None if whole else plan.split,
            "part": plan.part,
            "folds": None if whole else list(getattr(split_folds(plan.split), plan.part)),
            "terms": _terms(plan.data),
            "label_noise": label_noise.measure(self._dataset.samples),
        }


def _terms(data: Path) -> str | None:
    """Give the terms of use that the dataset folder records; None where it has none."""
    try:
        terms = json.loads((data / "dataset.json").read_text("utf-8"))["form"]["terms"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return str(terms) if terms else None


def learnt_from(model: Model, files: Sequence[str]) -> int | None:
    """Count the pictures that a model learnt from or was calibrated on, by UTKFace's file names.

    None where its card does not tell the folds.
    """
    told = model.card.get("data", {})
    if told.get("folds") != "v1" or told.get("split") not in range(SPLITS):
        return None
    folds = split_folds(told["split"])
    seen = {*folds.train, *folds.validation}
    return sum(published_fold(name) in seen for name in files)


def flips(model: Model, plan: Plan) -> bool:
    """Tell whether mirror images are averaged in: as asked, or as the model's card says."""
    return bool(model.card.get("flip", False)) if plan.flip is None else plan.flip


def model_name(model: Model) -> str:
    """Name a model: a shipped one by its name, one in a run folder by the folder, or its file."""
    if model.path in shipped().values() or not _run_folder(model):
        return model.path.stem
    return model.path.resolve().parent.name


def evaluation_folders(models: Sequence[Model], plan: Plan, output: Path | None) -> list[Path]:
    """Choose where each model's evaluation goes.

    A model in a run folder: into it, as `evaluation-split0-test`. Another one: to
    `evaluation/NAME-split0-test`. With `output`: to `output` itself, or, with several models,
    to `output/NAME`. Averaging with mirror images adds `-flip`, finding the faces `-pipeline`;
    a second model of the same name gets a number.
    """
    chosen: list[Path] = []
    for model in models:
        name = re.sub(r"[^\w.-]+", "_", model_name(model))
        suffix = "all" if plan.part == "all" else f"split{plan.split}-{plan.part}"
        suffix += ("-flip" if flips(model, plan) else "") + ("-pipeline" if plan.pipeline else "")
        if output is not None:
            folder = output if len(models) == 1 else output / name
        elif _run_folder(model):
            folder = model.path.parent / f"evaluation-{suffix}"
        else:
            folder = Path("evaluation") / f"{name}-{suffix}"
        number, free = 1, folder
        while free in chosen:
            number += 1
            free = folder.with_name(f"{folder.name}-{number}")
        chosen.append(free)
    return chosen


def _run_folder(model: Model) -> bool:
    return model.path.name == "model.onnx" and (model.path.parent / "run.json").is_file()


def _attributes(samples: pl.DataFrame) -> dict[str, groups.Names]:
    return {
        "gender": samples["gender"].to_numpy().astype(object),
        "race": np.array(samples["race"].to_list(), object),
        "age": groups.band_names(samples["age"].to_numpy()),
    }


def describe_model(model: Model, name: str) -> dict[str, Any]:
    """Give what identifies a model file, and its card."""
    content = model.path.read_bytes()
    return {
        "name": name,
        "file": model.path.name,
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "card": dict(model.card),
    }
