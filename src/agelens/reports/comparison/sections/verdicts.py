"""Strengths, weaknesses and what to improve, of each model."""

from agelens.reports.comparison.sections.improve import improvements
from agelens.reports.comparison.sections.strong import strengths
from agelens.reports.comparison.sections.terms import answered
from agelens.reports.comparison.sections.weak import weaknesses
from agelens.reports.page import Cell, Section, Table, Text
from agelens.reports.traced_text import Node, Sentence, word


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
