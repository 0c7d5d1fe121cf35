"""Audit a model on a user's labelled faces: the function behind `agelens audit-model`.

An audit folder holds a report as `agelens report` writes it, verdicts first; `evaluation/` of all
faces as `agelens evaluate` writes it; and, where it is better, `recalibrated.onnx`.
"""

from collections.abc import Iterator
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
from agelens.evaluation.evaluate import Progress
from agelens.evaluation.evaluation_folder import load
from agelens.evaluation.figures import Faces
from agelens.evaluation.recalibration import recalibrate, verdicts
from agelens.evaluation.recalibration.recalibrate import Halves, split_in_half
from agelens.inference.runtime import Model
from agelens.reports import charts
from agelens.reports.charts import Axes, Line
from agelens.reports.comparison import report as reports
from agelens.reports.comparison.report import Made
from agelens.reports.comparison.rules import WARNING
from agelens.reports.numbers import Node, traced_interval, untagged
from agelens.reports.rendering import Finding, finding

RECALIBRATED = "recalibrated.onnx"
PARITY_FACES = 16
FINE = frozenset(("holds", "open", "none"))  # verdicts after which a model can be used as it is
FIGURES = (
    # figure, its name, form of the value, form of the difference
    ("interval_coverage", "coverage of the 90% interval", "share", "signed points"),
    ("interval_width", "mean width of the interval, years", "tenth", "signed tenth"),
    ("interval_score", "interval score, years", "tenth", "signed tenth"),
    ("age_log_loss", "age log loss, nats", "plain", "signed plain"),
    ("age_mae", "age MAE, years", "years", "signed years"),
    ("age_bias", "age bias, years", "signed years", "signed years"),
    ("gender_accuracy", "gender accuracy", "share", "signed points"),
    ("gender_ece", "gender ECE", "plain", "signed plain"),
    ("gender_log_loss", "gender log loss, nats", "plain", "signed plain"),
    ("gender_brier", "gender Brier score", "plain", "signed plain"),
)


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


def audit(plan: Plan, progress: Progress, command: str = "") -> tuple[Made, Path | None]:
    """Measure a model on all faces of a dataset and write the audit folder.

    Returns the page, whose tree has the figures behind the verdicts as "audit", and the file of
    the recalibrated model where one was kept.

    Raises DatasetError for a folder that is no dataset, for faces that are too few to recalibrate
    on, and for damaged pictures; ModelError for no model; SourceError where it cannot write.
    """
    if plan.data.is_dir() and not (plan.data / "samples.parquet").is_file():
        raise DatasetError(
            f"{str(plan.data)!r} is not a dataset folder: it has no samples.parquet. Import it "
            f"first: agelens data import {plan.data} DATASET  for aligned chips with labels; or, "
            f"for whole photos,  agelens data align {plan.data} ALIGNED  and then import "
            "ALIGNED/chips"
        )
    dataset = Dataset(plan.data)
    model = Model(plan.model, plan.threads)
    halves = split_in_half(dataset.samples, plan.seed) if plan.recalibrate else None
    name = evaluate.model_name(model)
    reports.make_folder(plan.output)
    folder = plan.output / "evaluation"
    evaluator = evaluate.Evaluator(
        plan.data, part="all", flip=plan.flip, threads=plan.threads, command=command
    )
    evaluator.run(model, folder, name, progress)
    made = reports.make(
        [f"{name}={folder}"], data=plan.data, models=[str(model.path)],
        saliency_faces=plan.saliency_faces, threads=plan.threads, progress=progress,
        command=command,
    )  # fmt: skip
    faces = load(folder).faces
    weights = bootstrap.resample(dataset.samples["sha256"].to_numpy())
    progress("verdicts", 0, 0)
    figures = made.tree["audit"] = verdicts.measure(faces, weights)
    new = plan.output / RECALIBRATED
    new.unlink(missing_ok=True)  # of an earlier audit: it does not belong to this page
    tried = new.with_name(new.name + ".tried")
    try:
        kept = False
        if halves is not None:
            found = _recalibrate(plan, model, dataset, halves, faces, tried, progress)
            kept = bool(found["better"])
            figures["recalibration"] = {**found, "kept": kept}
        made = _add_verdicts(made, name)
        reports.save(made, plan.output)
        if kept:
            tried.replace(new)
    finally:
        tried.unlink(missing_ok=True)
    return made, new if kept else None


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
    plan: Plan, model: Model, dataset: Dataset, halves: Halves, faces: Faces, file: Path,
    progress: Progress,
) -> dict[str, Any]:  # fmt: skip
    """Fit on one half, write the model, run it on the other half, and compare."""
    # It needs onnx, and the rest of an audit does not.
    from agelens.evaluation.recalibration import onnx_graph

    progress("recalibration", 0, 0)
    scaling, levels = recalibrate.fit(faces.take(halves.fit))
    check = dataset.samples.filter(~halves.fit)
    paths = [dataset.image_path(name) for name in check["file"]]
    about = {
        "of": evaluate.describe_model(model, "")["sha256"], "on": plan.data.resolve().name,
        "fingerprint": dataset.fingerprint, "faces": int(halves.fit.sum()), "seed": plan.seed,
        "date": provenance.now(),
    }  # fmt: skip
    few = np.stack([chips.read(path) for path in paths[:PARITY_FACES]])
    new = onnx_graph.write(model, file, scaling, levels, about, few, plan.threads)
    flip = evaluate.uses_flip(model, plan.flip)
    outputs = predictions.predict(
        new, paths, flip, plan.threads,
        lambda done: progress("the recalibrated model", done, len(paths)),
    )  # fmt: skip
    after = predictions.labelled_faces(check, outputs, new.interval_levels())
    weights = bootstrap.resample(check["sha256"].to_numpy())
    return {
        "fitted_on": about["faces"], "together": halves.by, "people_told": halves.has_subjects,
        "seed": plan.seed, "promised": COVERAGE, "scaling": asdict(scaling),
        "file": str(Path(plan.output.resolve().name, RECALIBRATED)),
        **recalibrate.compare(faces.take(~halves.fit), after, weights),
    }  # fmt: skip


