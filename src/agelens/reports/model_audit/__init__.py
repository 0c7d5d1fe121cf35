"""The page of `agelens audit-model`: verdicts on a model's calibration, before and after.

Facts come from `agelens.evaluation.recalibration`; the chapters on the model are those of
`agelens.reports.comparison`.
"""
