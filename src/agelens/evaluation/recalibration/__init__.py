"""Recalibrate a model on a user's own labelled faces, and judge whether that helps.

Figures only; `agelens.reports.model_audit` shows them.
"""
