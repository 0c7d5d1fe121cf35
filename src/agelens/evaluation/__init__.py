"""How good a model is: metrics, bootstrap, calibration, groups, comparison. Figures only, no page.

Imports `agelens.data`, `agelens.predictor` and what lies below them.
"""
