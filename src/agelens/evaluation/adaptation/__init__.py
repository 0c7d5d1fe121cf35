"""Adapt a model to a user's own labelled faces, and judge by cross-validation whether that helps.

Imports the rest of `agelens.evaluation`; `agelens.reports.adaptation` shows the figures.
"""
