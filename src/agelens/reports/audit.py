"""Audit a data set folder: check, compare, judge, and write the page, the JSON and the actions.

The sentences stand in `templates/audit/findings.jinja`.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

from agelens.data import quality
from agelens.data.audit import duplicates, face_problems, facts, files, label_errors
from agelens.data.audit.facts import Facts, ModelOutputs
from agelens.data.audit.label_errors import ScoredLabels
from agelens.reports import charts, dataset_page
from agelens.reports.charts import Axes
from agelens.reports.dataset_page import DatasetReport, Report
from agelens.reports.galleries import audited_faces
from agelens.reports.rendering import Finding, finding, strange, write_findings

_LEAST = 20  # faces from which an age group is drawn


def audit(
    data: Path, output: Path, models: ModelOutputs, command: str = "",
    before: Mapping[str, float] | None = None, threads: int | None = None,
    report: Report = lambda *_: None,
) -> DatasetReport[Facts]:  # fmt: skip
    """Write `audit.html`, `audit.json` and `actions.csv` in OUTPUT for a data set folder.

    `before` has the seconds of steps that were done already, such as running models; `threads`
    are one a core by default. Raises DatasetError for what is no data set folder, holds no
    sample, or cannot be written, and for predictions of other faces.
    """
    seconds = dict(before or {})
    step = partial(dataset_page.timed, seconds, report)
    dataset = dataset_page.prepare(data, output)
    samples = dataset.samples
    predicted = scored = None
    if models.out_of_fold:
        predicted = label_errors.read_predictions(models.out_of_fold, samples)
    with step("check the files") as counted:
        checked = files.check(dataset, counted, threads)
    with step("find copies"):
        digests = samples["sha256"].to_numpy()
        copies = duplicates.find(digests, checked.hashes, checked.sound, models.descriptors)
    with step("measure the pictures") as counted:
        measured = quality.measure(dataset, counted, threads)
        problems = face_problems.find(measured, checked.beyond, models.looks_painted)
    if predicted is not None:
        with step("judge the labels"):
            scored = label_errors.score_labels(samples, predicted)
    to_do = [
        *facts.actions_for_files(checked.faults),
        *facts.actions_for_copies(samples, copies, predicted),
        *(facts.actions_for_labels(samples, scored) if scored is not None else ()),
        *facts.actions_for_faces(samples, problems),
    ]
    suggestions, by_problem, left_out = facts.count_actions(to_do)
    found = Facts(
        samples=len(dataset), rejects=checked.rejects, faults=checked.faults,
        copies=facts.copy_facts(samples, copies, models.descriptors is not None),
        faces=facts.face_facts(samples, problems), grey=int(measured["grey"].sum() or 0),
        labels=facts.label_facts(samples, scored) if scored is not None else None,
        no_labels="" if scored is not None else models.missing, suggestions=suggestions,
        problems=by_problem, left_out=left_out,
    )  # fmt: skip
    with step("pick the pictures"):
        gallery = audited_faces(dataset, copies, problems, scored)
    with step("draw the charts"):
        drawn = _draw(found, samples, scored)
    texts = write_findings("audit/findings.jinja", _find(found), found)
    return dataset_page.write(
        output, "audit", "actions.csv", lambda path: facts.write_actions(to_do, path),
        dataset=dataset, facts=found, found=texts, seconds=seconds,
        about={"command": command}, charts=drawn, gallery=gallery,
        window=label_errors.WINDOW, reach=duplicates.REACH, bits=duplicates.BITS,
        backbone=face_problems.BACKBONE, disputed_weight=facts.DISPUTED_WEIGHT,
        relabel_below=facts.RELABEL_BELOW,
    )  # fmt: skip


def _draw(found: Facts, samples: pl.DataFrame, scored: ScoredLabels | None) -> dict[str, str]:
    drawn = dict.fromkeys(("problems", "problems_narrow", "labels", "suspects"), "")
    if found.problems:
        ordered = dict(sorted(found.problems.items(), key=lambda item: -item[1]))
        series = {"lines of actions.csv": list(ordered.values())}
        axes = Axes("problem", "lines of actions.csv", sum(ordered.values()), "lines")
        for name, wide in (("problems", True), ("problems_narrow", False)):
            drawn[name] = charts.bars(list(ordered), series, axes, counts=True, wide=wide)
    if scored is None or found.labels is None:
        return drawn
    judged = np.isfinite(scored.age.score)
    axes = Axes("labelled age, years", "predicted age, years", found.labels.faces)
    ages = samples["age"].to_numpy()[judged]
    drawn["labels"] = charts.scatter(ages, scored.age_median[judged], axes)
    bands = {name: one for name, one in found.labels.bands.items() if one[0] >= _LEAST}
    if bands:
        shares = {
            label: [one[place] / one[0] for one in bands.values()]
            for label, place in (("age", 1), ("gender", 2))
        }
        axes = Axes("labelled age, years", "share of labels", found.labels.faces)
        drawn["suspects"] = charts.bars(list(bands), shares, axes, share=True)
    return drawn


def _find(facts: Facts) -> Iterator[Finding]:
    yield strange("unusable", "files", 95) if facts.faults else finding("sound", "files", 40)
    if facts.rejects:
        yield finding("rejects", "files", 30)
    copies = facts.copies
    if not copies.every.groups:
        yield finding("no_copies", "copies", 35)
    if copies.identical.groups:
        yield strange("identical_copies", "copies", 80)
    if copies.near.groups:
        yield strange("near_copies", "copies", 78)
    if copies.every.conflicts.other_fold:
        yield strange("copies_across_folds", "copies", 92)
    yield finding("faces", "faces", 60)
    if facts.labels is not None:
        yield finding("agreement", "labels", 50)
        some = bool(facts.labels.age_suspects or facts.labels.gender_suspects)
        yield finding("suspects", "suspects", 85 if some else 45, strange=some)
    yield finding("actions" if facts.suggestions else "no_actions", "actions", 75)
