"""The worst errors: as a list, and as contact sheets where the pictures are at hand."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from agelens.reports.comparison.sections.terms import answered
from agelens.reports.page import Cell, Part, Picture, Pictures, Section, Table, Text
from agelens.reports.traced_text import Node, Sentence, join, say, word

Album = Callable[[str], NDArray[np.uint8]]
"""Gives the chip of a file of the dataset, uint8 (200, 200, 3) RGB."""

THUMB = 2  # every second pixel of a chip is enough


def worst(tree: Node, album: Album | None) -> Section:
    """Show the faces on which each model is most wrong; without an album as tables."""
    parts: list[Part] = [Text([_note(album)])]
    for name, model in answered(tree):
        found = model["mistakes"]
        parts.append(
            _ages(name, found["worst_ages"], album)
            if album is None
            else Pictures(
                [_age(row, album) for row in found["worst_ages"]],
                say("{name}: the largest errors of age", name=name),
            )
        )
        if album is not None and len(found["worst_genders"]):
            parts.append(
                Pictures(
                    [_gender(row, album) for row in found["worst_genders"]],
                    say("{name}: the surest of its wrong genders", name=name),
                )
            )
    parts += _doubtful(tree, album)
    return Section("The worst errors", parts)


def _note(album: Album | None) -> Sentence:
    if album is None:
        return Sentence(
            "The pictures are left out: give the dataset with --data, and they are shown here."
        )
    return Sentence(
        "These pictures belong to the dataset and its terms: this page is for your own use, not to "
        "be passed on. Many of the largest errors are errors of the label: look before you judge."
    )


def _said(row: Node) -> Sentence:
    return say(
        "label {age}, said {said} ({low} to {high})",
        age=row["age"].show("count"),
        said=row["said_age"].show("whole"),
        low=row["low"].show("whole"),
        high=row["high"].show("whole"),
    )


def _age(row: Node, album: Album) -> Picture:
    return _picture(row, album, _said(row))


def _gender(row: Node, album: Album) -> Picture:
    words = say(
        'label {gender} ({age} years), said "female" {p}',
        gender=Sentence(row["gender"].value),
        age=row["age"].show("count"),
        p=row["female_probability"].show("share"),
    )
    return _picture(row, album, words)


def _picture(row: Node, album: Album, words: Sentence) -> Picture:
    chip = album(row["file"].value)[::THUMB, ::THUMB]
    described = join([Sentence("face:"), words])
    return Picture(np.ascontiguousarray(chip), words, described)


def _ages(name: str, rows: Node, album: Album | None) -> Table:
    cells: list[list[Cell]] = [
        [
            word(row["file"].value),
            row["age"].show("count"),
            row["said_age"].show("tenth"),
            row["low"].show("tenth"),
            row["high"].show("tenth"),
        ]
        for row in rows
    ]
    columns = ["file", "label, years", "said, years", "interval from", "to"]
    return Table(columns, cells, say("{name}: the largest errors of age", name=name), wide=True)


def _doubtful(tree: Node, album: Album | None) -> list[Part]:
    if "comparison" not in tree or tree["comparison"].value is None:
        return []
    found = tree["comparison"]["doubtful_labels"]
    if not found["faces"].value:
        return []
    words = say(
        "On {faces} faces ({share}) all models agree within {near} years of each other and are all "
        "more than {far} years from the label. There the label is the first suspect: these are the "
        "faces to look at before any model is blamed.",
        faces=found["faces"].show("count"),
        share=found["share"].show("share"),
        near=found["agree_within"].show("number"),
        far=found["apart_over"].show("number"),
    )
    if album is None:
        return [Text([words])]
    pictures = [
        _picture(
            row,
            album,
            say(
                "label {age}, all say about {said}",
                age=row["age"].show("count"),
                said=row["said_age"].show("whole"),
            ),
        )
        for row in found["worst"]
    ]
    return [Text([words]), Pictures(pictures, Sentence("All models against the label"))]
