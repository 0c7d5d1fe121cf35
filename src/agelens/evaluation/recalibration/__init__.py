"""Recalibrate a model on a user's own labelled faces, and judge whether that helps.

Gives figures; `agelens.reports.model_audit` shows them. Imports the rest of `agelens.evaluation`.
"""