def _findings(audit: Node, name: str) -> Iterator[Finding]:
    """Find what to say, the most important first: verdicts, recalibration, what to do."""
    intervals, gender, bias = (
        audit[key]["verdict"].value for key in ("intervals", "gender", "bias")
    )
    yield finding(
        "intervals_verdict", "verdicts", strange=intervals not in FINE, name=name, audit=audit
    )
    if "recalibration" in audit:
        new = audit["recalibration"]
        fine = new["kept"] or {intervals, gender} <= FINE
        bands_lost = [f"the intervals at ages {band}" for band in new["worse_at"] if new["better"]]
        losses = [*map(str, new["worse"]), *bands_lost]
        yield finding("recalibrated", "recalibrated", strange=not fine, found=new, losses=losses)
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


def before_and_after(found: Node) -> list[tuple[str, str, str, str]]:
    """Return every figure before and after a recalibration, and the difference, as plain text."""
    rows = []
    for key, name, form, gap in FIGURES:
        forms = {"before": form, "after": form, "difference": gap}
        shown = (traced_interval(found["figures"][key][of], forms[of]) for of in forms)
        before, after, difference = map(untagged, shown)
        rows.append((name, before, after, difference))
    return rows


def coverage_by_age(audit: Node, *, wide: bool) -> str:
    """Draw the coverage of the 90% interval by age band: before and after a recalibration.

    Without one it is that of all faces. Returns "" where no band has enough faces.
    """
    found, when = audit.value, ["figures"]
    if "recalibration" in found:
        found, when = found["recalibration"], ["before", "after"]
    rows = [r for r in found["by_age"] if r[when[0]]["interval_coverage"]["low"] is not None]
    if not rows:
        return ""
    ends = [row["age"].rstrip("+").split("-") for row in rows]
    middle = [(int(low) + int(*high)) / 2 if high else float(low) + 10 for low, *high in ends]
    series = {}
    for name in when:
        own = [row[name]["interval_coverage"] for row in rows]
        series[name] = Line(middle, *([one[e] for one in own] for e in ("value", "low", "high")))
    count = found["faces"] if wide else None
    axes = Axes("age label, years", "labels inside the 90% interval", count)
    return charts.lines(series, axes, share=True, markers=True, reference=COVERAGE, wide=wide)
