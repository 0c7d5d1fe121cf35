"""Strengths, weaknesses and what to improve, of each model."""

from agelens.evaluation.report.quoting import Node, Sentence, word
from agelens.evaluation.report.tell.improve import improvements
from agelens.evaluation.report.tell.strong import strengths
from agelens.evaluation.report.tell.terms import answered
from agelens.evaluation.report.tell.weak import weaknesses
from agelens.page import Cell, Section, Table, Text


def verdicts(tree: Node) -> Section:
    """Give a table of verdicts for each model."""
    tables = []
    for name, model in answered(tree):
        rows: list[list[Cell]] = []
        for kind, found in (
            ("strong", strengths(tree, name, model)),
            ("weak", weaknesses(tree, name, model)),
            ("improve", improvements(tree, name, model)),
        ):
            rows += [[kind if place == 0 else "", one] for place, one in enumerate(found)]
        tables.append(Table(["", "what the figures say"], rows, word(name), wide=True))
    note = Sentence(
        "Derived by rule from the figures of this page. A difference is named only where its "
        "interval excludes zero. Groups of faces are held against all other faces, with intervals "
        "wide enough for all groups to be looked at together; all but age bands at equal ages."
    )
    return Section("Strengths, weaknesses and what to improve", [Text([note]), *tables])
