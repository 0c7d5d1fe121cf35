"""From evaluations to a report that a supervisor or a customer can read.

Measured first (`measure`), into one tree of numbers, `report.json`; then told (`tell`) from
nothing but that tree, so that no sentence can say what was not measured.
"""
