"""Audit a model on a user's labelled faces: the function behind `agelens audit-model`.

An audit folder holds a report as `agelens report` writes it, verdicts first; `evaluation/` of all
faces as `agelens evaluate` writes it; and, where it is better, `recalibrated.onnx`.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from agelens.data import chips
from agelens.data.dataset import Dataset
from agelens.errors import DatasetError
from agelens.evaluation import bootstrap, evaluate, verdicts
from agelens.evaluation.adaptation.album import PARITY_FACES
from agelens.evaluation.adaptation.parts import LabelledOutputs
from agelens.evaluation.adaptation.selection import WHEN, select
from agelens.evaluation.calibration import COVERAGE
from agelens.evaluation.evaluate import Progress
from agelens.evaluation.evaluation_folder import load
from agelens.evaluation.figures import Faces
from agelens.inference.runtime import Model
from agelens.reports.adaptation import FIGURES, card_entry, draw_by_age
from agelens.reports.charts import Axes
from agelens.reports.comparison import report as reports
from agelens.reports.comparison.report import Made
from agelens.reports.comparison.rules import WARNING
from agelens.reports.numbers import Node
from agelens.reports.rendering import Finding, finding

RECALIBRATED = "recalibrated.onnx"
FINE = frozenset(("holds", "open", "none"))  # verdicts after which a model can be used as it is


def audit(
    data: Path, output: Path, model_name: str | None, progress: Progress, *,
    recalibrate: bool = False, flip: bool | None = None, seed: int = 0, saliency_faces: int = 0,
    threads: int | None = None, command: str = "",
) -> tuple[Made, Path | None]:  # fmt: skip
    """Measure a model on all faces of a dataset and write the audit folder.

    `seed` is that of the cross-validation. Returns the page, whose tree has the figures behind the
    verdicts as "audit", and the file of the recalibrated model where one was kept.

    Raises DatasetError for a folder that is no dataset, for faces that are too few to recalibrate
    on, and for damaged pictures; ModelError for no model; SourceError where it cannot write.
    """
    if data.is_dir() and not (data / "samples.parquet").is_file():
        raise DatasetError(
            f"{str(data)!r} is not a dataset folder: it has no samples.parquet. Import it first: "
            f"agelens data import {data} DATASET  for aligned chips with labels; or, for whole "
            f"photos,  agelens data align {data} ALIGNED  and then import ALIGNED/chips"
        )
    dataset, model = Dataset(data), Model(model_name, threads)
    if recalibrate and len(dataset) < verdicts.ENOUGH_TO_ADAPT:
        raise DatasetError(
            f"{len(dataset):,} faces are too few to recalibrate on: expected at least "
            f"{verdicts.ENOUGH_TO_ADAPT}; label more, or leave --recalibrate off"
        )
    name, folder = evaluate.model_name(model), output / "evaluation"
    reports.make_folder(output)
    evaluator = evaluate.Evaluator(data, part="all", flip=flip, threads=threads, command=command)
    evaluator.run(model, folder, name, progress)
    made = reports.make(
        [f"{name}={folder}"], data=data, models=[str(model.path)], saliency_faces=saliency_faces,
        threads=threads, progress=progress, command=command,
    )  # fmt: skip
    faces = load(folder).faces
    weights = bootstrap.resample(dataset.samples["sha256"].to_numpy())
    progress("verdicts", 0, 0)
    figures = made.tree["audit"] = verdicts.measure(faces, weights)
    new = output / RECALIBRATED
    new.unlink(missing_ok=True)  # of an earlier audit: it does not belong to this page
    if recalibrate:
        progress("recalibration", 0, 0)
        figures["recalibration"] = _recalibrate(model, dataset, faces, new, seed, threads)
    made = _add_verdicts(made, name)
    reports.save(made, output)
    return made, new if new.is_file() else None


def _add_verdicts(made: Made, name: str) -> Made:
    """Put the verdicts before the report, whose own opening becomes the chapter "In short"."""
    warned = [one for one in made.foremost if one.importance >= WARNING]
    audit = made.context["tree"]["audit"]
    found = list(_findings(audit, name))
    own = {
        "name": name, "figures_after": FIGURES, "coverage_wide": coverage_by_age(audit, wide=True),
        "coverage_narrow": coverage_by_age(audit, wide=False),
    }  # fmt: skip
    return replace(
        made, context=made.context | own, found=[*made.found, *found],
        template="model_audit/page.jinja", words="model_audit/findings.jinja",
        foremost=[*warned, *found], in_short=[one for one in made.foremost if one not in warned],
    )  # fmt: skip


def _recalibrate(
    model: Model, dataset: Dataset, faces: Faces, file: Path, seed: int, threads: int | None
) -> dict[str, Any]:
    # It needs onnx, and the rest of an audit does not.
    from agelens.evaluation.adaptation import onnx_graph

    samples = dataset.samples
    photos, named = samples["sha256"], "subject" in samples.columns
    people = samples["subject"].fill_null(photos) if named else photos
    outputs = LabelledOutputs(
        faces.probabilities, faces.female_probability, faces.age.astype(np.float64),
        faces.female.astype(np.float64), people.to_numpy().astype(object),
    )  # fmt: skip
    selection = select(outputs, model.interval_levels(), seed)
    if selection.kept:
        about = card_entry(model, dataset.folder, selection) | {"fingerprint": dataset.fingerprint}
        paths = map(dataset.image_path, samples["file"][:PARITY_FACES])
        few = np.stack([chips.read(path) for path in paths])
        onnx_graph.write(model, file, selection.adaptation, about, few, threads)
    path = str(Path(file.parent.resolve().name, file.name))
    return selection.found | {"people_named": named, "file": path}


def _findings(audit: Node, name: str) -> Iterator[Finding]:
    keys = ("intervals", "gender", "bias")
    intervals, gender, bias = (audit[key]["verdict"].value for key in keys)
    off = intervals not in FINE
    yield finding("intervals_verdict", "verdicts", strange=off, name=name, audit=audit)
    if "recalibration" in audit:
        new = audit["recalibration"]
        fine = new["kept"] or {intervals, gender} <= FINE
        yield finding("recalibrated", "recalibrated", strange=not fine, found=new)
    yield finding("what_to_do", audit=audit)
    yield finding("gender_verdict", "verdicts", strange=gender not in FINE, gender=audit["gender"])
    yield finding("bias_verdict", "verdicts", strange=bias not in FINE, audit=audit)
    parts = [
        (verdict, rows)
        for verdict in ("narrow", "wide", "holds", "open", "few")
        if (rows := [row for row in audit["by_age"] if row["verdict"].value == verdict])
    ]
    failing = any(verdict in ("narrow", "wide") for verdict, _ in parts)
    yield finding("intervals_by_age", "verdicts by age", strange=failing, parts=parts)


def coverage_by_age(audit: Node, *, wide: bool) -> str:
    """Draw the coverage of the 90% interval by age band, before and after a recalibration if any.

    Returns "" where no band has enough faces.
    """
    found = audit.value.get("recalibration", audit.value)
    when = WHEN[:2] if "recalibration" in audit else ("figures",)
    count = found["faces"] if wide else None
    axes = Axes("age label, years", "labels inside the 90% interval", count)
    return draw_by_age(
        found["by_age"], when, "interval_coverage", axes, share=True, reference=COVERAGE, wide=wide
    )
