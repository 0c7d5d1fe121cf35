"""From evaluation folders to a report: what `agelens report` calls.

A report folder holds `report.html`, which opens from disk and needs no network; `report.md`, the
same text with `charts/*.svg`, without faces; and `report.json`, every number and sentence.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from agelens import provenance
from agelens.errors import SourceError
from agelens.evaluation import data_quality, saliency
from agelens.evaluation.comparison_facts import measure
from agelens.evaluation.evaluate import Progress
from agelens.evaluation.evaluation_folder import load_all
from agelens.output.tables import replacing
from agelens.reports import numbers, rendering
from agelens.reports.comparison import charts, facts, rules, verdicts
from agelens.reports.comparison.photos import Photos, map_saliency
from agelens.reports.numbers import Node
from agelens.reports.rendering import Finding, Form, foremost, write_findings

FORMAT = 1  # version of `report.json`


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """A report before it is written: its figures, and what its page is rendered from."""

    tree: dict[str, Any]  # report.json
    context: dict[str, Any]  # of the page template, without the findings
    found: list[Finding]  # each stands beside its chart or table
    foremost: list[Finding]  # those that the page opens with
    template: str = "comparison/page.jinja"
    words: str = "comparison/findings.jinja"  # the template of the findings
    verdicts: Mapping[str, Mapping[str, list[Finding]]] = field(default_factory=dict)
    in_short: Sequence[Finding] = ()

    def page(self, form: Form = "html") -> dict[str, Any]:
        """Return the context of the page, with the text of the findings in one form."""
        word = partial(write_findings, self.words, form=form)
        return self.context | {
            "findings": word(self.found), "foremost": word(self.foremost),
            "in_short": word(self.in_short),
            "verdicts": {
                name: [(heading, word(found)) for heading, found in lists.items()]
                for name, lists in self.verdicts.items()
            },
        }  # fmt: skip

    def html(self) -> str:
        """Render the page."""
        return rendering.html(self.template, **self.page())

    @property
    def opening(self) -> list[Finding]:
        """The findings that the page opens with, as plain text."""
        return write_findings(self.words, self.foremost)


def write(evaluations: Sequence[str], output: Path, **options: Any) -> Made:
    """Make a report and write it; return what was made. Takes the options of `make`.

    Raises SourceError, DatasetError or ModelError for what cannot be read or does not fit
    together, MissingExtra where jinja2 or matplotlib are not installed.
    """
    make_folder(output)
    made = make(evaluations, **options)
    save(made, output)
    return made


def make_folder(folder: Path) -> None:
    """Make a folder to write to. Raises SourceError where that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SourceError(
            f"cannot write to {str(folder)!r}: {error.strerror or error}; expected a folder"
        ) from error


def save(made: Made, folder: Path) -> None:
    """Write the page and its figures into a report folder."""
    html = made.html()
    sentences = [
        {"section": one.section, "text": one.text, "numbers": [asdict(n) for n in one.numbers]}
        for one in numbers.read(html)
        if one.tag in ("p", "li", "figcaption") or (one.tag == "td" and one.text.endswith("."))
    ]
    tree = json.dumps(
        made.tree | {"text": sentences}, indent=1, ensure_ascii=False, allow_nan=False
    )
    for name, text in (("report.html", html), ("report.json", tree + "\n")):
        with replacing(folder / name) as file:
            file.write(text)
    rendering.write_markdown(folder / "report.md", made.template, **made.page("markdown"))


def make(
    evaluations: Sequence[str], *, data: Path | None = None, models: Sequence[str] = (),
    saliency_faces: int = 32, threads: int | None = None,
    progress: Progress = lambda *_: None, command: str = "",
) -> Made:  # fmt: skip
    """Measure, and decide what to say, without writing.

    Takes folders, or NAME=FOLDER; the dataset, for all that needs the pictures; and model files
    that do not lie beside their evaluation. 0 saliency faces leave saliency out; `threads` are one
    a core by default.
    """
    evaluated = load_all(evaluations)
    photos = None if data is None else Photos(data, evaluated[0])
    named, parts = photos.group_by_quality(threads, progress) if photos else (None, None)
    tree: dict[str, Any] = {
        "format": FORMAT, "command": command, "date": provenance.now(),
        "versions": provenance.versions(),
        **measure(evaluated, named, lambda stage: progress(stage, 0, 0)),
    }  # fmt: skip
    if photos is not None:
        tree["quality"] = {"units": data_quality.UNITS, "parts": parts}
        tree["data"]["label_noise"] = data_quality.label_noise(photos.dataset.samples)
    overlays = map_saliency(tree, evaluated, models, photos, saliency_faces, threads, progress)
    progress("page", 0, 0)
    node = Node(tree)
    answered = facts.answered(node)
    ages = {one.name: (one.faces.age, one.faces.age_median) for one in evaluated}
    context = {
        "tree": node, "models": answered, "facts": facts, "draw": charts.Drawn(),
        "ages": ages.__getitem__, "album": None if photos is None else photos.thumbnail,
        "overlays": overlays, "grid": saliency.GRID,
    }  # fmt: skip
    lists = {name: verdicts.find(node, name, model) for name, model in answered}
    found = list(rules.find(node))
    return Made(tree, context, found, foremost(found), verdicts=lists)
