"""Audit a model on a user's labelled faces: the function behind `agelens audit-model`.

An audit folder holds
  report.html, report.md, report.json  as `agelens report` writes them, verdicts first
  evaluation/                          as `agelens evaluate` writes it, of all faces
  recalibrated.onnx                    with `recalibrate`, where it is better
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from agelens import provenance
from agelens.data import chips
from agelens.data.dataset import Dataset
from agelens.errors import DatasetError
from agelens.evaluation import bootstrap, evaluate, predictions
from agelens.evaluation.calibration import COVERAGE
from agelens.evaluation.evaluation_folder import load
from agelens.evaluation.figures import Faces
from agelens.evaluation.recalibration import recalibrate, verdicts
from agelens.evaluation.recalibration.recalibrate import Halves, split_in_half
from agelens.inference.runtime import Model
from agelens.reports.comparison import report as reports
from agelens.reports.comparison.report import Made
from agelens.reports.comparison.rules import WARNING
from agelens.reports.model_audit import rules
from agelens.reports.numbers import Node

RECALIBRATED = "recalibrated.onnx"
PARITY_FACES = 16

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and of how much (0: not known)."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to audit, and how."""

    data: Path
    output: Path
    model: str | None = None  # a shipped name, a run folder, an ONNX file; None: the default
    recalibrate: bool = False
    flip: bool | None = None  # None: as the model's card says
    seed: int = 0  # of the halves
    saliency_faces: int = 0
    threads: int | None = None  # None: one per core


@dataclass(frozen=True, slots=True, eq=False)
class Audited:
    """The result of an audit."""

    made: Made  # the page
    audit: Node  # the figures behind the verdicts, as in report.json
    recalibrated: Path | None  # the new model, where one was kept


def audit(plan: Plan, progress: Progress, command: str = "") -> Audited:
    """Measure a model on all faces of a dataset and write the audit folder.

    Raises DatasetError for a folder that is no dataset, for faces that are too few to recalibrate
    on, and for damaged pictures; ModelError for no model; SourceError where it cannot write.
    """
    dataset = _open(plan.data)
    model = Model(plan.model, plan.threads)
    halves = split_in_half(dataset.samples, plan.seed) if plan.recalibrate else None
    name = evaluate.model_name(model)
    reports.make_folder(plan.output)
    evaluator = evaluate.Evaluator(
        evaluate.Plan(plan.data, part="all", flip=plan.flip, threads=plan.threads), command
    )
    folder = plan.output / "evaluation"
    evaluator.run(model, folder, name, progress)
    about = reports.Plan(
        [f"{name}={folder}"], plan.output, plan.data, [str(model.path)], plan.saliency_faces,
        plan.threads,
    )  # fmt: skip
    made = reports.make(about, progress, command)
    tree = made.tree
    faces = load(folder).faces
    weights = bootstrap.resample(dataset.samples["sha256"].to_numpy())
    progress("verdicts", 0, 0)
    tree["audit"] = verdicts.measure(faces, weights)
    new = plan.output / RECALIBRATED
    new.unlink(missing_ok=True)  # of an earlier audit: it does not belong to this page
    tried = new.with_name(new.name + ".tried")
    try:
        kept = False
        if halves is not None:
            found = _recalibrate(plan, model, dataset, halves, faces, tried, progress)
            kept = bool(found["better"])
            tree["audit"]["recalibration"] = {**found, "kept": kept}
        made = _add_verdicts(made, name)
        reports.save(made, plan.output)
        if kept:
            tried.replace(new)
    finally:
        tried.unlink(missing_ok=True)
    return Audited(made, Node(tree)["audit"], new if kept else None)


def _add_verdicts(made: Made, name: str) -> Made:
    """Put the verdicts before the report, whose own opening becomes the chapter "In short"."""
    warned = [one for one in made.foremost if one.importance >= WARNING]
    found = rules.find(made.context["tree"]["audit"], name)
    return replace(
        made,
        context=made.context | {"name": name, "rules": rules},
        template="model_audit/page.jinja",
        words="model_audit/findings.jinja",
        found=[*made.found, *found],
        foremost=[*warned, *found],
        in_short=[one for one in made.foremost if one not in warned],
    )


def _open(folder: Path) -> Dataset:
    """Open the dataset. Raises DatasetError, with what to do, for a folder that is none."""
    if folder.is_dir() and not (folder / "samples.parquet").is_file():
        raise DatasetError(
            f"{str(folder)!r} is not a dataset folder: it has no samples.parquet. Import it first: "
            f"agelens data import {folder} DATASET  for aligned chips with labels; or, for whole "
            f"photos,  agelens data align {folder} ALIGNED  and then import ALIGNED/chips"
        )
    return Dataset(folder)


def _recalibrate(
    plan: Plan,
    model: Model,
    dataset: Dataset,
    halves: Halves,
    faces: Faces,
    file: Path,
    progress: Progress,
) -> dict[str, Any]:
    """Fit on one half, write the model, run it on the other half, and compare."""
    # It needs onnx, and the rest of an audit does not.
    from agelens.evaluation.recalibration import onnx_graph

    progress("recalibration", 0, 0)
    scaling, levels = recalibrate.fit(faces.take(halves.fit))
    check = dataset.samples.filter(halves.check)
    paths = [dataset.image_path(file) for file in check["file"]]
    about = {
        "of": evaluate.describe_model(model, "")["sha256"],
        "on": plan.data.resolve().name,
        "fingerprint": dataset.fingerprint,
        "faces": int(halves.fit.sum()),
        "seed": plan.seed,
        "date": provenance.now(),
    }
    few = np.stack([chips.read(path) for path in paths[:PARITY_FACES]])
    new = onnx_graph.write(model, file, scaling, levels, about, few, plan.threads)
    flip = evaluate.uses_flip(model, plan.flip)
    outputs = predictions.predict_chips(
        new, paths, flip, plan.threads,
        lambda done: progress("the recalibrated model", done, len(paths)),
    )  # fmt: skip
    after = predictions.labelled_faces(check, outputs, new.interval_levels())
    weights = bootstrap.resample(check["sha256"].to_numpy())
    return {
        "fitted_on": int(halves.fit.sum()),
        "together": halves.by,
        "people_told": halves.has_subjects,
        "seed": plan.seed,
        "promised": COVERAGE,
        "scaling": asdict(scaling),
        "file": str(Path(plan.output.resolve().name, RECALIBRATED)),
        **recalibrate.compare(faces.take(halves.check), after, weights),
    }
