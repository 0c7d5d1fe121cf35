"""The report: a page to look at, the same facts as JSON, and the weights."""

import json
from pathlib import Path
from typing import Any

import polars as pl

from agelens.data.exploration.facts import Facts
from agelens.data.exploration.plain import plain
from agelens.data.import_journal import write_whole
from agelens.reports import page
from agelens.reports.explore.faces import Gallery
from agelens.reports.explore.show_faces import gallery_section
from agelens.reports.explore.show_labels import ages_section, groups_section
from agelens.reports.explore.show_pictures import faces_section, pictures_section, shapes_section
from agelens.reports.explore.show_training import imbalance_section, splits_section
from agelens.reports.page import Finding, Page, Section, Text

_MEASURED = (
    "Every picture is measured as a model sees it, at 200 x 200 px. Brightness, contrast and "
    "sharpness are mean, standard deviation and variance of the Laplacian of the grey levels in "
    "the middle three quarters; saturation is the mean of the largest less the smallest channel; "
    "grey is a picture of which 99 % of the pixels have channels within 8 levels of each other.",
    "Faces are found by YuNet in the chip with a black border of 40 px, glanced at twice, as it is "
    "and mirrored, at 112 px; where the two disagree, are in doubt or see several faces, the full "
    "detector decides. Pose is told from its five points.",
    "Age groups are decades of the labelled age, or the source's own ranges. Groups under 20 "
    "faces are not described by figures of their own.",
)


def write_json(path: Path, made: dict[str, Any], facts: Facts, found: list[Finding]) -> None:
    """Write the facts, whole or not at all."""
    table = {
        "made": made,
        "findings": [{"text": one.text, "kind": one.kind} for one in found],
        **{name: plain(getattr(facts, name)) for name in Facts.__dataclass_fields__},
    }
    write_whole(path, (json.dumps(table, indent=1, ensure_ascii=False) + "\n").encode())


def write_weights(path: Path, weights: pl.DataFrame) -> None:
    """Write the CSV that `agelens train --downweight` takes, whole or not at all."""
    write_whole(path, weights.write_csv().encode())


def write_page(
    path: Path,
    made: dict[str, Any],
    facts: Facts,
    found: list[Finding],
    quality: pl.DataFrame,
    gallery: Gallery,
) -> None:
    """Write the page, whole or not at all."""
    sections: list[Section | None] = [
        ages_section(facts.labels),
        groups_section(facts.labels),
        pictures_section(facts, quality) if facts.pixels.measured else None,
        faces_section(facts, quality) if facts.pixels.measured else None,
        shapes_section(facts.shapes) if facts.shapes is not None else None,
        imbalance_section(facts),
        splits_section(facts.balance),
        gallery_section(gallery),
        Section("How it was measured", [Text(_MEASURED)]),
    ]
    source = f", from {made['source']}" if made["source"] else ""
    about = Page(
        title=f"Explored: {made['data']}",
        subtitle=f"{facts.labels.faces:,} labelled faces{source}",
        findings=found,
        sections=[section for section in sections if section is not None],
        foot=[
            f"{made['command']} · {made['date']}",
            "agelens {agelens}, Python {python}, polars {polars}, OpenCV {opencv-python-headless}"
            .format_map(_Versions(made["versions"])),
            f"dataset fingerprint {made['fingerprint']}",
        ],
    )  # fmt: skip
    page.write(about, path)


class _Versions(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return "?"
