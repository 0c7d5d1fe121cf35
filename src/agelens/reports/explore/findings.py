"""Plain-language findings, each made from the numbers, and made only where they bear it out."""

from agelens.data.exploration.facts import Facts
from agelens.reports.explore.find_faces import face_findings
from agelens.reports.explore.find_groups import group_findings
from agelens.reports.explore.find_labels import age_findings
from agelens.reports.explore.find_pictures import picture_findings
from agelens.reports.explore.find_training import training_findings
from agelens.reports.page import Finding


def findings(facts: Facts) -> list[Finding]:
    """Say what is in the data, strange things marked, from the labels to the splits."""
    return [
        *age_findings(facts.labels),
        *group_findings(facts.labels),
        *picture_findings(facts.pixels, facts.shortcuts),
        *face_findings(facts.pixels, facts.shapes),
        *training_findings(facts),
    ]
