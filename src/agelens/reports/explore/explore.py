"""Explore a data set folder: measure, find, and write the page, the JSON and the weights."""

import json
import math
from dataclasses import dataclass
from pathlib import Path

from agelens.data import quality
from agelens.data.exploration.age_bands import bands_of
from agelens.data.exploration.balance import compare_splits
from agelens.data.exploration.class_weights import face_weights, measure_imbalance
from agelens.data.exploration.facts import Facts
from agelens.data.exploration.label_statistics import describe_labels
from agelens.data.exploration.landmark_statistics import describe_landmarks, read_points
from agelens.data.exploration.picture_statistics import describe_pictures
from agelens.data.exploration.shortcuts import measure_shortcuts
from agelens.data.storage import write_atomic
from agelens.faces.alignment import TEMPLATE
from agelens.reports import dataset_page
from agelens.reports.dataset_page import Report, Steps
from agelens.reports.explore.drawings import FIGURES, draw
from agelens.reports.explore.faces import gather
from agelens.reports.explore.rules import findings
from agelens.reports.findings import Finding


@dataclass(frozen=True, slots=True)
class Explored:
    """What an exploration found, and the files it wrote."""

    facts: Facts
    findings: list[Finding]
    page: Path
    json: Path
    weights: Path
    seconds: dict[str, float]  # by step


def explore(
    data: Path,
    output: Path,
    landmarks: Path | None = None,
    command: str = "",
    report: Report | None = None,
) -> Explored:
    """Write `explore.html`, `explore.json` and `weights.csv` in OUTPUT for a data set folder.

    `landmarks` is a list of 68 points, as text or Parquet. Raises DatasetError for what is no
    data set folder, holds no sample, or cannot be written, and for a list of other faces.
    """
    steps = Steps(report)
    with steps.step("read the dataset"):
        dataset = dataset_page.prepare(data, output)
        points = read_points(landmarks) if landmarks is not None else None
    samples = dataset.samples
    bands = bands_of(samples)
    with steps.step("measure the pictures") as counted:
        measured = quality.measure(dataset, counted)
    with steps.step("count the labels"):
        labels = describe_labels(samples, bands)
        imbalance = measure_imbalance(samples, bands)
        scheme, weights = face_weights(samples, bands)
    with steps.step("compare splits and folds"):
        balance = compare_splits(samples)
    with steps.step("summarise the pictures"):
        pixels = describe_pictures(samples, measured, bands)
    with steps.step("look for shortcuts"):
        shortcuts = measure_shortcuts(samples, measured)
    shapes = None
    if points is not None:
        with steps.step("average the landmarks"):
            shapes = describe_landmarks(samples, points, measured, bands)
    with steps.step("average the faces") as counted:
        gallery = gather(dataset, measured, bands, counted)
    facts = Facts(labels, pixels, shortcuts, shapes, imbalance, scheme, balance)
    found = findings(facts)
    made = dataset_page.provenance_of(dataset, command) | {"source": _source(data)}
    names = ("explore.html", "explore.json", "weights.csv")
    page, facts_file, table = (output / name for name in names)
    with dataset_page.writing(output):
        with steps.step("draw the page"):
            dataset_page.write_html(
                page, "explore/page.jinja", made, facts, found, charts=draw(facts, measured),
                gallery=gallery, words=FIGURES, landmarks_template=TEMPLATE.tolist(),
                log10=math.log10,
            )  # fmt: skip
            write_atomic(table, weights.write_csv().encode())
        made["seconds"] = steps.seconds
        dataset_page.write_json(facts_file, made, facts, found)
    return Explored(facts, found, page, facts_file, table, steps.seconds)


def _source(data: Path) -> str:
    """Give the name of what a data set was imported from; empty if it is not recorded."""
    try:
        about = json.loads((data / "dataset.json").read_text("utf-8"))
        return str(about["source"]["name"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
