"""Adapt a model to a user's own labelled faces, and judge by cross-validation whether that helps.

Gives figures and model files; `agelens.reports.adaptation` shows them. Imports the rest of
`agelens.evaluation`.
"""
