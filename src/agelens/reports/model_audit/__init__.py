"""The page of `agelens audit-model`.

Facts come from `agelens.evaluation.recalibration`.
"""
