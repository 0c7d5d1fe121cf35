"""Measure how good a model is: metrics, bootstrap, calibration, groups, saliency, comparison.

Gives figures as typed objects and JSON values, and makes no page. Imports `agelens.data`,
`agelens.predictor` and what lies below them.
"""
