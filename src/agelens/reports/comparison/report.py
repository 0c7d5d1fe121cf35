"""From evaluation folders to a report: what `agelens report` calls.

A report folder holds
  report.html    the page; it opens from disk and needs no network
  report.md      the same text, with charts/*.svg; without pictures of faces
  report.json    every number of the text, and each sentence with the places of its numbers
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agelens import provenance
from agelens.errors import SourceError
from agelens.evaluation import label_noise, picture_quality, saliency
from agelens.evaluation.comparison_facts import measure
from agelens.evaluation.evaluation_folder import Evaluated, load_all
from agelens.output.tables import replacing
from agelens.reports import markdown
from agelens.reports import page as pages
from agelens.reports.comparison import saliency_maps
from agelens.reports.comparison.photos import Photos, Report
from agelens.reports.comparison.sections.looked_at import Looked
from agelens.reports.comparison.sections.whole import whole
from agelens.reports.comparison.sections.worst import Album
from agelens.reports.page import Page, Table, Text
from agelens.reports.traced_text import Node, Sentence

FORMAT = 1
"""Version of `report.json`."""

SALIENCY_FACES = 32


@dataclass(frozen=True, slots=True)
class Plan:
    """What to report on."""

    evaluations: Sequence[str]  # folders, or NAME=FOLDER
    output: Path
    data: Path | None = None  # the dataset, for all that needs the pictures
    models: Sequence[str] = ()  # model files that do not lie beside their evaluation
    saliency_faces: int = SALIENCY_FACES  # 0: no saliency
    threads: int | None = None  # None: one per core


def write(plan: Plan, report: Report, command: str = "") -> Page:
    """Make a report and write it; give its page.

    Raises SourceError, DatasetError or ModelError for what cannot be read or does not fit
    together, MissingExtra where jinja2 or matplotlib are not installed.
    """
    make_folder(plan.output)
    tree, page = make(plan, report, command)
    save(tree, page, plan.output)
    return page


def save(tree: dict[str, Any], page: Page, folder: Path) -> None:
    """Write a tree of figures and the page that tells it into a report folder."""
    pages.write(page, folder / "report.html")
    markdown.write(page, folder / "report.md")
    with replacing(folder / "report.json") as file:
        whole = tree | {"text": sentences(page)}
        json.dump(whole, file, indent=1, ensure_ascii=False, allow_nan=False)
        file.write("\n")


def make(plan: Plan, report: Report, command: str = "") -> tuple[dict[str, Any], Page]:
    """Measure and tell, without writing; give the tree of figures and the page."""
    evaluated = load_all(plan.evaluations)
    pictures = None if plan.data is None else Photos(plan.data, evaluated[0])
    named, parts = (None, None) if pictures is None else pictures.look(plan.threads, report)
    tree: dict[str, Any] = {
        "format": FORMAT,
        "command": command,
        "date": provenance.now(),
        "versions": provenance.versions(),
        **measure(evaluated, named, lambda words: report(words, 0, 0)),
    }
    if pictures is not None:
        tree["quality"] = {"units": picture_quality.UNITS, "parts": parts}
        tree["data"]["label_noise"] = label_noise.measure(pictures.dataset.samples)
    looked = _map(evaluated, pictures, plan, tree, report)
    report("page", 0, 0)
    points = {one.name: (one.faces.age, one.faces.age_median) for one in evaluated}
    album: Album | None = None if pictures is None else pictures.chip
    return tree, whole(Node(tree), points, album, looked)


def _map(
    evaluated: Sequence[Evaluated],
    pictures: Photos | None,
    plan: Plan,
    tree: dict[str, Any],
    report: Report,
) -> Looked | None:
    """Map the models, and write what the maps say into the tree."""
    files = saliency_maps.find_models(evaluated, plan.models)
    tree["saliency_left_out"] = saliency_maps.why_not(
        evaluated, files, pictures, plan.saliency_faces
    )
    if pictures is None or any(one.about["pipeline"] for one in evaluated):
        return None
    looked = saliency_maps.look(
        evaluated, files, pictures, plan.saliency_faces, plan.threads, report
    )
    for name, maps in looked.maps.items() if looked else ():
        tree["models"][name]["saliency"] = saliency.measure(maps)
    return looked


def sentences(page: Page) -> list[dict[str, Any]]:
    """Give the sentences of a page, each with the places of its numbers."""
    texts: list[tuple[str, str]] = [("summary", finding.text) for finding in page.findings]
    for section in page.sections:
        for part in section.parts:
            if isinstance(part, Text):
                texts += [(section.title, paragraph) for paragraph in part.paragraphs]
            elif isinstance(part, Table):
                cells = [cell for row in part.rows for cell in row]
                texts += [(section.title, c) for c in cells if isinstance(c, str) and c[-1:] == "."]
    return [
        {
            "section": str(title),
            "text": str(text),
            "numbers": [{"shown": q.shown, "at": q.path, "times": q.times} for q in text.quotes]
            if isinstance(text, Sentence)
            else [],
        }
        for title, text in texts
    ]


def make_folder(folder: Path) -> None:
    """Make a folder to write to. Raises SourceError where that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SourceError(
            f"cannot write to {str(folder)!r}: {error.strerror or error}; expected a folder"
        ) from error
